//! Statements over sessions.

use super::columns::columns;
use crate::entities::user;
use std::sync::LazyLock;

/// A session and its user, by the hash of the opaque token.
pub(crate) static SESSION_BY_TOKEN: LazyLock<String> =
    LazyLock::new(|| with_user("s.token_hash = $1"));

/// A session and its user, by the id of the session.
pub(crate) static SESSION: LazyLock<String> = LazyLock::new(|| with_user("s.id = $1"));

/// The sessions that satisfy a condition, each with the columns of its user.
fn with_user(condition: &str) -> String {
    format!(
        "SELECT s.id AS session_id, s.expires_at AS session_expires_at, \
         s.ended_at AS session_ended_at, {} \
         FROM session s JOIN \"user\" u ON u.id = s.user_id WHERE {condition}",
        columns::<user::Entity>("u")
    )
}
