//! Users.

use super::rows::at_most_one;
use crate::entities::{avatar, user};
use crate::error::store_error;
use crate::rows::user as to_user;
use crate::sql;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QueryResult, QuerySelect,
};
use tolmach_domain::{User, UserId};
use tolmach_engine::ports::{Account, AccountKey, StoreError};
use tolmach_engine::{LOGIN_LIMIT, case_folded, check_storable};

/// The longest text that is searched for, in bytes: longer than any login, whose letters may be
/// written with more bytes in another case.
const MAX_QUERY_BYTES: usize = 2 * char::MAX_LEN_UTF8 * LOGIN_LIMIT;

pub(crate) async fn user<C: ConnectionTrait>(
    database: &C,
    id: UserId,
) -> Result<Option<User>, StoreError> {
    let row = sql::row(database, &sql::USER, vec![id.get().into()]).await?;
    row.as_ref().map(user_of_row).transpose()
}

/// The user in a row that has all columns of users.
pub(super) fn user_of_row(row: &QueryResult) -> Result<User, StoreError> {
    to_user(user::Model::from_query_result(row, "").map_err(store_error)?)
}

/// The avatar of a user.
pub(crate) async fn avatar<C: ConnectionTrait>(
    database: &C,
    id: UserId,
) -> Result<Option<String>, StoreError> {
    let found = at_most_one(avatar::Entity::find_by_id(id.get()).all(database).await)?;
    Ok(found.map(|avatar| avatar.data))
}

pub(crate) async fn account<C: ConnectionTrait>(
    database: &C,
    account: AccountKey<'_>,
) -> Result<Option<Account>, StoreError> {
    let columns: &[(user::Column, &str)] = match account {
        AccountKey::Login(login) => &[(user::Column::LoginKey, login)],
        AccountKey::Email(email) => &[(user::Column::EmailKey, email)],
        AccountKey::Either(text) => {
            &[(user::Column::LoginKey, text), (user::Column::EmailKey, text)]
        }
    };
    for (column, value) in
        columns.iter().filter(|(_, value)| check_storable("login", value).is_ok())
    {
        let found = user::Entity::find()
            .filter(column.eq(case_folded(value)))
            .filter(user::Column::DeletedAt.is_null());
        if let Some(mut found) = at_most_one(found.all(database).await)? {
            let password_hash = found.password_hash.take();
            return Ok(Some(Account { user: to_user(found)?, password_hash }));
        }
    }
    Ok(None)
}

pub(crate) async fn search_users<C: ConnectionTrait>(
    database: &C,
    query: &str,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    // SQLite refuses a long pattern, and no login is as long.
    if query.len() > MAX_QUERY_BYTES || check_storable("query", query).is_err() {
        return Ok(Vec::new());
    }
    let (text, backend) = (case_folded(query), database.get_database_backend());
    let limit = i64::from(limit).into();
    let (statement, values) = if text.chars().count() < 3 {
        let after = format!("{text}{}", char::MAX);
        let values = vec![pattern(&text).into(), text.into(), after.into(), limit];
        (sql::search_users_shortly(backend), values)
    } else if backend == DbBackend::Postgres {
        (sql::search_users(backend), vec![pattern(&text).into(), limit])
    } else {
        // As a phrase, in which only the quotation mark has a meaning.
        let phrase = format!("\"{}\"", text.replace('"', "\"\""));
        (sql::search_users(backend), vec![phrase.into(), limit])
    };
    let rows = sql::rows(database, statement, values).await?;
    rows.iter().map(user_of_row).collect()
}

/// A pattern of the texts that have this one.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

pub(crate) async fn list_users<C: ConnectionTrait>(
    database: &C,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    let users = user::Entity::find()
        .filter(user::Column::Id.gt(after.map_or(0, UserId::get)))
        .filter(user::Column::DeletedAt.is_null());
    let users = users
        .order_by_asc(user::Column::Id)
        .limit(u64::from(limit))
        .all(database)
        .await
        .map_err(store_error)?;
    users.into_iter().map(to_user).collect()
}
