//! Statements that import and export many rows.

use super::array::Type;
use super::columns::columns;
use super::flows::{set_acted, set_flow_versions};
use super::list_query::ListQuery;
use super::list_statement::{ListStatement, placeholders_from};
use super::rows_statement::RowsStatement;
use crate::entities::{flow, user};
use std::sync::LazyLock;

/// The columns of a user as [`INSERT_USERS`] fills them.
pub(crate) const USER_COLUMNS: [(&str, Type); 19] = [
    ("id", Type::Integer),
    ("login", Type::Text),
    ("login_key", Type::Text),
    ("username", Type::Text),
    ("name", Type::Text),
    ("email", Type::Text),
    ("email_key", Type::Text),
    ("phone", Type::Text),
    ("bio", Type::Text),
    ("photo_key", Type::Text),
    ("photo_type", Type::Text),
    ("bot", Type::Boolean),
    ("admin", Type::Boolean),
    ("business", Type::Boolean),
    ("profile", Type::Boolean),
    ("password_hash", Type::Text),
    ("created_at", Type::Integer),
    ("changed_at", Type::Integer),
    ("deleted_at", Type::Integer),
];

/// The columns of a flow as [`INSERT_FLOWS`] fills them.
pub(crate) const FLOW_COLUMNS: [(&str, Type); 11] = [
    ("id", Type::Integer),
    ("kind", Type::Text),
    ("title", Type::Text),
    ("info", Type::Text),
    ("owner_id", Type::Integer),
    ("photo_key", Type::Text),
    ("photo_type", Type::Text),
    ("pair", Type::Text),
    ("version", Type::Integer),
    ("created_at", Type::Integer),
    ("changed_at", Type::Integer),
];

/// The columns of a message as [`INSERT_IMPORTED_MESSAGES`] fills them.
pub(crate) const IMPORTED_MESSAGE_COLUMNS: [(&str, Type); 15] = [
    ("id", Type::Integer),
    ("flow_id", Type::Integer),
    ("author_id", Type::Integer),
    ("content_type", Type::Text),
    ("text", Type::Text),
    ("attachments", Type::Text),
    ("emoji", Type::Text),
    ("reply_to", Type::Integer),
    ("posted", Type::Integer),
    ("version", Type::Integer),
    ("posted_at", Type::Integer),
    ("edited_at", Type::Integer),
    ("deleted_at", Type::Integer),
    ("changed_at", Type::Integer),
    ("imported", Type::Boolean),
];

/// The columns of a member as [`INSERT_MEMBERS`] fills them.
pub(crate) const MEMBER_COLUMNS: [(&str, Type); 6] = [
    ("flow_id", Type::Integer),
    ("user_id", Type::Integer),
    ("read_version", Type::Integer),
    ("acted", Type::Boolean),
    ("joined_at", Type::Integer),
    ("business", Type::Boolean),
];

const IDENTIFIER_COLUMNS: [(&str, Type); 3] =
    [("form", Type::Integer), ("name_key", Type::Text), ("user_id", Type::Integer)];

const AVATAR_COLUMNS: [(&str, Type); 2] = [("user_id", Type::Integer), ("data", Type::Text)];

/// Inserts users, each with [`USER_COLUMNS`].
pub(crate) static INSERT_USERS: LazyLock<RowsStatement> =
    LazyLock::new(|| RowsStatement::insert("\"user\"", &USER_COLUMNS));

/// Inserts flows, each with [`FLOW_COLUMNS`].
pub(crate) static INSERT_FLOWS: LazyLock<RowsStatement> =
    LazyLock::new(|| RowsStatement::insert("flow", &FLOW_COLUMNS));

/// Inserts messages, each with [`IMPORTED_MESSAGE_COLUMNS`].
pub(crate) static INSERT_IMPORTED_MESSAGES: LazyLock<RowsStatement> =
    LazyLock::new(|| RowsStatement::insert("message", &IMPORTED_MESSAGE_COLUMNS));

/// Inserts members, each with [`MEMBER_COLUMNS`].
pub(crate) static INSERT_MEMBERS: LazyLock<RowsStatement> =
    LazyLock::new(|| RowsStatement::insert("member", &MEMBER_COLUMNS));

/// Inserts identifiers: form, key, user of each.
pub(crate) static INSERT_IDENTIFIERS: LazyLock<RowsStatement> =
    LazyLock::new(|| RowsStatement::insert("identifier", &IDENTIFIER_COLUMNS));

/// Inserts avatars: user, data of each.
pub(crate) static INSERT_AVATARS: LazyLock<RowsStatement> =
    LazyLock::new(|| RowsStatement::insert("avatar", &AVATAR_COLUMNS));

/// Those of these identifiers of a form that a user has: form, keys. SQLite searches the index for
/// each key, as it would not for pairs of form and key.
pub(crate) static TAKEN_IDENTIFIERS: LazyLock<ListQuery> = LazyLock::new(|| {
    ListQuery::new("name_key", Type::Text, 2, |condition| {
        format!("SELECT name_key FROM identifier WHERE form = $1 AND {condition}")
    })
});

/// The users to whom these identifiers of a form belong: form, keys.
pub(crate) static IDENTIFIER_OWNERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT i.name_key, u.id, u.login, u.email, u.deleted_at FROM identifier i \
             JOIN \"user\" u ON u.id = i.user_id WHERE i.form = $1 AND i.name_key IN ({})",
            placeholders_from(2, length)
        )
    })
});

/// The ids of those of these users that exist, deleted ones too.
pub(crate) static EXISTING_USERS: LazyLock<ListQuery> =
    LazyLock::new(|| by_id("SELECT id FROM \"user\" WHERE"));

/// The ids of those of these flows that exist, deleted ones too.
pub(crate) static EXISTING_FLOWS: LazyLock<ListQuery> =
    LazyLock::new(|| by_id("SELECT id FROM flow WHERE"));

/// The versions of those of these flows that are not deleted, and the times of their last changes.
pub(crate) static NEWEST_VERSIONS: LazyLock<ListQuery> = LazyLock::new(|| {
    by_id("SELECT id, version, changed_at FROM flow WHERE deleted_at IS NULL AND")
});

/// Those of these flows that are not deleted, as their members need them.
pub(crate) static MEMBER_FLOWS: LazyLock<ListQuery> = LazyLock::new(|| {
    by_id("SELECT id, owner_id, pair, created_at FROM flow WHERE deleted_at IS NULL AND")
});

/// Has the members of these flows counted again when their number is next needed.
pub(crate) static FORGET_MEMBER_COUNTS: LazyLock<ListQuery> = LazyLock::new(|| {
    by_id("UPDATE flow SET member_count = NULL WHERE member_count IS NOT NULL AND")
});

/// Those of these users that are not deleted, with their tariffs.
pub(crate) static MEMBER_USERS: LazyLock<ListQuery> =
    LazyLock::new(|| by_id("SELECT id, business FROM \"user\" WHERE deleted_at IS NULL AND"));

/// Those of these pairs of users that have a chat.
pub(crate) static PAIRS: LazyLock<ListQuery> = LazyLock::new(|| {
    ListQuery::new("pair", Type::Text, 1, |condition| {
        format!("SELECT pair FROM flow WHERE {condition}")
    })
});

/// The columns of messages by which an import recognises them, by id.
pub(crate) static MESSAGE_IDENTITIES: LazyLock<ListQuery> =
    LazyLock::new(|| by_id("SELECT id, flow_id, author_id, posted, posted_at FROM message WHERE"));

/// The contents of messages by id; none of a deleted flow. Deleted flows are few and have an index
/// of their own: a join would look up the flow of each message.
pub(crate) static MESSAGE_CONTENTS: LazyLock<ListQuery> = LazyLock::new(|| {
    ListQuery::new("m.id", Type::Integer, 1, |condition| {
        format!(
            "SELECT m.id, m.flow_id, m.content_type, m.text, m.attachments, m.emoji, m.posted_at \
             FROM message m WHERE {condition} \
             AND m.flow_id NOT IN (SELECT id FROM flow WHERE deleted_at IS NOT NULL)"
        )
    })
});

/// The authors in these flows, of messages that are not deleted.
pub(crate) static AUTHORS: LazyLock<ListQuery> = LazyLock::new(|| {
    ListQuery::new("flow_id", Type::Integer, 1, |condition| {
        format!(
            "SELECT DISTINCT flow_id, author_id FROM message \
             WHERE deleted_at IS NULL AND {condition}"
        )
    })
});

/// A query that ends with the condition on its list of ids.
fn by_id(beginning: &'static str) -> ListQuery {
    ListQuery::new("id", Type::Integer, 1, |condition| format!("{beginning} {condition}"))
}

/// Sets the versions and the commit times of flows: id, version, commit time of each.
pub(crate) static SET_NEWEST_VERSIONS: LazyLock<RowsStatement> =
    LazyLock::new(|| RowsStatement::new(&[Type::Integer; 3], set_flow_versions));

/// Notes that members have acted: flow, user of each.
pub(crate) static SET_AUTHORS_ACTED: LazyLock<RowsStatement> =
    LazyLock::new(|| RowsStatement::new(&[Type::Integer; 2], set_acted));

/// Notes the ids given out before the first import of a source, and changes nothing if that is
/// known: source, users, flows, messages.
pub(crate) const BEGIN_IMPORT: &str = "\
    INSERT INTO import_source (source, users, flows, messages, line_count) \
    VALUES ($1, $2, $3, $4, 0) ON CONFLICT (source) DO NOTHING";

/// The state of an import: source.
pub(crate) const IMPORT_STATE: &str = "\
    SELECT users, flows, messages, line_count, digest, source_cursor, groups_apart \
    FROM import_source WHERE source = $1";

/// Sets the position of an import: lines, digest, source.
pub(crate) const SET_IMPORT_POSITION: &str = "\
    UPDATE import_source SET line_count = $1, digest = $2 WHERE source = $3";

/// Sets the cursor of an import: cursor, source.
pub(crate) const SET_IMPORT_CURSOR: &str = "\
    UPDATE import_source SET source_cursor = $1 WHERE source = $2";

/// Notes that a source numbers groups apart from chats, or not: true if it does, source.
pub(crate) const SET_GROUPS_APART: &str = "\
    UPDATE import_source SET groups_apart = $1 WHERE source = $2";

/// PostgreSQL: those of the tables that an import fills which have doubled since they were counted.
pub(crate) const GROWN_TABLES: &str = "\
    SELECT c.relname::text AS name FROM pg_class c \
    WHERE c.relnamespace = \
    (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) \
    AND c.relname IN ('user', 'flow', 'message', 'member', 'identifier', 'external_id') \
    AND pg_relation_size(c.oid) > \
    2 * current_setting('block_size')::bigint * greatest(c.relpages, 1)";

/// Users after one of them, with their avatars: id, limit.
pub(crate) static EXPORT_USERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, a.data AS avatar FROM \"user\" u LEFT JOIN avatar a ON a.user_id = u.id \
         WHERE u.id > $1 ORDER BY u.id LIMIT $2",
        columns::<user::Entity>("u")
    )
});

/// Flows after one of them: id, limit.
pub(crate) static EXPORT_FLOWS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM flow f WHERE f.id > $1 AND f.deleted_at IS NULL ORDER BY f.id LIMIT $2",
        columns::<flow::Entity>("f")
    )
});

/// The ids of messages after a place: flow, posted, limit.
pub(crate) const EXPORT_MESSAGES: &str = "\
    SELECT m.id FROM message m JOIN flow f ON f.id = m.flow_id AND f.deleted_at IS NULL \
    WHERE m.deleted_at IS NULL AND (m.flow_id, m.posted) > ($1, $2) \
    ORDER BY m.flow_id, m.posted LIMIT $3";

/// Members after one of them, each with the last message that was read: flow, user, limit.
pub(crate) const EXPORT_MEMBERS: &str = "\
    SELECT mb.flow_id, mb.user_id, mb.joined_at, (SELECT m.id FROM message m \
    WHERE m.flow_id = mb.flow_id AND m.posted <= mb.read_version AND m.deleted_at IS NULL \
    ORDER BY m.posted DESC LIMIT 1) AS last_read FROM member mb \
    WHERE (mb.flow_id, mb.user_id) > ($1, $2) ORDER BY mb.flow_id, mb.user_id LIMIT $3";
