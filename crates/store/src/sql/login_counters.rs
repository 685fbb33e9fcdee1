//! Statements over login counters.

use super::list_statement::{ListStatement, placeholders};
use std::sync::LazyLock;

/// Counters by the hashes of their keys.
pub(crate) static LOGIN_COUNTERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT key_hash, amount, expires_at FROM login_counter WHERE key_hash IN ({})",
            placeholders(length)
        )
    })
});

/// Inserts or replaces a counter: hash of the key, count, time of expiry.
pub(crate) const PUT_LOGIN_COUNTER: &str = "\
    INSERT INTO login_counter (key_hash, amount, expires_at) VALUES ($1, $2, $3) \
    ON CONFLICT (key_hash) DO UPDATE \
    SET amount = excluded.amount, expires_at = excluded.expires_at";
