//! Messages.

use crate::{FlowId, FlowKind, MessageId, Timestamp, UserSummary, Version};
use std::borrow::Cow;

/// A message of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its flow.
    pub flow: FlowId,
    /// The kind of that flow.
    pub flow_kind: FlowKind,
    /// The author, also after the account is deleted.
    pub author: UserSummary,
    /// The content; empty after deletion.
    pub content: Content,
    /// The version that posting it took; the history is ordered by it.
    pub posted: Version,
    /// The version of its newest change.
    pub version: Version,
    /// The time at which it was posted.
    pub posted_at: Timestamp,
    /// The time of the last edit.
    pub edited_at: Option<Timestamp>,
    /// The time of the deletion.
    pub deleted_at: Option<Timestamp>,
    /// The commit time of its newest change, unique within a store, so that paging by it has no gap
    /// and no repeat.
    pub changed_at: Timestamp,
}

impl Message {
    /// A message without changes whose version is unknown.
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

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The text; of another content type a string that the client encoded.
    pub text: String,
    /// The type of the text.
    pub content_type: ContentType,
    /// Attached files.
    pub attachments: Vec<Attachment>,
    /// An emoji as a string that the client encoded, kept byte for byte.
    pub emoji: Option<String>,
    /// The message that this one replies to.
    pub reply_to: Option<MessageId>,
}

impl Content {
    /// Content of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The size in bytes, for limits of queues.
    pub fn size(&self) -> usize {
        self.text.len() + self.attached_size()
    }

    /// The size of the attached files and the emoji as the client encoded them, in bytes.
    pub fn attached_size(&self) -> usize {
        self.emoji.as_ref().map_or(0, String::len)
            + self.attachments.iter().map(|file| file.data.len()).sum::<usize>()
    }

    /// Cuts the text to `max_text` bytes. Files and an emoji with more than `max_attached` bytes
    /// together are named in the text instead: see [`text_naming_files`](Self::text_naming_files).
    pub fn reduce(&mut self, max_text: usize, max_attached: usize) {
        self.text.truncate(self.text.floor_char_boundary(max_text));
        if self.attached_size() > max_attached {
            self.text = self.text_naming_files().into_owned();
            self.attachments.clear();
            self.emoji = None;
        }
    }

    /// The text for a wire that carries neither files nor emoji: each is named in a line of its
    /// own, with its size as the client encoded it, such as `[picture, 1024 bytes]`.
    pub fn text_naming_files(&self) -> Cow<'_, str> {
        let files = self.attachments.iter().map(|file| (file.kind.name(), file.data.len()));
        let emoji = self.emoji.iter().map(|emoji| ("emoji", emoji.len()));
        let lines: Vec<String> = (files.chain(emoji))
            .filter(|(_, size)| *size > 0)
            .map(|(name, size)| format!("[{name}, {size} bytes]"))
            .collect();
        match (self.text.as_str(), lines.as_slice()) {
            (text, []) => Cow::Borrowed(text),
            ("", lines) => Cow::Owned(lines.join("\n")),
            (text, lines) => Cow::Owned(format!("{text}\n{}", lines.join("\n"))),
        }
    }
}

/// The type of a message's text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ContentType {
    /// Plain text.
    #[default]
    Text,
    /// A picture.
    Image,
    /// A file.
    File,
    /// A sticker.
    Sticker,
    /// A type that a client named: 1 to 64 characters without control characters.
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

impl AttachmentKind {
    /// The name of the kind, in English.
    pub fn name(self) -> &'static str {
        match self {
            AttachmentKind::Picture => "picture",
            AttachmentKind::Video => "video",
            AttachmentKind::Audio => "audio",
            AttachmentKind::Document => "document",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_reduced_to_the_bounds() {
        let file = |bytes: usize| {
            let kind = AttachmentKind::Picture;
            vec![Attachment { kind, data: "A".repeat(bytes) }]
        };
        let content =
            |text: &str, bytes| Content { attachments: file(bytes), ..Content::text(text) };
        for (found, expected) in [
            (content("1234", 10), content("1234", 10)),
            (content("12345", 10), content("1234", 10)),
            // A letter is not cut in two.
            (content("123\u{444}", 10), content("123", 10)),
            (content("12345", 11), Content::text("1234\n[picture, 11 bytes]")),
        ] {
            let mut reduced = found;
            reduced.reduce(4, 10);
            assert_eq!(reduced, expected);
        }
    }

    #[test]
    fn files_and_emoji_are_named_with_their_sizes() {
        let file = |kind, data: &str| Attachment { kind, data: data.into() };
        let picture = file(AttachmentKind::Picture, "UElDVFVSRQ==");
        let empty = file(AttachmentKind::Audio, "");
        let document = file(AttachmentKind::Document, "RE9D");
        for (text, attachments, emoji, expected) in [
            ("hello", vec![], None, "hello"),
            ("hello", vec![empty.clone()], Some(""), "hello"),
            ("", vec![picture.clone()], None, "[picture, 12 bytes]"),
            (
                "hello",
                vec![picture, empty, document],
                Some("RQ=="),
                "hello\n[picture, 12 bytes]\n[document, 4 bytes]\n[emoji, 4 bytes]",
            ),
        ] {
            let emoji = emoji.map(str::to_owned);
            let content = Content { attachments, emoji, ..Content::text(text) };
            assert_eq!(content.text_naming_files(), expected);
        }
    }
}
