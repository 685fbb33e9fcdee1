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
    let database = target.connect(Use::Read, Options::default().timeout).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::Migrator;
    use sea_orm::ConnectionTrait;
    use sea_orm_migration::MigratorTrait;
    use std::sync::Arc;
    use tolmach_domain::{Fault, Timestamp};
    use tolmach_engine::memory::MemoryBus;
    use tolmach_engine::ports::{AccountKey, Store, UserChange, UserStore};

    /// User 1 has the login of a stranger's address, user 2 the address, user 3 the look of user 4.
    const USERS: &str = "\
        INSERT INTO \"user\" (id, login, login_key, username, name, email, email_key, bio, bot, \
        admin, business, profile, created_at, changed_at) VALUES \
        (1, 'Ann@x.org', 'ann@x.org', 'u', 'n', NULL, NULL, '', 0, 0, 0, 1, 1, 1), \
        (2, 'ann', 'ann', 'u', 'n', 'ann@X.org', 'ann@x.org', '', 0, 0, 0, 1, 1, 1), \
        (3, 'b\u{43e}b', 'b\u{43e}b', 'u', 'n', 'b@x.org', 'b@x.org', '', 0, 0, 0, 1, 1, 1), \
        (4, 'bob', 'bob', 'u', 'n', NULL, NULL, '', 0, 0, 0, 1, 1, 1)";

    #[tokio::test]
    async fn collisions_from_before_are_reported_and_both_accounts_stay_valid() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("old.db").display());
        assert_eq!(colliding_logins(&url).await, Ok(vec![]), "there is no database yet");
        let timeout = Options::default().timeout;
        let old = Target::parse(&url).unwrap().connect(Use::Maintain, timeout).await.unwrap();
        let migrations = Migrator::migrations();
        let last = |name: &str| migrations.iter().position(|other| other.name() == name).unwrap();
        let steps = u32::try_from(last("m000013_identifiers")).unwrap();
        Migrator::up(&old, Some(steps)).await.unwrap();
        old.execute_unprepared(USERS).await.unwrap();
        connect::close(old).await;

        let id = |id| UserId::new(id).unwrap();
        let expected = vec![CollidingLogin {
            login: "Ann@x.org".into(),
            login_user: id(1),
            email_user: id(2),
        }];
        assert_eq!(colliding_logins(&url).await, Ok(expected.clone()), "before the migration");
        let store =
            crate::SqlStore::open(&url, Arc::new(MemoryBus::new()), Options::default()).await;
        let store = store.unwrap();
        assert_eq!(colliding_logins(&url).await, Ok(expected), "after it");
        for (key, expected) in [
            (AccountKey::Either("ann@x.org"), 1),
            (AccountKey::Login("ann@x.org"), 1),
            (AccountKey::Email("ann@x.org"), 2),
            (AccountKey::Either("ann"), 2),
            (AccountKey::Either("b\u{43e}b"), 3),
            (AccountKey::Either("bob"), 4),
        ] {
            let account = store.account(key).await.unwrap().unwrap();
            assert_eq!(account.user.id, id(expected), "{key:?}");
        }
        let now = Timestamp::from_micros(1);
        let rename = |change| store.update_user(id(4), change, now);
        let to = |login: &str| UserChange { login: Some(login.into()), ..UserChange::default() };
        for login in ["Ann@x.org", "b@x.org", "b\u{43e}b"] {
            assert_eq!(rename(to(login)).await, Err(Fault::LoginTaken.into()), "{login}");
        }
        // A change of something else needs no identifier.
        let named = UserChange { name: Some("BOB".into()), ..UserChange::default() };
        assert_eq!(rename(named).await.map(|user| user.name), Ok("BOB".into()));
        store.close().await;
    }
}
