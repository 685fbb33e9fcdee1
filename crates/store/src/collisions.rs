//! Logins that collide with the e-mail addresses of others, from before they were one namespace.

use crate::connect::{self, Target, Use};
use crate::error::store_error;
use crate::options::Options;
use crate::rows::user_id;
use crate::sql::{self, get};
use sea_orm::DatabaseConnection;
use sea_orm_migration::SchemaManager;
use std::fmt;
use tolmach_domain::UserId;
use tolmach_engine::ports::StoreError;

/// A login that is the e-mail address of another account. Both stay valid: what a user types is
/// looked up as a login before it is as an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollidingLogin {
    /// The login.
    pub login: String,
    /// The account with the login.
    pub login_user: UserId,
    /// The account with the address.
    pub email_user: UserId,
}

impl fmt::Display for CollidingLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { login, login_user, email_user } = self;
        write!(
            formatter,
            "the login {login:?} of user {login_user} is the e-mail address of user {email_user}"
        )
    }
}

/// The colliding logins in the database that a URL names, ordered by user; none if there is no
/// database yet. Changes nothing.
pub async fn colliding_logins(url: &str) -> Result<Vec<CollidingLogin>, StoreError> {
    let target = Target::parse(url)?;
    if !target.exists() {
        return Ok(Vec::new());
    }
    let usage = Use::Read { connections: 1 };
    let database = target.connect(usage, Options::default().timeout).await?;
    let found = read(&database).await;
    connect::close(database).await;
    found
}

async fn read(database: &DatabaseConnection) -> Result<Vec<CollidingLogin>, StoreError> {
    if !SchemaManager::new(database).has_table("user").await.map_err(store_error)? {
        return Ok(Vec::new());
    }
    let rows = sql::rows(database, sql::COLLIDING_LOGINS, Vec::new()).await?;
    let collision = |row: &_| {
        Ok(CollidingLogin {
            login: get(row, "login")?,
            login_user: user_id(get(row, "login_user")?)?,
            email_user: user_id(get(row, "email_user")?)?,
        })
    };
    rows.iter().map(collision).collect()
}
