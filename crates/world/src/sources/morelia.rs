//! MoreliaTalk: users with BLAKE2b hashes, flows and their users, messages; ids are 128 bits wide
//! and written in decimal.

use super::error::SourceError;
use crate::id::Id;
use crate::record::{Attachment, AttachmentKind, Flow, FlowKind, Member, Message, Record, User};
use crate::time::Time;
use base64::Engine as _;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::collections::HashSet;
use std::fmt::Write;
use tolmach_domain::{ExternalId, Timestamp};

const COUNT: &str = "SELECT (SELECT count(*) FROM user_config) + (SELECT count(*) FROM flow) \
     + (SELECT count(*) FROM message)";

const USERS: &str = "SELECT id, uuid, login, hash_password, password, username, is_bot, email, \
     bio, CAST(avatar AS TEXT) AS avatar, salt, \"key\" AS hash_key FROM user_config \
     WHERE id > ?1 ORDER BY id LIMIT 1000";

const FLOWS: &str = "SELECT f.id, f.uuid, f.time_created, f.flow_type, f.title, f.info, f.owner, \
     (SELECT u.uuid FROM flow_user_config fu JOIN user_config u ON u.id = fu.user_config_id \
     WHERE fu.flow_id = f.id ORDER BY u.id LIMIT 1) AS one, \
     (SELECT u.uuid FROM flow_user_config fu JOIN user_config u ON u.id = fu.user_config_id \
     WHERE fu.flow_id = f.id ORDER BY u.id LIMIT 1 OFFSET 1) AS other, \
     (SELECT count(*) FROM flow_user_config fu WHERE fu.flow_id = f.id) AS users \
     FROM flow f WHERE f.id > ?1 ORDER BY f.id LIMIT 1000";

const MESSAGES: &str = "SELECT m.id, m.uuid, f.uuid AS flow, u.uuid AS author, m.text, m.time, \
     CAST(m.file_picture AS TEXT) AS picture, CAST(m.file_video AS TEXT) AS video, \
     CAST(m.file_audio AS TEXT) AS audio, CAST(m.file_document AS TEXT) AS document, \
     CAST(m.emoji AS TEXT) AS emoji, m.edited_time, m.edited_status FROM message m \
     LEFT JOIN flow f ON f.id = m.flow_id LEFT JOIN user_config u ON u.id = m.user_id \
     WHERE m.id > ?1 ORDER BY m.id LIMIT 1000";

const MEMBERS: &str = "SELECT fu.rowid AS place, f.uuid AS flow, u.uuid AS user, \
     (SELECT m.uuid FROM message m WHERE m.flow_id = f.id ORDER BY m.id DESC LIMIT 1) AS last \
     FROM flow_user_config fu JOIN flow f ON f.id = fu.flow_id \
     JOIN user_config u ON u.id = fu.user_config_id \
     WHERE fu.rowid > ?1 ORDER BY fu.rowid LIMIT 1000";

pub(super) async fn count(database: &mut SqliteConnection) -> Result<u64, SourceError> {
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(database).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) async fn read<E>(
    database: &mut SqliteConnection,
    take: &mut impl AsyncFnMut(Record) -> Result<(), E>,
) -> Result<Result<(), E>, SourceError> {
    let mut pairs = HashSet::new();
    for (statement, place, convert) in [
        (USERS, "id", user as fn(&SqliteRow, &mut Pairs) -> Result<Record, sqlx::Error>),
        (FLOWS, "id", flow),
        (MESSAGES, "id", message),
        (MEMBERS, "place", member),
    ] {
        let mut after = 0_i64;
        loop {
            let rows = sqlx::query(statement).bind(after).fetch_all(&mut *database).await?;
            let Some(last) = rows.last() else { break };
            after = last.try_get(place)?;
            for row in rows {
                if let Err(error) = take(convert(&row, &mut pairs)?).await {
                    return Ok(Err(error));
                }
            }
        }
    }
    Ok(Ok(()))
}

/// The pairs that have a chat.
type Pairs = HashSet<(Id, Id)>;

fn user(row: &SqliteRow, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    let hash: Option<String> = row.try_get("hash_password")?;
    let (salt, key) = (bytes(row, "salt")?, bytes(row, "hash_key")?);
    let password: Option<String> = row.try_get("password")?;
    let (password, password_hash) = match hash {
        Some(hash) => (None, Some(format!("blake2b${}${}${hash}", hex(&key), hex(&salt)))),
        None => (password, None),
    };
    Ok(Record::User(Box::new(User {
        id: id(row, "uuid")?,
        login: row.try_get("login")?,
        username: row.try_get("username")?,
        name: None,
        email: row.try_get("email")?,
        phone: None,
        bio: row.try_get::<Option<String>, _>("bio")?.unwrap_or_default(),
        avatar: row.try_get("avatar")?,
        photo: None,
        bot: row.try_get::<Option<bool>, _>("is_bot")?.unwrap_or_default(),
        admin: false,
        business: false,
        profile: true,
        password,
        password_hash,
        created_at: None,
        deleted_at: None,
    })))
}

fn flow(row: &SqliteRow, pairs: &mut Pairs) -> Result<Record, sqlx::Error> {
    let (one, other) = (id(row, "one")?, id(row, "other")?);
    let users: i64 = row.try_get("users")?;
    let kind: Option<String> = row.try_get("flow_type")?;
    let pair = (one.min(other), one.max(other));
    // A chat of more or fewer than two, or a second one of a pair, is a group.
    let is_chat = kind.as_deref() == Some("chat") && users == 2 && pairs.insert(pair);
    let kind = match kind.as_deref() {
        Some("channel") => FlowKind::Channel,
        _ if is_chat => FlowKind::Chat,
        _ => FlowKind::Group,
    };
    let owner: Option<String> = row.try_get("owner")?;
    let created_at: Option<i64> = row.try_get("time_created")?;
    Ok(Record::Flow(Flow {
        id: id(row, "uuid")?,
        kind,
        title: row.try_get::<Option<String>, _>("title")?.unwrap_or_default(),
        info: row.try_get::<Option<String>, _>("info")?.unwrap_or_default(),
        owner: owner.and_then(|owner| Id::parse(&owner)).unwrap_or(one),
        pair: is_chat.then_some([one, other]),
        photo: None,
        created_at: created_at.map(seconds),
    }))
}

fn message(row: &SqliteRow, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    let mut attachments = Vec::new();
    for (column, kind) in [
        ("picture", AttachmentKind::Picture),
        ("video", AttachmentKind::Video),
        ("audio", AttachmentKind::Audio),
        ("document", AttachmentKind::Document),
    ] {
        let data: Option<String> = row.try_get(column)?;
        let file = data.filter(|data| !data.is_empty()).map(|data| Attachment { kind, data });
        attachments.extend(file);
    }
    let edited = row.try_get::<Option<bool>, _>("edited_status")?.unwrap_or_default();
    let edited_at: Option<i64> = row.try_get("edited_time")?;
    let posted_at: Option<i64> = row.try_get("time")?;
    Ok(Record::Message(Message {
        id: id(row, "uuid")?,
        flow: id(row, "flow")?,
        author: id(row, "author")?,
        text: row.try_get::<Option<String>, _>("text")?.unwrap_or_default(),
        content_type: None,
        attachments,
        emoji: row.try_get::<Option<String>, _>("emoji")?.filter(|emoji| !emoji.is_empty()),
        reply_to: None,
        posted_at: seconds(posted_at.unwrap_or_default()),
        edited_at: edited_at.filter(|_| edited).map(seconds),
        deleted_at: None,
    }))
}

fn member(row: &SqliteRow, _: &mut Pairs) -> Result<Record, sqlx::Error> {
    let last: Option<String> = row.try_get("last")?;
    Ok(Record::Member(Member {
        flow: id(row, "flow")?,
        user: id(row, "user")?,
        joined_at: None,
        // The server kept no read marks: what is there counts as read.
        read: last.and_then(|last| Id::parse(&last)),
    }))
}

/// An id of the server; 0, which nothing has, where it is missing or malformed.
fn id(row: &SqliteRow, column: &str) -> Result<Id, sqlx::Error> {
    let text: Option<String> = row.try_get(column)?;
    Ok(text.and_then(|text| Id::parse(&text)).unwrap_or(Id(ExternalId(0))))
}

/// A column of bytes. SQLObject writes them to SQLite in base64, whose length is a multiple of 4
/// like that of a key; only its digits are text.
fn bytes(row: &SqliteRow, column: &str) -> Result<Vec<u8>, sqlx::Error> {
    let stored: Option<Vec<u8>> = row.try_get_unchecked(column)?;
    let stored = stored.unwrap_or_default();
    let is_base64 = matches!(stored.len(), 24 | 28) && stored.ends_with(b"=");
    Ok(if is_base64 { base64(&stored).unwrap_or(stored) } else { stored })
}

/// The bytes that base64 with padding says.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn seconds(seconds: i64) -> Time {
    Time(Timestamp::from_micros(seconds.saturating_mul(1_000_000)))
}
