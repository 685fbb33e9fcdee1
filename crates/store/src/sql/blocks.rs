//! Statements over blocks.

use super::columns::columns;
use super::list_statement::{ListStatement, placeholders_from};
use crate::entities::user;
use std::sync::LazyLock;

/// Those of these users who block a user: blocked, users.
pub(crate) static BLOCKERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT blocker_id FROM block WHERE blocked_id = $1 AND blocker_id IN ({})",
            placeholders_from(2, length)
        )
    })
});

/// A row if the flow is a chat whose other member blocks the user: flow, user.
pub(crate) const BLOCK_IN_CHAT: &str = "\
    SELECT 1 AS blocked FROM flow f JOIN member other ON other.flow_id = f.id \
    JOIN block b ON b.blocker_id = other.user_id AND b.blocked_id = $2 \
    WHERE f.id = $1 AND f.kind = 'chat'";

/// Inserts a block: blocker, blocked, time.
pub(crate) const ADD_BLOCK: &str = "\
    INSERT INTO block (blocker_id, blocked_id, created_at) VALUES ($1, $2, $3) \
    ON CONFLICT (blocker_id, blocked_id) DO NOTHING";

/// The users whom a user blocks, without deleted ones, ordered by id: blocker.
pub(crate) static BLOCKED_USERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM block b JOIN \"user\" u ON u.id = b.blocked_id \
         WHERE b.blocker_id = $1 AND u.deleted_at IS NULL ORDER BY b.blocked_id",
        columns::<user::Entity>("u")
    )
});

/// The number of users whom a user blocks, without deleted ones and one other: blocker, other.
pub(crate) const COUNT_OTHER_BLOCKS: &str = "\
    SELECT COUNT(*) AS count FROM block b JOIN \"user\" u ON u.id = b.blocked_id \
    WHERE b.blocker_id = $1 AND b.blocked_id <> $2 AND u.deleted_at IS NULL";
