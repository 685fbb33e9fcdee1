//! How an event travels between nodes: a JSON object with a version.
//!
//! `{"v":1,"node":7,"seq":12,"at":…,"moment":…,"origin":{…},"event":{"posted":{…}}}`, moments in
//! microseconds since the epoch. Nodes of neighbouring releases share a bus while a cluster is
//! upgraded, therefore:
//!
//! - What a node does not know of an envelope is passed over, so a field may be added that older
//!   nodes need not heed.
//! - An unknown version, or an unknown kind of event, cannot be read: whoever hears it asks the
//!   store instead.
//! - What was ever sent stays readable: `tests/fixtures` holds every form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tolmach_domain as domain;
use tolmach_domain::{ConnectionId, Event, EventKind, InvalidId, Timestamp};

/// The version that this node writes.
const VERSION: u32 = 1;

/// An event, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The node that published it.
    pub node: u64,
    /// Which of that node's events it is.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}

/// An envelope that this node cannot read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEnvelope {
    /// Somebody writes a version that this node does not know.
    #[error("an envelope has version {0}; this node reads version {VERSION}")]
    Version(u32),
    /// It is no envelope, or holds a kind of event that this node does not know.
    #[error("what came is no envelope of version {VERSION}: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A number in it cannot be an id.
    #[error("what came names an impossible id: {0}")]
    Id(#[from] InvalidId),
    /// The request id in it is not base64.
    #[error("what came has a request id that is not base64: {0}")]
    Tag(#[from] base64::DecodeError),
}

/// What every envelope of this node begins with, and no envelope of another node: so that its own
/// are told without reading them.
pub(crate) fn mark(node: u64) -> String {
    format!("{{\"v\":{VERSION},\"node\":{node},")
}

/// Writes an envelope.
///
/// # Errors
/// None in practice: memory is all that writing JSON needs.
pub fn encode(node: u64, sequence: u64, event: &Event) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(event.size() + 384);
    let event = Wire {
        v: VERSION,
        node,
        seq: sequence,
        at: event.occurred_at.micros(),
        moment: event.committed_at.map(Timestamp::micros),
        origin: event.origin.as_ref().map(Origin::from),
        event: Kind::from(&event.kind),
    };
    serde_json::to_writer(&mut bytes, &event)?;
    Ok(bytes)
}

/// Reads an envelope. `dialects` are the ids that an origin may name: the origin of a request in
/// another dialect is left out, since nobody here could make sense of it.
///
/// # Errors
/// [`InvalidEnvelope`]: the event must be found in the store.
pub fn decode(bytes: &[u8], dialects: &[&'static str]) -> Result<Envelope, InvalidEnvelope> {
    let wire: Wire<'_> = match serde_json::from_slice(bytes) {
        Ok(wire) => wire,
        Err(error) => {
            let version = serde_json::from_slice(bytes).map(|Header { v }| v);
            return Err(version
                .ok()
                .filter(|version| *version != VERSION)
                .map_or(InvalidEnvelope::Malformed(error), InvalidEnvelope::Version));
        }
    };
    if wire.v != VERSION {
        return Err(InvalidEnvelope::Version(wire.v));
    }
    let origin = wire.origin.map(|origin| origin.into_domain(dialects)).transpose()?.flatten();
    let event = Event {
        occurred_at: Timestamp::from_micros(wire.at),
        committed_at: wire.moment.map(Timestamp::from_micros),
        origin,
        kind: wire.event.try_into()?,
    };
    Ok(Envelope { node: wire.node, sequence: wire.seq, event })
}

/// What every version has.
#[derive(Deserialize)]
struct Header {
    v: u32,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    v: u32,
    node: u64,
    seq: u64,
    at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    moment: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin<'a>>,
    event: Kind<'a>,
}

#[derive(Serialize, Deserialize)]
struct Origin<'a> {
    connection: u64,
    #[serde(borrow)]
    dialect: Cow<'a, str>,
    /// Base64: what a dialect carries along need not be text.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    tag: Option<Cow<'a, str>>,
}

impl<'a> From<&'a domain::Origin> for Origin<'a> {
    fn from(origin: &'a domain::Origin) -> Self {
        Self {
            connection: origin.connection.0,
            dialect: origin.dialect.into(),
            tag: origin.client_tag.as_ref().map(|tag| BASE64.encode(tag).into()),
        }
    }
}

impl Origin<'_> {
    fn into_domain(
        self,
        dialects: &[&'static str],
    ) -> Result<Option<domain::Origin>, InvalidEnvelope> {
        let Some(dialect) = dialects.iter().find(|dialect| **dialect == self.dialect) else {
            return Ok(None);
        };
        let tag = self.tag.map(|tag| BASE64.decode(tag.as_bytes())).transpose()?.map(Bytes::from);
        Ok(Some(domain::Origin {
            connection: ConnectionId(self.connection),
            dialect,
            client_tag: tag,
        }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind<'a> {
    #[serde(borrow)]
    Posted(Message<'a>),
    #[serde(borrow)]
    Edited(Message<'a>),
    Deleted {
        flow: i64,
        by: i64,
        /// Id and version.
        messages: Vec<(i64, i64)>,
    },
    FlowCreated {
        #[serde(borrow)]
        flow: Flow<'a>,
        #[serde(borrow)]
        members: Vec<UserSummary<'a>>,
    },
    FlowDeleted {
        flow: i64,
        by: i64,
    },
    MembersAdded {
        flow: i64,
        #[serde(borrow)]
        users: Vec<UserSummary<'a>>,
        version: i64,
    },
    MembersRemoved {
        flow: i64,
        users: Vec<i64>,
    },
    Typing {
        flow: i64,
        #[serde(borrow)]
        user: UserSummary<'a>,
        active: bool,
    },
    SessionsEnded {
        user: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<i64>,
    },
}

impl<'a> From<&'a EventKind> for Kind<'a> {
    fn from(kind: &'a EventKind) -> Self {
        match kind {
            EventKind::Posted(message) => Self::Posted(message.into()),
            EventKind::Edited(message) => Self::Edited(message.into()),
            EventKind::Deleted { flow, by, messages } => Self::Deleted {
                flow: flow.get(),
                by: by.get(),
                messages: messages
                    .iter()
                    .map(|(message, version)| (message.get(), version.0))
                    .collect(),
            },
            EventKind::FlowCreated { flow, members } => {
                Self::FlowCreated { flow: flow.into(), members: people(members) }
            }
            EventKind::FlowDeleted { flow, by } => {
                Self::FlowDeleted { flow: flow.get(), by: by.get() }
            }
            EventKind::MembersAdded { flow, users, version } => {
                Self::MembersAdded { flow: flow.get(), users: people(users), version: version.0 }
            }
            EventKind::MembersRemoved { flow, users } => Self::MembersRemoved {
                flow: flow.get(),
                users: users.iter().map(|user| user.get()).collect(),
            },
            EventKind::Typing { flow, user, active } => {
                Self::Typing { flow: flow.get(), user: user.into(), active: *active }
            }
            EventKind::SessionsEnded { user, session } => Self::SessionsEnded {
                user: user.get(),
                session: session.map(domain::SessionId::get),
            },
        }
    }
}

impl TryFrom<Kind<'_>> for EventKind {
    type Error = InvalidId;

    fn try_from(kind: Kind<'_>) -> Result<Self, InvalidId> {
        Ok(match kind {
            Kind::Posted(message) => Self::Posted(message.try_into()?),
            Kind::Edited(message) => Self::Edited(message.try_into()?),
            Kind::Deleted { flow, by, messages } => {
                let messages = messages
                    .into_iter()
                    .map(|(message, version)| Ok((message.try_into()?, domain::Version(version))));
                Self::Deleted {
                    flow: flow.try_into()?,
                    by: by.try_into()?,
                    messages: messages.collect::<Result<_, InvalidId>>()?,
                }
            }
            Kind::FlowCreated { flow, members } => {
                Self::FlowCreated { flow: flow.try_into()?, members: read(members)? }
            }
            Kind::FlowDeleted { flow, by } => {
                Self::FlowDeleted { flow: flow.try_into()?, by: by.try_into()? }
            }
            Kind::MembersAdded { flow, users, version } => Self::MembersAdded {
                flow: flow.try_into()?,
                users: read(users)?,
                version: domain::Version(version),
            },
            Kind::MembersRemoved { flow, users } => {
                Self::MembersRemoved { flow: flow.try_into()?, users: read(users)? }
            }
            Kind::Typing { flow, user, active } => {
                Self::Typing { flow: flow.try_into()?, user: user.try_into()?, active }
            }
            Kind::SessionsEnded { user, session } => Self::SessionsEnded {
                user: user.try_into()?,
                session: session.map(TryInto::try_into).transpose()?,
            },
        })
    }
}

/// All of them, or what is wrong with the first that is wrong.
fn read<Twin, T: TryFrom<Twin, Error = InvalidId>>(twins: Vec<Twin>) -> Result<Vec<T>, InvalidId> {
    twins.into_iter().map(T::try_from).collect()
}

fn people(people: &[domain::UserSummary]) -> Vec<UserSummary<'_>> {
    people.iter().map(UserSummary::from).collect()
}

#[derive(Serialize, Deserialize)]
struct UserSummary<'a> {
    id: i64,
    #[serde(borrow)]
    login: Cow<'a, str>,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl<'a> From<&'a domain::UserSummary> for UserSummary<'a> {
    fn from(person: &'a domain::UserSummary) -> Self {
        Self {
            id: person.id.get(),
            login: (&*person.login).into(),
            username: (&*person.username).into(),
            name: (&*person.name).into(),
        }
    }
}

impl TryFrom<UserSummary<'_>> for domain::UserSummary {
    type Error = InvalidId;

    fn try_from(person: UserSummary<'_>) -> Result<Self, InvalidId> {
        Ok(Self {
            id: person.id.try_into()?,
            login: person.login.into(),
            username: person.username.into(),
            name: person.name.into(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Flow<'a> {
    id: i64,
    kind: FlowKind,
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    info: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    photo: Option<Photo<'a>>,
    version: i64,
    created_at: i64,
    changed_at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FlowKind {
    Chat,
    Group,
    Channel,
}

#[derive(Serialize, Deserialize)]
struct Photo<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    media_type: Cow<'a, str>,
}

impl<'a> From<&'a domain::Flow> for Flow<'a> {
    fn from(flow: &'a domain::Flow) -> Self {
        let photo = |photo: &'a domain::PhotoKey| Photo {
            key: photo.key.as_str().into(),
            media_type: photo.media_type.as_str().into(),
        };
        Self {
            id: flow.id.get(),
            kind: flow.kind.into(),
            title: flow.title.as_str().into(),
            info: flow.info.as_str().into(),
            owner: flow.owner.map(domain::UserId::get),
            photo: flow.photo.as_ref().map(photo),
            version: flow.version.0,
            created_at: flow.created_at.micros(),
            changed_at: flow.changed_at.micros(),
        }
    }
}

impl TryFrom<Flow<'_>> for domain::Flow {
    type Error = InvalidId;

    fn try_from(flow: Flow<'_>) -> Result<Self, InvalidId> {
        let photo = |photo: Photo<'_>| domain::PhotoKey {
            key: photo.key.into_owned(),
            media_type: photo.media_type.into_owned(),
        };
        Ok(Self {
            id: flow.id.try_into()?,
            kind: flow.kind.into(),
            title: flow.title.into_owned(),
            info: flow.info.into_owned(),
            owner: flow.owner.map(TryInto::try_into).transpose()?,
            photo: flow.photo.map(photo),
            version: domain::Version(flow.version),
            created_at: Timestamp::from_micros(flow.created_at),
            changed_at: Timestamp::from_micros(flow.changed_at),
        })
    }
}

impl From<domain::FlowKind> for FlowKind {
    fn from(kind: domain::FlowKind) -> Self {
        match kind {
            domain::FlowKind::Chat => Self::Chat,
            domain::FlowKind::Group => Self::Group,
            domain::FlowKind::Channel => Self::Channel,
        }
    }
}

impl From<FlowKind> for domain::FlowKind {
    fn from(kind: FlowKind) -> Self {
        match kind {
            FlowKind::Chat => Self::Chat,
            FlowKind::Group => Self::Group,
            FlowKind::Channel => Self::Channel,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Message<'a> {
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
