//! MoreliaTalk: users with BLAKE2b hashes, flows and their users, messages; ids are 128 bits wide
//! and written in decimal. The tables are those of SQLObject, in SQLite or PostgreSQL.

use super::database::Row;
use super::table::{Pairs, Table};
use super::values::{NOTHING, seconds};
use crate::id::Id;
use crate::record::{Attachment, AttachmentKind, Flow, FlowKind, Member, Message, Record, User};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) const COUNT: &str = "SELECT (SELECT count(*) FROM user_config) \
     + (SELECT count(*) FROM flow) + (SELECT count(*) FROM message) AS count";

const USERS: &str = "SELECT CAST(id AS BIGINT) AS place, uuid, login, hash_password, password, \
     username, is_bot, email, bio, avatar, salt, \"key\" AS hash_key FROM user_config \
     WHERE id > $1 ORDER BY id LIMIT 1000";

/// Flows with the first and the last of their users. The table of members has no index, so that
/// pages are large.
const FLOWS: &str = "WITH page AS (SELECT * FROM flow WHERE id > $1 ORDER BY id LIMIT 10000) \
     SELECT CAST(f.id AS BIGINT) AS place, f.uuid, \
     CAST(f.time_created AS BIGINT) AS created_at, f.flow_type, f.title, f.info, f.owner, \
     one.uuid AS one, other.uuid AS other, fu.users FROM page f LEFT JOIN \
     (SELECT flow_id, min(user_config_id) AS one, max(user_config_id) AS other, \
     count(DISTINCT user_config_id) AS users FROM flow_user_config \
     WHERE flow_id IN (SELECT id FROM page) GROUP BY flow_id) fu \
     ON fu.flow_id = f.id LEFT JOIN user_config one ON one.id = fu.one \
     LEFT JOIN user_config other ON other.id = fu.other ORDER BY f.id";

/// Few a page, because they contain their files.
const MESSAGES: &str = "SELECT CAST(m.id AS BIGINT) AS place, m.uuid, f.uuid AS flow, \
     u.uuid AS author, m.text, CAST(m.time AS BIGINT) AS posted_at, m.file_picture, \
     m.file_video, m.file_audio, m.file_document, m.emoji, \
     CAST(m.edited_time AS BIGINT) AS edited_at, m.edited_status FROM message m \
     LEFT JOIN flow f ON f.id = m.flow_id LEFT JOIN user_config u ON u.id = m.user_id \
     WHERE m.id > $1 ORDER BY m.id LIMIT 100";

/// Members with the last messages of their flows. The place is made of both ids, which have 32
/// bits.
const MEMBERS: &str = "WITH page AS (SELECT fu.place, fu.flow_id, f.uuid AS flow, \
     u.uuid AS member FROM \
     (SELECT DISTINCT CAST(flow_id AS BIGINT) * 4294967296 + user_config_id AS place, flow_id, \
     user_config_id FROM flow_user_config) fu JOIN flow f ON f.id = fu.flow_id \
     JOIN user_config u ON u.id = fu.user_config_id \
     WHERE fu.place > $1 ORDER BY fu.place LIMIT 50000) \
     SELECT p.place, p.flow, p.member, m.uuid AS last FROM page p LEFT JOIN \
     (SELECT flow_id, max(id) AS id FROM message WHERE flow_id IN (SELECT flow_id FROM page) \
     GROUP BY flow_id) l ON l.flow_id = p.flow_id \
     LEFT JOIN message m ON m.id = l.id ORDER BY p.place";

/// The key of a user who was deleted.
const DELETED: &[u8] = b"deleted";

pub(super) fn tables() -> Vec<Table> {
    vec![
        Table::new(USERS, user),
        Table::new(FLOWS, flow),
        Table::new(MESSAGES, message),
        Table::unordered(MEMBERS, member),
    ]
}

fn user(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    let id = id(row, "uuid")?;
    let hash = row.text("hash_password")?;
    let (salt, key) = (bytes(row, "salt")?, bytes(row, "hash_key")?);
    let is_deleted = key.as_deref() == Some(DELETED);
    let (password, password_hash) = match hash {
        _ if is_deleted => (None, None),
        Some(hash) => {
            let (key, salt) =
                (hex::encode(key.unwrap_or_default()), hex::encode(salt.unwrap_or_default()));
            (None, Some(format!("blake2b${key}${salt}${hash}")))
        }
        None => (row.text("password")?, None),
    };
    // All deleted users have one login.
    let login = if is_deleted { Some(format!("deleted-{id}")) } else { row.text("login")? };
    Ok(Record::User(Box::new(User {
        username: row.text("username")?,
        email: row.text("email")?,
        bio: row.text("bio")?.unwrap_or_default(),
        avatar: file(row, "avatar")?,
        bot: row.flag("is_bot")?,
        password,
        password_hash,
        ..User::named(id, login.unwrap_or_default())
    })))
}

fn flow(row: &Row, pairs: &mut Pairs) -> Result<Record, sqlx::Error> {
    let (one, other) = (id(row, "one")?, id(row, "other")?);
    let kind: Option<String> = row.get("flow_type")?;
    let is_pair = kind.as_deref() == Some("chat") && row.number("users")? == 2;
    // A chat of more or fewer than two, or a second one of a pair, is a group.
    let is_chat = is_pair && pairs.is_first(one, other);
    let kind = match kind.as_deref() {
        Some("channel") => FlowKind::Channel,
        _ if is_chat => FlowKind::Chat,
        _ => FlowKind::Group,
    };
    let owner: Option<String> = row.get("owner")?;
    Ok(Record::Flow(Flow {
        id: id(row, "uuid")?,
        kind,
        title: row.get("title")?.unwrap_or_default(),
        info: row.get("info")?.unwrap_or_default(),
        owner: owner.and_then(|owner| Id::parse(&owner)).unwrap_or(one),
        pair: is_chat.then_some([one, other]),
        photo: None,
        created_at: row.get("created_at")?.map(seconds),
    }))
}

fn message(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    let mut attachments = Vec::new();
    for (column, kind) in [
        ("file_picture", AttachmentKind::Picture),
        ("file_video", AttachmentKind::Video),
        ("file_audio", AttachmentKind::Audio),
        ("file_document", AttachmentKind::Document),
    ] {
        attachments.extend(file(row, column)?.map(|data| Attachment { kind, data }));
    }
    let edited_at = if row.flag("edited_status")? { row.get("edited_at")? } else { None };
    Ok(Record::Message(Message {
        id: id(row, "uuid")?,
        flow: id(row, "flow")?,
        author: id(row, "author")?,
        text: row.get("text")?.unwrap_or_default(),
        content_type: None,
        attachments,
        emoji: file(row, "emoji")?,
        reply_to: None,
        posted_at: seconds(row.number("posted_at")?),
        edited_at: edited_at.map(seconds),
        deleted_at: None,
    }))
}

fn member(row: &Row, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    let last: Option<String> = row.get("last")?;
    Ok(Record::Member(Member {
        flow: id(row, "flow")?,
        user: id(row, "member")?,
        joined_at: None,
        // The server kept no read marks: what is there counts as read.
        read: last.and_then(|last| Id::parse(&last)),
    }))
}

/// An id of the server; that of nothing where it is missing or malformed.
fn id(row: &Row, column: &str) -> Result<Id, sqlx::Error> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| Id::parse(&text)).unwrap_or(NOTHING))
}

/// A column of bytes; `None` where there are none. SQLObject writes them to SQLite in base64, and
/// to PostgreSQL as they are.
fn bytes(row: &Row, column: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let stored: Option<Vec<u8>> = row.get(column)?;
    let bytes = stored.map(|stored| match row {
        Row::Sqlite(_) => STANDARD.decode(&stored).unwrap_or(stored),
        Row::Postgres(_) => stored,
    });
    Ok(bytes.filter(|bytes| !bytes.is_empty()))
}

/// A file as the client encoded it: the bytes are its text.
fn file(row: &Row, column: &str) -> Result<Option<String>, sqlx::Error> {
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap_or_else(|error| STANDARD.encode(error.as_bytes()))
    };
    Ok(bytes(row, column)?.map(text))
}
