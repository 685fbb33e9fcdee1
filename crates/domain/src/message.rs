//! Messages.

use crate::{FlowId, FlowKind, MessageId, Timestamp, UserSummary, Version};

/// A message of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which.
    pub id: MessageId,
    /// Where.
    pub flow: FlowId,
    /// The kind of that flow.
    pub flow_kind: FlowKind,
    /// The author; stays after the account is deleted.
    pub author: UserSummary,
    /// What it says.
    pub content: Content,
    /// The version that posting it took: history is ordered by it.
    pub posted: Version,
    /// The version of its newest change.
    pub version: Version,
    /// When it was accepted.
    pub posted_at: Timestamp,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted; its content is empty from then on.
    pub deleted_at: Option<Timestamp>,
    /// When its newest change was committed: unique within a store, so that paging by it has no gap
    /// and no repeat.
    pub changed_at: Timestamp,
}

impl Message {
    /// A message that was posted and not changed since, of which no version is known.
    pub fn new(
        id: MessageId,
        (flow, flow_kind): (FlowId, FlowKind),
        author: UserSummary,
        content: Content,
        posted_at: Timestamp,
    ) -> Self {
        Self {
            id,
            flow,
            flow_kind,
            author,
            content,
            posted: Version::default(),
            version: Version::default(),
            posted_at,
            edited_at: None,
            deleted_at: None,
            changed_at: posted_at,
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The text, or for a picture and the like whatever the client put there.
    pub text: String,
    /// What the text is.
    pub content_type: ContentType,
    /// Attached files.
    pub attachments: Vec<Attachment>,
    /// An emoji as a string that the client encoded, kept byte for byte.
    pub emoji: Option<String>,
    /// The message that this one answers.
    pub reply_to: Option<MessageId>,
}

impl Content {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// How many bytes it carries, for bounds and queues.
    pub fn size(&self) -> usize {
        self.text.len()
            + self.emoji.as_ref().map_or(0, String::len)
            + self.attachments.iter().map(|file| file.data.len()).sum::<usize>()
    }
}

/// What the text of a message is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ContentType {
    /// Text to read.
    #[default]
    Text,
    /// A picture.
    Image,
    /// A file.
    File,
    /// A sticker.
    Sticker,
    /// Something else that a client named: 1 to 64 characters without control characters.
    Other(Box<str>),
}

/// A file attached to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its kind.
    pub kind: AttachmentKind,
    /// The file as a string that the client encoded (base64), kept byte for byte.
    pub data: String,
}

/// The kinds of attached file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttachmentKind {
    /// An image.
    Picture,
    /// A video.
    Video,
    /// A sound.
    Audio,
    /// Any other file.
    Document,
}
