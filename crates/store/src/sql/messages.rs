//! Statements over messages.

use super::list_statement::{ListStatement, placeholders, tuples};
use sea_orm::DbBackend;
use std::sync::LazyLock;

/// The columns of a message as [`INSERT_MESSAGES`] fills them.
pub(crate) const MESSAGE_COLUMNS: [&str; 12] = [
    "id",
    "flow_id",
    "author_id",
    "content_type",
    "text",
    "attachments",
    "emoji",
    "reply_to",
    "posted",
    "version",
    "posted_at",
    "changed_at",
];

/// Inserts messages, each with [`MESSAGE_COLUMNS`].
pub(crate) static INSERT_MESSAGES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        let (columns, tuples) = (MESSAGE_COLUMNS.join(", "), tuples(MESSAGE_COLUMNS.len(), length));
        format!("INSERT INTO message ({columns}) VALUES {tuples}")
    })
});

/// Inserts or replaces keys: author, key, message, time of use.
pub(crate) static PUT_MESSAGE_KEYS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "INSERT INTO message_key (author_id, key, message_id, used_at) VALUES {} \
             ON CONFLICT (author_id, key) DO UPDATE \
             SET message_id = excluded.message_id, used_at = excluded.used_at",
            tuples(4, length)
        )
    })
});

/// Keys of authors whose message still exists.
pub(crate) static MESSAGE_KEYS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT k.author_id, k.key, k.message_id, k.used_at FROM message_key k \
             JOIN message m ON m.id = k.message_id JOIN flow f ON f.id = m.flow_id \
             WHERE f.deleted_at IS NULL AND (k.author_id, k.key) IN (VALUES {})",
            tuples(2, length)
        )
    })
});

/// The flows of messages.
pub(crate) static FLOWS_OF_MESSAGES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!("SELECT id, flow_id FROM message WHERE id IN ({})", placeholders(length))
    })
});

/// Flows and authors of those of these messages that are not deleted.
pub(crate) static DELETABLE_MESSAGES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT m.id, m.flow_id, m.author_id FROM message m JOIN flow f ON f.id = m.flow_id \
             WHERE m.deleted_at IS NULL AND f.deleted_at IS NULL AND m.id IN ({})",
            placeholders(length)
        )
    })
});

/// Messages by id.
pub(crate) static MESSAGES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        let inner = format!("SELECT * FROM message WHERE id IN ({})", placeholders(length));
        with_authors(&inner, "m.id")
    })
});

/// The newest messages of a flow, oldest first: flow, limit.
pub(crate) static NEWEST_MESSAGES: LazyLock<String> = LazyLock::new(|| {
    let inner = "SELECT * FROM message WHERE flow_id = $1 AND deleted_at IS NULL \
         ORDER BY posted DESC LIMIT $2";
    with_authors(inner, "m.posted")
});

/// The newest messages up to one, oldest first: flow, limit, the `posted` of that one.
pub(crate) static NEWEST_MESSAGES_UP_TO: LazyLock<String> = LazyLock::new(|| {
    let inner = "SELECT * FROM message WHERE flow_id = $1 AND deleted_at IS NULL \
         AND posted <= $3 ORDER BY posted DESC LIMIT $2";
    with_authors(inner, "m.posted")
});

/// The `posted` of the newest message after skipping some, read from an index only: flow, offset.
pub(crate) const SKIP_MESSAGES: &str = "\
    SELECT posted FROM message WHERE flow_id = $1 AND deleted_at IS NULL \
    ORDER BY posted DESC LIMIT 1 OFFSET $2";

/// The oldest messages of other authors after a read mark: flow, mark, viewer, limit.
pub(crate) static UNREAD_MESSAGES: LazyLock<String> = LazyLock::new(|| {
    let inner = "SELECT * FROM message WHERE flow_id = $1 AND deleted_at IS NULL \
         AND posted > $2 AND author_id <> $3 ORDER BY posted LIMIT $4";
    with_authors(inner, "m.posted")
});

/// Messages changed after a version, deleted ones too: flow, version, limit.
pub(crate) static MESSAGES_AFTER: LazyLock<String> = LazyLock::new(|| {
    let inner = "SELECT * FROM message WHERE flow_id = $1 AND version > $2 \
         ORDER BY version LIMIT $3";
    with_authors(inner, "m.version")
});

/// The flows that changed messages are read of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChangesScope {
    /// All flows of the user: user, changed after, limit.
    All,
    /// One of them: user, changed after, limit, flow.
    One,
}

/// Messages of a user's flows changed after a time, deleted ones too. Each flow that changed yields
/// at most `limit` messages, by an index, so that the cost is bounded by flows and not by messages.
pub(crate) fn message_changes(backend: DbBackend, scope: ChangesScope) -> &'static str {
    static CORRELATED: LazyLock<[String; 2]> =
        LazyLock::new(|| SCOPES.map(|members| with_authors(&correlated(members), "m.changed_at")));
    static LATERAL: LazyLock<[String; 2]> =
        LazyLock::new(|| SCOPES.map(|members| with_authors(&lateral(members), "m.changed_at")));
    const SCOPES: [&str; 2] = ["mb.user_id = $1", "mb.user_id = $1 AND mb.flow_id = $4"];
    fn correlated(members: &str) -> String {
        format!(
            "SELECT * FROM message WHERE id IN (SELECT n.id FROM member mb \
             JOIN flow f ON f.id = mb.flow_id JOIN message n ON n.id IN \
             (SELECT c.id FROM message c WHERE c.flow_id = f.id AND c.changed_at > $2 \
             ORDER BY c.changed_at LIMIT $3) \
             WHERE {members} AND f.changed_at > $2 ORDER BY n.changed_at LIMIT $3)"
        )
    }
    // PostgreSQL would compare every message with the list of every flow.
    fn lateral(members: &str) -> String {
        format!(
            "SELECT n.* FROM member mb JOIN flow f ON f.id = mb.flow_id CROSS JOIN LATERAL \
             (SELECT c.* FROM message c WHERE c.flow_id = f.id AND c.changed_at > $2 \
             ORDER BY c.changed_at LIMIT $3) n \
             WHERE {members} AND f.changed_at > $2 ORDER BY n.changed_at LIMIT $3"
        )
    }
    let statements = if backend == DbBackend::Postgres { &LATERAL } else { &CORRELATED };
    match scope {
        ChangesScope::All => &statements[0],
        ChangesScope::One => &statements[1],
    }
}

/// The messages that `inner` selects, with their authors and the kinds of their flows; none of a
/// deleted flow. `inner` has the limit, so that it bounds the joins.
fn with_authors(inner: &str, order: &str) -> String {
    format!(
        "SELECT m.*, u.login AS author_login, u.username AS author_username, \
         u.name AS author_name, f.kind AS flow_kind FROM ({inner}) m \
         JOIN \"user\" u ON u.id = m.author_id JOIN flow f ON f.id = m.flow_id \
         WHERE f.deleted_at IS NULL ORDER BY {order}"
    )
}
