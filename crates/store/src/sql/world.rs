//! Statements that import and export many rows.

use super::columns::columns;
use super::list_statement::{ListStatement, placeholders, placeholders_from};
use crate::entities::{flow, user};
use std::sync::LazyLock;

/// The columns of a user as [`INSERT_USERS`] fills them.
pub(crate) const USER_COLUMNS: [&str; 19] = [
    "id",
    "login",
    "login_key",
    "username",
    "name",
    "email",
    "email_key",
    "phone",
    "bio",
    "photo_key",
    "photo_type",
    "bot",
    "admin",
    "business",
    "profile",
    "password_hash",
    "created_at",
    "changed_at",
    "deleted_at",
];

/// The columns of a flow as [`INSERT_FLOWS`] fills them.
pub(crate) const FLOW_COLUMNS: [&str; 11] = [
    "id",
    "kind",
    "title",
    "info",
    "owner_id",
    "photo_key",
    "photo_type",
    "pair",
    "version",
    "created_at",
    "changed_at",
];

/// The columns of a message as [`INSERT_IMPORTED_MESSAGES`] fills them.
pub(crate) const IMPORTED_MESSAGE_COLUMNS: [&str; 15] = [
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
    "edited_at",
    "deleted_at",
    "changed_at",
    "imported",
];

/// The columns of a member as [`INSERT_MEMBERS`] fills them.
pub(crate) const MEMBER_COLUMNS: [&str; 6] =
    ["flow_id", "user_id", "read_version", "acted", "joined_at", "business"];

/// Inserts users, each with [`USER_COLUMNS`].
pub(crate) static INSERT_USERS: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::insert("\"user\"", &USER_COLUMNS));

/// Inserts flows, each with [`FLOW_COLUMNS`].
pub(crate) static INSERT_FLOWS: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::insert("flow", &FLOW_COLUMNS));

/// Inserts messages, each with [`IMPORTED_MESSAGE_COLUMNS`].
pub(crate) static INSERT_IMPORTED_MESSAGES: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::insert("message", &IMPORTED_MESSAGE_COLUMNS));

/// Inserts members, each with [`MEMBER_COLUMNS`].
pub(crate) static INSERT_MEMBERS: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::insert("member", &MEMBER_COLUMNS));

/// Inserts identifiers: form, key, user of each.
pub(crate) static INSERT_IDENTIFIERS: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::insert("identifier", &["form", "name_key", "user_id"]));

/// Inserts avatars: user, data of each.
pub(crate) static INSERT_AVATARS: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::insert("avatar", &["user_id", "data"]));

/// Those of these identifiers of a form that a user has: form, keys. SQLite searches the index for
/// each key, as it would not for pairs of form and key.
pub(crate) static TAKEN_IDENTIFIERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT name_key FROM identifier WHERE form = $1 AND name_key IN ({})",
            placeholders_from(2, length)
        )
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
pub(crate) static EXISTING_USERS: LazyLock<ListStatement> = LazyLock::new(|| existing("\"user\""));

/// The ids of those of these flows that exist, deleted ones too.
pub(crate) static EXISTING_FLOWS: LazyLock<ListStatement> = LazyLock::new(|| existing("flow"));

fn existing(table: &'static str) -> ListStatement {
    ListStatement::new(move |length| {
        format!("SELECT id FROM {table} WHERE id IN ({})", placeholders(length))
    })
}

/// The versions of those of these flows that are not deleted, and the times of their last changes.
pub(crate) static NEWEST_VERSIONS: LazyLock<ListStatement> =
    LazyLock::new(|| of_flows("id, version, changed_at"));

/// Those of these flows that are not deleted, as their members need them.
pub(crate) static MEMBER_FLOWS: LazyLock<ListStatement> =
    LazyLock::new(|| of_flows("id, owner_id, pair, created_at"));

fn of_flows(columns: &'static str) -> ListStatement {
    ListStatement::new(move |length| {
        format!(
            "SELECT {columns} FROM flow WHERE deleted_at IS NULL AND id IN ({})",
            placeholders(length)
        )
    })
}

/// Those of these users that are not deleted, with their tariffs.
pub(crate) static MEMBER_USERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT id, business FROM \"user\" WHERE deleted_at IS NULL AND id IN ({})",
            placeholders(length)
        )
    })
});

/// Those of these pairs of users that have a chat.
pub(crate) static PAIRS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!("SELECT pair FROM flow WHERE pair IN ({})", placeholders(length))
    })
});

/// The columns of messages by which an import recognises them, by id.
pub(crate) static MESSAGE_IDENTITIES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT id, flow_id, author_id, posted, posted_at FROM message WHERE id IN ({})",
            placeholders(length)
        )
    })
});

/// The contents of messages by id; none of a deleted flow.
pub(crate) static MESSAGE_CONTENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT m.id, m.flow_id, m.content_type, m.text, m.attachments, m.emoji, m.posted_at \
             FROM message m JOIN flow f ON f.id = m.flow_id \
             WHERE f.deleted_at IS NULL AND m.id IN ({})",
            placeholders(length)
        )
    })
});

/// The authors in these flows, of messages that are not deleted.
pub(crate) static AUTHORS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT DISTINCT flow_id, author_id FROM message \
             WHERE deleted_at IS NULL AND flow_id IN ({})",
            placeholders(length)
        )
    })
});

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
