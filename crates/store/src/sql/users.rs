//! Statements over users.

use super::columns::columns;
use super::list_statement::{ListStatement, placeholders};
use crate::entities::user;
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

/// Users whose login matches a pattern and is no e-mail address, ordered by login: pattern, limit.
pub(crate) static SEARCH_USERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM \"user\" u WHERE u.login_key LIKE $1 ESCAPE '\\' \
         AND u.login_key NOT LIKE '%@%' AND u.deleted_at IS NULL ORDER BY u.login_key LIMIT $2",
        columns::<user::Entity>("u")
    )
});
