//! Conversion of rows to domain values and back.

use crate::entities::flow::Kind;
use crate::entities::message::{Attached, AttachedKind};
use crate::entities::{flow, message, user};
use crate::error::corrupt;
use crate::sql::get;
use sea_orm::{FromQueryResult, QueryResult};
use std::borrow::Cow;
use tolmach_domain::{
    Attachment, AttachmentKind, Content, ContentType, Flow, FlowId, FlowKind, Message, MessageId,
    PhotoKey, SessionId, Timestamp, User, UserId, UserSummary, Version,
};
use tolmach_engine::ports::{StoreError, StoredContent};

/// The form of an identifier: case-folded.
pub(crate) const EXACT: i64 = 0;
/// The form of a login's look.
pub(crate) const LOOK: i64 = 1;

pub(crate) fn user_id(number: i64) -> Result<UserId, StoreError> {
    UserId::new(number).map_err(corrupt)
}

pub(crate) fn flow_id(number: i64) -> Result<FlowId, StoreError> {
    FlowId::new(number).map_err(corrupt)
}

pub(crate) fn message_id(number: i64) -> Result<MessageId, StoreError> {
    MessageId::new(number).map_err(corrupt)
}

pub(crate) fn session_id(number: i64) -> Result<SessionId, StoreError> {
    SessionId::new(number).map_err(corrupt)
}

pub(crate) fn user(row: user::Model) -> Result<User, StoreError> {
    Ok(User {
        id: user_id(row.id)?,
        login: row.login,
        username: row.username,
        name: row.name,
        email: row.email,
        phone: row.phone,
        bio: row.bio,
        avatar: None,
        photo: photo(row.photo_key, row.photo_type),
        bot: row.bot,
        admin: row.admin,
        business: row.business,
        profile: row.profile,
        created_at: Timestamp::from_micros(row.created_at),
        changed_at: Timestamp::from_micros(row.changed_at),
        deleted_at: row.deleted_at.map(Timestamp::from_micros),
    })
}

/// The summary of a user, from a row with the columns `id`, `login`, `username` and `name`.
pub(crate) fn user_summary(row: &QueryResult) -> Result<UserSummary, StoreError> {
    Ok(UserSummary {
        id: user_id(get(row, "id")?)?,
        login: get::<String>(row, "login")?.into(),
        username: get::<String>(row, "username")?.into(),
        name: get::<String>(row, "name")?.into(),
    })
}

/// The two columns of a photo.
pub(crate) fn photo_columns(photo: Option<PhotoKey>) -> (Option<String>, Option<String>) {
    photo.map(|photo| (photo.key, photo.media_type)).unzip()
}

fn photo(key: Option<String>, media_type: Option<String>) -> Option<PhotoKey> {
    key.zip(media_type).map(|(key, media_type)| PhotoKey { key, media_type })
}

pub(crate) fn flow(row: flow::Model) -> Result<Flow, StoreError> {
    Ok(Flow {
        id: flow_id(row.id)?,
        kind: row.kind.into(),
        title: row.title,
        info: row.info,
        owner: Some(user_id(row.owner_id)?),
        photo: photo(row.photo_key, row.photo_type),
        version: Version(row.version),
        created_at: Timestamp::from_micros(row.created_at),
        changed_at: Timestamp::from_micros(row.changed_at),
    })
}

/// The id and version of a flow, from a row with the columns `id` and `version`.
pub(crate) fn flow_version(row: &QueryResult) -> Result<(FlowId, Version), StoreError> {
    Ok((flow_id(get(row, "id")?)?, Version(get(row, "version")?)))
}

/// A message with its author, from a row of a query in [`crate::sql`] over messages.
pub(crate) fn message(row: &QueryResult) -> Result<Message, StoreError> {
    let author = (
        get::<String>(row, "author_login")?,
        get::<String>(row, "author_username")?,
        get::<String>(row, "author_name")?,
    );
    let flow_kind: Kind = get(row, "flow_kind")?;
    let row = message::Model::from_query_result(row, "").map_err(corrupt)?;
    let attachments = attachments(row.attachments.as_deref())?;
    Ok(Message {
        id: message_id(row.id)?,
        flow: flow_id(row.flow_id)?,
        flow_kind: flow_kind.into(),
        author: UserSummary {
            id: user_id(row.author_id)?,
            login: author.0.into(),
            username: author.1.into(),
            name: author.2.into(),
        },
        content: Content {
            text: row.text,
            content_type: content_type(row.content_type),
            attachments,
            emoji: row.emoji,
            reply_to: row.reply_to.map(message_id).transpose()?,
        },
        posted: Version(row.posted),
        version: Version(row.version),
        posted_at: Timestamp::from_micros(row.posted_at),
        edited_at: row.edited_at.map(Timestamp::from_micros),
        deleted_at: row.deleted_at.map(Timestamp::from_micros),
        changed_at: Timestamp::from_micros(row.changed_at),
    })
}

/// The content of a message, from a row of [`crate::sql::MESSAGE_CONTENTS`].
pub(crate) fn stored_content(row: &QueryResult) -> Result<StoredContent, StoreError> {
    Ok(StoredContent {
        id: message_id(get(row, "id")?)?,
        flow: flow_id(get(row, "flow_id")?)?,
        content: Content {
            text: get(row, "text")?,
            content_type: content_type(get(row, "content_type")?),
            attachments: attachments(get::<Option<String>>(row, "attachments")?.as_deref())?,
            emoji: get(row, "emoji")?,
            reply_to: None,
        },
        posted_at: Timestamp::from_micros(get(row, "posted_at")?),
    })
}

/// Prefix of a content type that a client named, so that no name collides with a known type.
const OTHER: &str = "other:";

fn content_type(text: String) -> ContentType {
    match text.as_str() {
        "text" => ContentType::Text,
        "image" => ContentType::Image,
        "file" => ContentType::File,
        "sticker" => ContentType::Sticker,
        other => ContentType::Other(other.strip_prefix(OTHER).unwrap_or(other).into()),
    }
}

pub(crate) fn content_type_text(content_type: &ContentType) -> String {
    match content_type {
        ContentType::Text => "text".to_owned(),
        ContentType::Image => "image".to_owned(),
        ContentType::File => "file".to_owned(),
        ContentType::Sticker => "sticker".to_owned(),
        ContentType::Other(name) => format!("{OTHER}{name}"),
    }
}

fn attachments(text: Option<&str>) -> Result<Vec<Attachment>, StoreError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let list: Vec<Attached<'_>> = serde_json::from_str(text).map_err(corrupt)?;
    let attachment =
        |file: Attached<'_>| Attachment { kind: file.kind.into(), data: file.data.into_owned() };
    Ok(list.into_iter().map(attachment).collect())
}

pub(crate) fn attachments_text(attachments: &[Attachment]) -> Result<Option<String>, StoreError> {
    if attachments.is_empty() {
        return Ok(None);
    }
    let list: Vec<Attached<'_>> = attachments
        .iter()
        .map(|file| Attached { kind: file.kind.into(), data: Cow::Borrowed(&file.data) })
        .collect();
    serde_json::to_string(&list).map(Some).map_err(corrupt)
}

impl From<Kind> for FlowKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Chat => FlowKind::Chat,
            Kind::Group => FlowKind::Group,
            Kind::Channel => FlowKind::Channel,
        }
    }
}

impl From<FlowKind> for Kind {
    fn from(kind: FlowKind) -> Self {
        match kind {
            FlowKind::Chat => Kind::Chat,
            FlowKind::Group => Kind::Group,
            FlowKind::Channel => Kind::Channel,
        }
    }
}

impl From<AttachmentKind> for AttachedKind {
    fn from(kind: AttachmentKind) -> Self {
        match kind {
            AttachmentKind::Picture => AttachedKind::Picture,
            AttachmentKind::Video => AttachedKind::Video,
            AttachmentKind::Audio => AttachedKind::Audio,
            AttachmentKind::Document => AttachedKind::Document,
        }
    }
}

impl From<AttachedKind> for AttachmentKind {
    fn from(kind: AttachedKind) -> Self {
        match kind {
            AttachedKind::Picture => AttachmentKind::Picture,
            AttachedKind::Video => AttachmentKind::Video,
            AttachedKind::Audio => AttachmentKind::Audio,
            AttachedKind::Document => AttachmentKind::Document,
        }
    }
}
