//! Statements that find, count and remove records by age.

use super::list_statement::{ListStatement, placeholders};
use std::sync::LazyLock;

/// Records of one kind that expire, by a column with an index.
pub(crate) struct Expiring {
    /// The kind, as an operator knows it.
    pub(crate) kind: &'static str,
    /// The time up to which they are removed, before the end of the grace period.
    pub(crate) age: Age,
    /// The approximate size of a row with its entries in indexes, in bytes.
    pub(crate) row_bytes: u64,
    /// Counts them: up to.
    pub(crate) count: String,
    /// Removes the first of them: up to, limit.
    pub(crate) remove: String,
}

/// The meaning of the column by which records expire.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Age {
    /// The time at which they expire.
    Expiry,
    /// The time from which they are kept for the window of retries.
    Retry,
    /// The time from which they are kept for the window of the log.
    Log,
}

impl Age {
    fn column(self) -> &'static str {
        match self {
            Self::Expiry => "expires_at",
            Self::Retry => "used_at",
            Self::Log => "committed_at",
        }
    }
}

/// The records that expire. Sessions come after their tokens, because only those without tokens are
/// removed: those that expired first have lost them first.
pub(crate) static EXPIRING: LazyLock<[Expiring; 8]> = LazyLock::new(|| {
    [
        expiring("keys of messages", Age::Retry, 160, "message_key", "author_id, key"),
        expiring("keys of groups", Age::Retry, 160, "flow_key", "owner_id, key"),
        expiring("login counters", Age::Expiry, 120, "login_counter", "key_hash"),
        expiring("quota counters", Age::Expiry, 80, "quota_use", "user_id, quota"),
        expiring("refresh tokens", Age::Expiry, 160, "refresh_token", "token_hash"),
        expiring("recovery tokens", Age::Expiry, 140, "recovery_token", "token_hash"),
        sessions(),
        expiring("logged events", Age::Log, 160, "event_log", "committed_at"),
    ]
});

/// The rows of a table with this primary key.
fn expiring(
    kind: &'static str,
    age: Age,
    row_bytes: u64,
    table: &'static str,
    key: &'static str,
) -> Expiring {
    let column = age.column();
    Expiring {
        kind,
        age,
        row_bytes,
        count: format!("SELECT count(*) AS number FROM {table} WHERE {column} <= $1"),
        remove: format!(
            "DELETE FROM {table} WHERE ({key}) IN \
             (SELECT {key} FROM {table} WHERE {column} <= $1 ORDER BY {column} LIMIT $2)"
        ),
    }
}

fn sessions() -> Expiring {
    let count = "\
        SELECT count(*) AS number FROM session WHERE expires_at <= $1 AND NOT EXISTS \
        (SELECT 1 FROM refresh_token t WHERE t.session_id = session.id AND t.expires_at > $1)";
    let remove = "\
        DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at <= $1 \
        AND NOT EXISTS \
        (SELECT 1 FROM refresh_token WHERE refresh_token.session_id = session.id) \
        ORDER BY expires_at LIMIT $2)";
    let (count, remove) = (count.to_owned(), remove.to_owned());
    Expiring { kind: "sessions", age: Age::Expiry, row_bytes: 180, count, remove }
}

/// The size of a message's row with its entries in indexes, without its content, in bytes.
pub(crate) const MESSAGE_BYTES: u64 = 240;

/// The condition that no key of a message is left, by which its author may repeat it.
const WITHOUT_KEY: &str = "NOT EXISTS (SELECT 1 FROM message_key k WHERE k.message_id = m.id)";

/// The size of a message's content.
const CONTENT: &str = "octet_length(text) + coalesce(octet_length(attachments), 0) \
    + coalesce(octet_length(emoji), 0)";

/// The place of the last of the next messages of a flow, null if there are none, and the earliest
/// time of posting of them: flow, posted after. Messages of a flow are posted in the order of time,
/// but for differences of clocks, so that the old ones are among the first.
pub(crate) const NEXT_OLD_MESSAGES: &str = "\
    SELECT max(n.posted) AS last, min(n.posted_at) AS oldest FROM \
    (SELECT posted, posted_at FROM message WHERE flow_id = $1 AND deleted_at IS NULL \
    AND posted > $2 ORDER BY posted LIMIT 1000) n";

/// Removes old messages of a flow in the order of posting, and returns the place and the size of
/// the content of each: flow, posted after, posted up to, time of posting up to, limit.
pub(crate) static REMOVE_OLD_MESSAGES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM message WHERE id IN (SELECT m.id FROM message m WHERE m.flow_id = $1 \
         AND m.deleted_at IS NULL AND m.posted > $2 AND m.posted <= $3 AND m.posted_at <= $4 \
         AND {WITHOUT_KEY} ORDER BY m.posted LIMIT $5) \
         RETURNING posted, CAST({CONTENT} AS bigint) AS bytes"
    )
});

/// Counts the old messages of a flow, and the bytes of their contents: flow, posted up to, time up
/// to which keys are removed before.
pub(crate) static COUNT_OLD_MESSAGES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT count(*) AS number, coalesce(sum({CONTENT}), 0) AS bytes FROM message m \
         WHERE m.flow_id = $1 AND m.deleted_at IS NULL AND m.posted_at <= $2 AND NOT EXISTS \
         (SELECT 1 FROM message_key k WHERE k.message_id = m.id AND k.used_at > $3)"
    )
});

/// Removes the records of messages that were deleted first: deleted up to, limit.
pub(crate) static REMOVE_DELETED_MESSAGES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM message WHERE id IN (SELECT m.id FROM message m \
         WHERE m.deleted_at <= $1 AND {WITHOUT_KEY} ORDER BY m.deleted_at LIMIT $2)"
    )
});

/// Counts the records of deleted messages: deleted up to, time up to which keys are removed before.
pub(crate) const COUNT_DELETED_MESSAGES: &str = "\
    SELECT count(*) AS number FROM message m WHERE m.deleted_at <= $1 AND NOT EXISTS \
    (SELECT 1 FROM message_key k WHERE k.message_id = m.id AND k.used_at > $2)";

/// The next flows with their retentions and the times of their oldest messages: after, limit.
pub(crate) static FLOWS_BY_AGE: LazyLock<String> = LazyLock::new(|| flows_by_age(""));

/// The same, of the flows with a retention of their own.
pub(crate) static OWN_FLOWS_BY_AGE: LazyLock<String> =
    LazyLock::new(|| flows_by_age("AND f.retention_days IS NOT NULL"));

fn flows_by_age(condition: &str) -> String {
    format!(
        "SELECT f.id, f.kind, f.retention_days, (SELECT e.posted_at FROM message e \
         WHERE e.flow_id = f.id AND e.deleted_at IS NULL ORDER BY e.posted LIMIT 1) AS oldest \
         FROM flow f WHERE f.id > $1 AND f.deleted_at IS NULL {condition} ORDER BY f.id LIMIT $2"
    )
}

/// The retention of a flow: flow.
pub(crate) const FLOW_RETENTION: &str =
    "SELECT retention_days FROM flow WHERE id = $1 AND deleted_at IS NULL";

/// Sets the retention of a flow: days, 0 for good, null for that of its kind; flow.
pub(crate) const SET_FLOW_RETENTION: &str =
    "UPDATE flow SET retention_days = $1 WHERE id = $2 AND deleted_at IS NULL";

/// Those of these keys of photos that users have.
pub(crate) static PHOTOS_OF_USERS: LazyLock<ListStatement> =
    LazyLock::new(|| photos_of("\"user\""));

/// Those of these keys of photos that flows have.
pub(crate) static PHOTOS_OF_FLOWS: LazyLock<ListStatement> = LazyLock::new(|| photos_of("flow"));

fn photos_of(table: &'static str) -> ListStatement {
    ListStatement::new(move |length| {
        let list = placeholders(length);
        format!("SELECT photo_key FROM {table} WHERE photo_key IN ({list})")
    })
}
