//! Statements over users.

use super::array::Type;
use super::columns::columns;
use super::list_query::ListQuery;
use super::list_statement::{ListStatement, placeholders};
use crate::entities::user;
use sea_orm::DbBackend;
use std::sync::LazyLock;

/// The summaries of users by id, deleted ones too.
pub(crate) static USER_SUMMARIES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT id, login, username, name, deleted_at FROM \"user\" WHERE id IN ({})",
            placeholders(length)
        )
    })
});

/// A user by id, a deleted one too.
pub(crate) static USER: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {} FROM \"user\" u WHERE u.id = $1", columns::<user::Entity>("u"))
});

/// Users by id, deleted ones too.
pub(crate) static USERS: LazyLock<ListQuery> = LazyLock::new(|| {
    let columns = columns::<user::Entity>("u");
    ListQuery::new("u.id", Type::Integer, 1, |condition| {
        format!("SELECT {columns} FROM \"user\" u WHERE {condition}")
    })
});

/// The ids of those of these users that are not deleted.
pub(crate) static ACTIVE_USERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT id FROM \"user\" WHERE deleted_at IS NULL AND id IN ({})",
            placeholders(length)
        )
    })
});

/// The largest number of logins that a search for three characters or more compares beyond the
/// index, and the largest number of those that begin with fewer characters.
const CANDIDATES: u32 = 500;

/// The number of logins, in their order, that a search for fewer characters compares.
const COMPARED: u32 = 2_000;

/// Users whose login has a text of at least three characters and is no e-mail address, ordered by
/// login: the text as the database's index wants it, limit. If very many have it, some of them.
pub(crate) fn search_users(backend: DbBackend) -> &'static str {
    static STATEMENTS: LazyLock<[String; 2]> = LazyLock::new(|| {
        let columns = columns::<user::Entity>("u");
        // The rows that are compared with the text are not looked up again.
        let postgres = format!(
            "SELECT u.* FROM (SELECT {columns} FROM \"user\" u \
             WHERE u.login_key LIKE $1 ESCAPE '\\' AND {LISTED} LIMIT {CANDIDATES}) u \
             ORDER BY u.login_key LIMIT $2"
        );
        // The index has the logins alone that may be found.
        let sqlite = format!(
            "SELECT {columns} FROM (SELECT rowid AS id FROM user_search \
             WHERE user_search MATCH $1 LIMIT {CANDIDATES}) c JOIN \"user\" u ON u.id = c.id \
             ORDER BY u.login_key LIMIT $2"
        );
        [postgres, sqlite]
    });
    &STATEMENTS[usize::from(backend != DbBackend::Postgres)]
}

/// Replaces the password hash of a user: new hash, user, the hash as it was.
pub(crate) const REPLACE_PASSWORD_HASH: &str =
    "UPDATE \"user\" SET password_hash = $1 WHERE id = $2 AND password_hash = $3";

/// Users whose login has one or two characters and is no e-mail address, ordered by login: pattern,
/// the characters, a text after all that begin with them, limit. Of many users, those whose login
/// begins with them and some others. Logins are compared in their index alone.
pub(crate) fn search_users_shortly(backend: DbBackend) -> &'static str {
    static STATEMENTS: LazyLock<[String; 2]> =
        LazyLock::new(|| [DbBackend::Postgres, DbBackend::Sqlite].map(statement));
    fn statement(backend: DbBackend) -> String {
        let columns = columns::<user::Entity>("u");
        let candidates = format!(
            "SELECT login_key FROM \
             (SELECT login_key FROM \"user\" ORDER BY login_key LIMIT {COMPARED}) f \
             WHERE login_key LIKE $1 ESCAPE '\\' UNION SELECT login_key FROM \
             (SELECT login_key FROM \"user\" WHERE login_key >= $2 AND login_key < $3 \
             ORDER BY login_key LIMIT {CANDIDATES}) p ORDER BY login_key"
        );
        let joined = match backend {
            // Looked up one after the other, until there are as many as the limit.
            DbBackend::Postgres => format!(
                "CROSS JOIN LATERAL (SELECT {columns} FROM \"user\" u \
                 WHERE u.login_key = c.login_key AND {LISTED} OFFSET 0) u"
            ),
            _ => format!("JOIN \"user\" u ON u.login_key = c.login_key WHERE {LISTED}"),
        };
        format!("SELECT {columns} FROM ({candidates}) c {joined} ORDER BY c.login_key LIMIT $4")
    }
    &STATEMENTS[usize::from(backend != DbBackend::Postgres)]
}

/// The condition that a user may be found.
const LISTED: &str = "u.login_key NOT LIKE '%@%' AND u.deleted_at IS NULL";
