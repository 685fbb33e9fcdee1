//! Statements over messages.

use super::array::Type;
use super::columns::columns;
use super::list_query::ListQuery;
use super::list_statement::{ListStatement, placeholders, tuples};
use crate::entities::message;
use sea_orm::{IdenStatic, Iterable};
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
pub(crate) static INSERT_MESSAGES: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::insert("message", &MESSAGE_COLUMNS));

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
pub(crate) static MESSAGE_PREVIEWS: LazyLock<ListQuery> = LazyLock::new(|| {
    let column = |column: message::Column| match column {
        message::Column::Text => format!("substr(m.text, 1, {PREVIEW_BYTES}) AS text"),
        message::Column::Attachments | message::Column::Emoji => {
            format!("NULL AS {}", column.as_str())
        }
        _ => format!("m.{}", column.as_str()),
    };
    let columns = message::Column::iter().map(column).collect::<Vec<_>>().join(", ");
    ListQuery::new("m.id", Type::Integer, 1, |condition| {
        columns_with_authors(&columns, condition, "", "m.id")
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

/// The `posted` of the newest message after skipping some, read from an index only: flow, posted
/// before, offset.
pub(crate) const SKIP_MESSAGES: &str = "\
    SELECT posted FROM message WHERE flow_id = $1 AND deleted_at IS NULL AND posted < $2 \
    ORDER BY posted DESC LIMIT 1 OFFSET $3";

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
    let condition =
        "m.flow_id = $1 AND m.version > $2 AND (m.imported IS NULL OR m.version > m.posted)";
    with_authors(condition, "ORDER BY m.version LIMIT $3", "m.version")
});

/// The flows that changed messages are read of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChangesScope {
    /// All flows of the user: user, changed after, changed up to, limit, size.
    All,
    /// One of them: user, changed after, changed up to, limit, size, flow.
    One,
}

/// SQLite: messages of a user's flows changed within a time, deleted ones too, within a size.
///
/// The recursive statement merges the flows by commit time: SQLite keeps its queue in that order,
/// each step takes the earliest change of all flows from it and adds the next one of the same flow.
/// It costs an index search for each flow and for each message of the result. A flow without a
/// further change is in the queue with the latest time of all.
pub(crate) fn merged_changes(scope: ChangesScope) -> &'static str {
    static STATEMENTS: LazyLock<[String; 2]> =
        LazyLock::new(|| ["", " AND mb.flow_id = $6"].map(merged));
    fn merged(members: &str) -> String {
        let next = |flow: &str, after: &str| {
            format!(
                "coalesce((SELECT min(n.changed_at) FROM message n WHERE n.flow_id = {flow} \
                 AND n.changed_at > {after}), {LATEST})"
            )
        };
        let (first, further) = (next("mb.flow_id", "$2"), next("g.flow_id", "g.changed_at"));
        let selection = format!(
            "WITH RECURSIVE merged (flow_id, changed_at) AS (SELECT mb.flow_id, {first} \
             FROM member mb JOIN flow f ON f.id = mb.flow_id \
             WHERE mb.user_id = $1 AND f.changed_at > $2{members} UNION ALL \
             SELECT g.flow_id, {further} FROM merged g WHERE g.changed_at <= $3 \
             ORDER BY 2 LIMIT $4) \
             SELECT n.id, n.changed_at AS place, {} FROM merged g JOIN message n \
             ON n.flow_id = g.flow_id AND n.changed_at = g.changed_at WHERE g.changed_at <= $3",
            size("n")
        );
        with_authors(&within_size(&selection, "ASC", 5), "", "m.changed_at")
    }
    match scope {
        ChangesScope::All => &STATEMENTS[0],
        ChangesScope::One => &STATEMENTS[1],
    }
}

/// Later than every commit time.
const LATEST: i64 = i64::MAX;

/// PostgreSQL: the times of the first changes in a user's flows after a time, ordered by time, with
/// the number of changes that were read of each flow: user, time, flow or 0 for all, up to, limit.
/// Few are read of each flow if they are many, but twice as many as the limit in all.
pub(crate) const FIRST_CHANGES: &str = "\
    WITH changed AS MATERIALIZED (\
    SELECT f.id, greatest(2 * $5 / count(*) OVER (), 1) AS of_each \
    FROM member mb CROSS JOIN LATERAL (SELECT id FROM flow \
    WHERE id = mb.flow_id AND changed_at > $2 OFFSET 0) f \
    WHERE mb.user_id = $1 AND (mb.flow_id = $3 OR $3 = 0)) \
    SELECT v.id AS flow_id, n.changed_at, v.of_each FROM changed v CROSS JOIN LATERAL \
    (SELECT c.changed_at FROM message c WHERE c.flow_id = v.id AND c.changed_at > $2 \
    AND c.changed_at <= $4 ORDER BY c.changed_at LIMIT v.of_each) n \
    ORDER BY n.changed_at LIMIT $5";

/// PostgreSQL: the times of the next changes in flows, each after a time of its own, ordered by
/// time, with the number that were read of each: flows, times, up to, that number, limit.
pub(crate) const NEXT_CHANGES: &str = "\
    SELECT v.flow_id, n.changed_at, CAST($4 AS bigint) AS of_each \
    FROM unnest(CAST(CAST($1 AS text) AS bigint[]), \
    CAST(CAST($2 AS text) AS bigint[])) v (flow_id, after) CROSS JOIN LATERAL \
    (SELECT c.changed_at FROM message c WHERE c.flow_id = v.flow_id AND c.changed_at > v.after \
    AND c.changed_at <= $3 ORDER BY c.changed_at LIMIT $4) n ORDER BY n.changed_at LIMIT $5";

/// PostgreSQL: the messages of flows that changed at these times, within a size: flows, times,
/// size. Contents that are stored apart from their rows are read only of messages that fit.
pub(crate) static CHANGES_AT: LazyLock<String> = LazyLock::new(|| {
    let (columns, bytes) = (columns::<message::Entity>("n"), content_bytes("n"));
    let sized = format!(
        "SELECT {columns}, sum({bytes}) OVER (ORDER BY n.changed_at) - ({bytes}) AS bytes_before \
         FROM unnest(CAST(CAST($1 AS text) AS bigint[]), CAST(CAST($2 AS text) AS bigint[])) \
         v (flow_id, changed_at) \
         JOIN message n ON n.flow_id = v.flow_id AND n.changed_at = v.changed_at"
    );
    let fitting = format!("SELECT * FROM ({sized}) n WHERE n.bytes_before <= $3");
    joined_with_authors(&fitting, "m.changed_at")
});

/// The stored size of a message's content as a column, without reading the content.
fn size(message: &str) -> String {
    format!("{} AS size", content_bytes(message))
}

fn content_bytes(message: &str) -> String {
    format!(
        "octet_length({message}.text) + coalesce(octet_length({message}.attachments), 0) \
         + coalesce(octet_length({message}.emoji), 0)"
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

/// The messages that satisfy a condition, with their authors and the kinds and versions of their
/// flows; none of a deleted flow. `limit` bounds the joins.
fn with_authors(condition: &str, limit: &str, order: &str) -> String {
    columns_with_authors(&columns::<message::Entity>("m"), condition, limit, order)
}

fn columns_with_authors(columns: &str, condition: &str, limit: &str, order: &str) -> String {
    let messages = format!("SELECT {columns} FROM message m WHERE {condition} {limit}");
    joined_with_authors(&messages, order)
}

/// The messages of a query, with the same.
fn joined_with_authors(messages: &str, order: &str) -> String {
    format!(
        "SELECT m.*, u.login AS author_login, u.username AS author_username, \
         u.name AS author_name, f.kind AS flow_kind, f.version AS flow_version \
         FROM ({messages}) m \
         JOIN \"user\" u ON u.id = m.author_id JOIN flow f ON f.id = m.flow_id \
         WHERE f.deleted_at IS NULL ORDER BY {order}"
    )
}
