//! Statements over users.

use super::columns::columns;
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
pub(crate) static USERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT {} FROM \"user\" u WHERE u.id IN ({})",
            columns::<user::Entity>("u"),
            placeholders(length)
        )
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
const CANDIDATES: u32 = 1_000;

/// The number of logins, in their order, that a search for fewer characters compares.
const COMPARED: u32 = 5_000;

/// Users whose login has a text of at least three characters and is no e-mail address, ordered by
/// login: the text as the database's index wants it, limit. If very many have it, some of them.
pub(crate) fn search_users(backend: DbBackend) -> &'static str {
    static STATEMENTS: LazyLock<[String; 2]> = LazyLock::new(|| {
        [
            format!(
                "SELECT id FROM \"user\" WHERE login_key LIKE $1 ESCAPE '\\' \
                 AND login_key NOT LIKE '%@%' AND deleted_at IS NULL LIMIT {CANDIDATES}"
            ),
            format!(
                "SELECT rowid AS id FROM user_search WHERE user_search MATCH $1 LIMIT {CANDIDATES}"
            ),
        ]
        .map(|candidates| among(&candidates, 2))
    });
    &STATEMENTS[usize::from(backend != DbBackend::Postgres)]
}

/// Replaces the password hash of a user: new hash, user, the hash as it was.
pub(crate) const REPLACE_PASSWORD_HASH: &str =
    "UPDATE \"user\" SET password_hash = $1 WHERE id = $2 AND password_hash = $3";

/// Users whose login has one or two characters and is no e-mail address, ordered by login: pattern,
/// the characters, a text after all that begin with them, limit. Of many users, those whose login
/// begins with them and some others.
pub(crate) static SEARCH_USERS_SHORTLY: LazyLock<String> = LazyLock::new(|| {
    let candidates = format!(
        "SELECT id FROM (SELECT id, login_key FROM \"user\" ORDER BY login_key LIMIT {COMPARED}) f \
         WHERE login_key LIKE $1 ESCAPE '\\' UNION SELECT id FROM (SELECT id FROM \"user\" \
         WHERE login_key >= $2 AND login_key < $3 ORDER BY login_key LIMIT {CANDIDATES}) p"
    );
    among(&candidates, 4)
});

/// The users among candidates that may be found; the parameter with this number is the limit.
fn among(candidates: &str, limit: usize) -> String {
    format!(
        "SELECT {} FROM ({candidates}) c JOIN \"user\" u ON u.id = c.id \
         WHERE u.login_key NOT LIKE '%@%' AND u.deleted_at IS NULL \
         ORDER BY u.login_key LIMIT ${limit}",
        columns::<user::Entity>("u")
    )
}
