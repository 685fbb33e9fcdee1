//! Messages.

use super::flow::FlowKind;
use super::user::UserSummary;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tolmach_domain as domain;
use tolmach_domain::{InvalidId, Timestamp};

#[derive(Serialize, Deserialize)]
pub(super) struct Message<'a> {
    id: i64,
    flow: i64,
    flow_kind: FlowKind,
    #[serde(borrow)]
    author: UserSummary<'a>,
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow)]
    content_type: ContentType<'a>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    emoji: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<i64>,
    posted: i64,
    version: i64,
    posted_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<i64>,
    changed_at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ContentType<'a> {
    Text,
    Image,
    File,
    Sticker,
    #[serde(borrow)]
    Other(Cow<'a, str>),
}

#[derive(Serialize, Deserialize)]
struct Attachment<'a> {
    kind: AttachmentKind,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AttachmentKind {
    Picture,
    Video,
    Audio,
    Document,
}

impl<'a> From<&'a domain::Message> for Message<'a> {
    fn from(message: &'a domain::Message) -> Self {
        let content = &message.content;
        Self {
            id: message.id.get(),
            flow: message.flow.get(),
            flow_kind: message.flow_kind.into(),
            author: (&message.author).into(),
            text: content.text.as_str().into(),
            content_type: match &content.content_type {
                domain::ContentType::Text => ContentType::Text,
                domain::ContentType::Image => ContentType::Image,
                domain::ContentType::File => ContentType::File,
                domain::ContentType::Sticker => ContentType::Sticker,
                domain::ContentType::Other(name) => ContentType::Other((&**name).into()),
            },
            attachments: content.attachments.iter().map(Attachment::from).collect(),
            emoji: content.emoji.as_deref().map(Cow::from),
            reply_to: content.reply_to.map(domain::MessageId::get),
            posted: message.posted.0,
            version: message.version.0,
            posted_at: message.posted_at.micros(),
            edited_at: message.edited_at.map(Timestamp::micros),
            deleted_at: message.deleted_at.map(Timestamp::micros),
            changed_at: message.changed_at.micros(),
        }
    }
}

impl TryFrom<Message<'_>> for domain::Message {
    type Error = InvalidId;

    fn try_from(message: Message<'_>) -> Result<Self, InvalidId> {
        let content = domain::Content {
            text: message.text.into_owned(),
            content_type: match message.content_type {
                ContentType::Text => domain::ContentType::Text,
                ContentType::Image => domain::ContentType::Image,
                ContentType::File => domain::ContentType::File,
                ContentType::Sticker => domain::ContentType::Sticker,
                ContentType::Other(name) => domain::ContentType::Other(name.into()),
            },
            attachments: message.attachments.into_iter().map(domain::Attachment::from).collect(),
            emoji: message.emoji.map(Cow::into_owned),
            reply_to: message.reply_to.map(TryInto::try_into).transpose()?,
        };
        Ok(Self {
            id: message.id.try_into()?,
            flow: message.flow.try_into()?,
            flow_kind: message.flow_kind.into(),
            author: message.author.try_into()?,
            content,
            posted: domain::Version(message.posted),
            version: domain::Version(message.version),
            posted_at: Timestamp::from_micros(message.posted_at),
            edited_at: message.edited_at.map(Timestamp::from_micros),
            deleted_at: message.deleted_at.map(Timestamp::from_micros),
            changed_at: Timestamp::from_micros(message.changed_at),
        })
    }
}

impl<'a> From<&'a domain::Attachment> for Attachment<'a> {
    fn from(attachment: &'a domain::Attachment) -> Self {
        let kind = match attachment.kind {
            domain::AttachmentKind::Picture => AttachmentKind::Picture,
            domain::AttachmentKind::Video => AttachmentKind::Video,
            domain::AttachmentKind::Audio => AttachmentKind::Audio,
            domain::AttachmentKind::Document => AttachmentKind::Document,
        };
        Self { kind, data: attachment.data.as_str().into() }
    }
}

impl From<Attachment<'_>> for domain::Attachment {
    fn from(attachment: Attachment<'_>) -> Self {
        let kind = match attachment.kind {
            AttachmentKind::Picture => domain::AttachmentKind::Picture,
            AttachmentKind::Video => domain::AttachmentKind::Video,
            AttachmentKind::Audio => domain::AttachmentKind::Audio,
            AttachmentKind::Document => domain::AttachmentKind::Document,
        };
        Self { kind, data: attachment.data.into_owned() }
    }
}
