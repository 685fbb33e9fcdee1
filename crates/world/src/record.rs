//! The records of the form `tolmach-world/1`.

use crate::id::Id;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// The name of the form, with its version.
pub const FORM: &str = "tolmach-world/1";

/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The form, and the source of the records; the first line.
    World(Header),
    /// A user.
    User(Box<User>),
    /// A conversation.
    Flow(Flow),
    /// A message.
    Message(Message),
    /// A membership. It follows the messages of its flow, so that its user never sees only a part
    /// of them.
    Member(Member),
}

/// The first record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORM`].
    pub form: String,
    /// The name of the server that gave the ids.
    pub source: String,
    /// True if that server numbered groups and their messages apart from chats and theirs: see
    /// [`Id`]. To be said if the first group comes after a message.
    #[serde(default, skip_serializing_if = "is_false")]
    pub groups_apart: bool,
}

impl Header {
    /// The header of records whose ids a server gave that numbered all conversations together.
    pub fn new(source: &str) -> Self {
        Self { form: FORM.into(), source: source.into(), groups_apart: false }
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The id.
    pub id: Id,
    /// The login.
    pub login: String,
    /// The name that others see. Without it, the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The full name. Without it, the name that others see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The description.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bio: String,
    /// A small picture as the client encoded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// The uploaded photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<Photo>,
    /// True for a program.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bot: bool,
    /// True if the user may act as administrator.
    #[serde(default, skip_serializing_if = "is_false")]
    pub admin: bool,
    /// True for the business tariff.
    #[serde(default, skip_serializing_if = "is_false")]
    pub business: bool,
    /// False if the profile was not filled in.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub profile: bool,
    /// The password in the clear: it is hashed by the import and stored nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The hash of the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// The time of creation. Without it, the time of the import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// The time of the deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
}

impl User {
    /// A user with a profile and nothing else, created at the time of the import.
    pub(crate) fn named(id: Id, login: String) -> Self {
        Self {
            id,
            login,
            username: None,
            name: None,
            email: None,
            phone: None,
            bio: String::new(),
            avatar: None,
            photo: None,
            bot: false,
            admin: false,
            business: false,
            profile: true,
            password: None,
            password_hash: None,
            created_at: None,
            deleted_at: None,
        }
    }
}

/// A photo, by reference: its file is copied apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Photo {
    /// The key in the store of photos.
    pub key: String,
    /// The media type, such as `image/png`.
    pub media_type: String,
}

/// The kinds of conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowKind {
    /// Two users.
    Chat,
    /// Many users, who all write.
    Group,
    /// Many users, of whom the owner writes.
    Channel,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// The id.
    pub id: Id,
    /// The kind.
    pub kind: FlowKind,
    /// The title.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The description.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub info: String,
    /// The owner.
    pub owner: Id,
    /// The two users of a chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<[Id; 2]>,
    /// The photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<Photo>,
    /// The time of creation. Without it, the time of the import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
}

/// The kinds of attached file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// A file attached to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// The kind.
    pub kind: AttachmentKind,
    /// The file as the client encoded it.
    pub data: String,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The id.
    pub id: Id,
    /// The conversation.
    pub flow: Id,
    /// The author.
    pub author: Id,
    /// The text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The type of the text: `text`, `image`, `file`, `sticker`, or a name of the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Attached files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// An emoji as the client encoded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// The message that this one replies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Id>,
    /// The time of posting.
    pub posted_at: Time,
    /// The time of the last edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Time>,
    /// The time of the deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The conversation.
    pub flow: Id,
    /// The user.
    pub user: Id,
    /// The time of joining. Without it, the creation of the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<Time>,
    /// The last message that the user has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Id>,
}

/// Error of a line that is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct RecordError {
    /// The path of the field, such as `message.posted_at`; `.` for the line.
    pub field: String,
    /// The problem.
    pub reason: String,
}

impl Record {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let record: Self =
            serde_path_to_error::deserialize(&mut deserializer).map_err(|error| RecordError {
                field: error.path().to_string(),
                reason: error.inner().to_string(),
            })?;
        let whole = |reason: String| RecordError { field: ".".into(), reason };
        deserializer.end().map_err(|error| whole(error.to_string()))?;
        match &record {
            Self::World(header) if header.form != FORM => Err(RecordError {
                field: "world.form".into(),
                reason: format!("{:?} cannot be read, only {FORM:?}", header.form),
            }),
            _ => Ok(record),
        }
    }

    /// The line, without its end.
    pub fn to_line(&self) -> Result<String, RecordError> {
        let whole =
            |error: serde_json::Error| RecordError { field: ".".into(), reason: error.to_string() };
        serde_json::to_string(self).map_err(whole)
    }
}

fn yes() -> bool {
    true
}

fn is_true(flag: &bool) -> bool {
    *flag
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 8] = [
        r#"{"world":{"form":"tolmach-world/1","source":"old","groups_apart":true}}"#,
        r#"{"world":{"form":"tolmach-world/1","source":"old"}}"#,
        concat!(
            r#"{"user":{"id":7,"login":"anna","email":"a@x.org","photo":{"key":"ab/cd","#,
            r#""media_type":"image/png"},"profile":false,"#,
            r#""password_hash":"$2b$04$abc","created_at":"2020-01-02T03:04:05.000000Z"}}"#
        ),
        r#"{"flow":{"id":9,"kind":"chat","owner":7,"pair":[7,8]}}"#,
        concat!(
            r#"{"flow":{"id":"340282366920938463463374607431768211455","kind":"group","#,
            r#""title":"all","owner":7}}"#
        ),
        concat!(
            r#"{"message":{"id":1,"flow":9,"author":7,"text":"hi","#,
            r#""attachments":[{"kind":"picture","data":"QQ=="}],"reply_to":3,"#,
            r#""posted_at":"2020-01-02T03:04:05.000000Z"}}"#
        ),
        r#"{"member":{"flow":9,"user":7,"read":1}}"#,
        r#"{"member":{"flow":"group:9","user":7,"read":"group:1"}}"#,
    ];

    #[test]
    fn a_record_is_written_as_it_was_read() {
        for line in LINES {
            let record = Record::parse(line.as_bytes()).unwrap();
            assert_eq!(record.to_line().unwrap(), line);
        }
    }

    #[test]
    fn the_schema_permits_what_is_read() {
        let schema = include_str!("../../../schemas/world/record.json");
        let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        for line in LINES {
            let line = serde_json::from_str(line).unwrap();
            let problems: Vec<_> = schema.iter_errors(&line).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{line}: {problems:?}");
        }
        for line in [r#"{"user":{"id":7}}"#, r#"{"user":{"id":7,"login":"a","x":1}}"#, "{}"] {
            assert!(!schema.is_valid(&serde_json::from_str(line).unwrap()), "{line}");
        }
    }

    #[test]
    fn an_error_names_the_field() {
        for (line, field) in [
            ("", "."),
            (r#"{"user":{"id":7}}"#, "user"),
            (r#"{"user":{"id":-7,"login":"a"}}"#, "user.id"),
            (r#"{"user":{"id":7,"login":"a","colour":1}}"#, "user.colour"),
            (
                r#"{"message":{"id":1,"flow":1,"author":1,"posted_at":"today"}}"#,
                "message.posted_at",
            ),
            (r#"{"world":{"form":"tolmach-world/2","source":"old"}}"#, "world.form"),
            (r#"{"member":{"flow":9,"user":7}} {}"#, "."),
        ] {
            let error = Record::parse(line.as_bytes()).unwrap_err();
            assert_eq!(error.field, field, "{line}: {error}");
        }
    }

    #[test]
    fn an_id_is_a_number_or_a_uuid() {
        let value = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128;
        for text in [
            "\"01234567-89ab-cdef-0123-456789abcdef\"".to_owned(),
            "\"0123456789ABCDEF0123456789abcdef\"".to_owned(),
            format!("\"{value}\""),
        ] {
            assert_eq!(serde_json::from_str::<Id>(&text).unwrap().0.0, value, "{text}");
        }
        assert_eq!(serde_json::from_str::<Id>("5").unwrap().0.0, 5);
        for text in ["-1", "1.5", "\"\"", "\"x\"", "null"] {
            assert!(serde_json::from_str::<Id>(text).is_err(), "{text}");
        }
    }
}
