//! Statements over messages.

use super::columns::columns;
use super::list_statement::{ListStatement, placeholders, tuples};
use crate::entities::message;
use sea_orm::{DbBackend, IdenStatic, Iterable};
use std::sync::LazyLock;
use tolmach_engine::PREVIEW_BYTES;

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
        with_authors(&format!("m.id IN ({})", placeholders(length)), "", "m.id")
    })
});

/// Messages by id, each with the first [`PREVIEW_BYTES`] characters of its text and without
/// attached files and emoji.
pub(crate) static MESSAGE_PREVIEWS: LazyLock<ListStatement> = LazyLock::new(|| {
    let column = |column: message::Column| match column {
        message::Column::Text => format!("substr(m.text, 1, {PREVIEW_BYTES}) AS text"),
        message::Column::Attachments | message::Column::Emoji => {
            format!("NULL AS {}", column.as_str())
        }
        _ => format!("m.{}", column.as_str()),
    };
    let columns = message::Column::iter().map(column).collect::<Vec<_>>().join(", ");
    ListStatement::new(|length| {
        let condition = format!("m.id IN ({})", placeholders(length));
        columns_with_authors(&columns, &condition, "", "m.id")
    })
});

/// The newest messages of a flow within a size, oldest first: flow, limit, size.
pub(crate) static NEWEST_MESSAGES: LazyLock<String> = LazyLock::new(|| {
    let newest = format!(
        "SELECT m.id, m.posted AS place, {} FROM message m \
         WHERE m.flow_id = $1 AND m.deleted_at IS NULL ORDER BY m.posted DESC LIMIT $2",
        size("m")
    );
    with_authors(&within_size(&newest, "DESC", 3), "", "m.posted")
});

/// The newest messages up to one within a size, oldest first: flow, limit, size, the `posted` of
/// that one.
pub(crate) static NEWEST_MESSAGES_UP_TO: LazyLock<String> = LazyLock::new(|| {
    let newest = format!(
        "SELECT m.id, m.posted AS place, {} FROM message m WHERE m.flow_id = $1 \
         AND m.deleted_at IS NULL AND m.posted <= $4 ORDER BY m.posted DESC LIMIT $2",
        size("m")
    );
    with_authors(&within_size(&newest, "DESC", 3), "", "m.posted")
});

/// The `posted` of the newest message after skipping some, read from an index only: flow, offset.
pub(crate) const SKIP_MESSAGES: &str = "\
    SELECT posted FROM message WHERE flow_id = $1 AND deleted_at IS NULL \
    ORDER BY posted DESC LIMIT 1 OFFSET $2";

/// The oldest messages of other authors after a read mark, within a size: flow, mark, viewer,
/// limit, size.
pub(crate) static UNREAD_MESSAGES: LazyLock<String> = LazyLock::new(|| {
    let unread = format!(
        "SELECT m.id, m.posted AS place, {} FROM message m WHERE m.flow_id = $1 \
         AND m.deleted_at IS NULL AND m.posted > $2 AND m.author_id <> $3 \
         ORDER BY m.posted LIMIT $4",
        size("m")
    );
    with_authors(&within_size(&unread, "ASC", 5), "", "m.posted")
});

/// Messages changed after a version, deleted ones too: flow, version, limit.
pub(crate) static MESSAGES_AFTER: LazyLock<String> = LazyLock::new(|| {
    let condition = "m.flow_id = $1 AND m.version > $2";
    with_authors(condition, "ORDER BY m.version LIMIT $3", "m.version")
});

/// The flows that changed messages are read of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChangesScope {
    /// All flows of the user: user, changed after, limit, size.
    All,
    /// One of them: user, changed after, limit, size, flow.
    One,
}

/// Messages of a user's flows changed after a time, deleted ones too, within a size. Each flow that
/// changed yields at most `limit` messages, by an index, so that the cost is bounded by flows and
/// not by messages.
pub(crate) fn message_changes(backend: DbBackend, scope: ChangesScope) -> &'static str {
    static CORRELATED: LazyLock<[String; 2]> =
        LazyLock::new(|| SCOPES.map(|members| changed(&correlated(members))));
    static LATERAL: LazyLock<[String; 2]> =
        LazyLock::new(|| SCOPES.map(|members| changed(&lateral(members))));
    const SCOPES: [&str; 2] = ["mb.user_id = $1", "mb.user_id = $1 AND mb.flow_id = $5"];
    fn changed(selection: &str) -> String {
        with_authors(&within_size(selection, "ASC", 4), "", "m.changed_at")
    }
    fn correlated(members: &str) -> String {
        format!(
            "SELECT n.id, n.changed_at AS place, {} FROM member mb \
             JOIN flow f ON f.id = mb.flow_id JOIN message n ON n.id IN \
             (SELECT c.id FROM message c WHERE c.flow_id = f.id AND c.changed_at > $2 \
             ORDER BY c.changed_at LIMIT $3) \
             WHERE {members} AND f.changed_at > $2 ORDER BY n.changed_at LIMIT $3",
            size("n")
        )
    }
    // PostgreSQL would compare every message with the list of every flow.
    fn lateral(members: &str) -> String {
        format!(
            "SELECT n.id, n.place, n.size FROM member mb \
             JOIN flow f ON f.id = mb.flow_id CROSS JOIN LATERAL \
             (SELECT c.id, c.changed_at AS place, {} FROM message c \
             WHERE c.flow_id = f.id AND c.changed_at > $2 ORDER BY c.changed_at LIMIT $3) n \
             WHERE {members} AND f.changed_at > $2 ORDER BY n.place LIMIT $3",
            size("c")
        )
    }
    let statements = if backend == DbBackend::Postgres { &LATERAL } else { &CORRELATED };
    match scope {
        ChangesScope::All => &statements[0],
        ChangesScope::One => &statements[1],
    }
}

/// The stored size of a message's content, without reading the content.
fn size(message: &str) -> String {
    format!(
        "octet_length({message}.text) + coalesce(octet_length({message}.attachments), 0) \
         + coalesce(octet_length({message}.emoji), 0) AS size"
    )
}

/// The condition that a message is among the first ones of `selection`: those that the sizes of
/// the ones before them together leave room for, in a size that is a parameter, by its number.
/// `selection` has the columns `id`, `size` and `place`, by which it is ordered, and a limit.
fn within_size(selection: &str, direction: &str, parameter: usize) -> String {
    format!(
        "m.id IN (SELECT s.id FROM \
         (SELECT s.id, s.size, sum(s.size) OVER (ORDER BY s.place {direction}) AS total \
         FROM ({selection}) s) s WHERE s.total - s.size <= ${parameter})"
    )
}

/// The messages that satisfy a condition, with their authors and the kinds of their flows; none of
/// a deleted flow. `limit` bounds the joins.
fn with_authors(condition: &str, limit: &str, order: &str) -> String {
    columns_with_authors(&columns::<message::Entity>("m"), condition, limit, order)
}

fn columns_with_authors(columns: &str, condition: &str, limit: &str, order: &str) -> String {
    format!(
        "SELECT m.*, u.login AS author_login, u.username AS author_username, \
         u.name AS author_name, f.kind AS flow_kind \
         FROM (SELECT {columns} FROM message m WHERE {condition} {limit}) m \
         JOIN \"user\" u ON u.id = m.author_id JOIN flow f ON f.id = m.flow_id \
         WHERE f.deleted_at IS NULL ORDER BY {order}"
    )
}
