//! Statements over users.

use super::list_statement::{ListStatement, placeholders};
use std::sync::LazyLock;

/// Users by id, deleted ones too.
pub(crate) static USERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!("SELECT * FROM \"user\" WHERE id IN ({})", placeholders(length))
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

/// Users whose login matches a pattern, ordered by login: pattern, limit.
pub(crate) const SEARCH_USERS: &str = "\
    SELECT * FROM \"user\" WHERE login_key LIKE $1 ESCAPE '\\' AND deleted_at IS NULL \
    ORDER BY login_key LIMIT $2";
