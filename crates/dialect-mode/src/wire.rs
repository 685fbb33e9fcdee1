//! The frames of both directions: protocols/mode/SPEC.md, section "Frames".
//!
//! Requests and replies are one struct each, because every operation takes its fields from the same
//! short list and keeps them in the same order.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tolmach_dialect::errors::ErrorBody;
use tolmach_dialect::field::{Field, Integer};
use tolmach_dialect::time::{TimeFormat, WireTime};
use tolmach_dialect::{WireNames, wire_names};
use tolmach_domain::ContentType;

/// The dialect's id.
pub(crate) const ID: &str = "mode";

/// The path of its endpoint.
pub(crate) const PATH: &str = "/mode";

/// The longest `content_type`, in characters.
const MAX_CONTENT_TYPE: usize = 64;

wire_names! {
    /// The values of `mode`.
    pub(crate) enum Operation {
        Register = "register",
        Auth = "auth",
        Recovery = "recovery",
        Logout = "logout",
        GetChats = "getChats",
        GetMessages = "getMessages",
        SendMessage = "sendMessage",
        SendGroupMessage = "sendGroupMessage",
    }
}

impl Operation {
    /// True if its replies have a `token`, which is `null` on failure.
    pub(crate) fn grants_token(self) -> bool {
        matches!(self, Operation::Register | Operation::Auth)
    }

    /// True if its requests must have a `token`.
    pub(crate) fn needs_token(self) -> bool {
        !matches!(self, Operation::Register | Operation::Auth | Operation::Recovery)
    }
}

/// A request of any operation. Fields that the operation does not have are [`Field::Missing`] when
/// written, and ignored when read. Not `Debug`: it holds passwords and tokens.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request<'a> {
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) mode: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) timestamp: Field<WireTime>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) token: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) username: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) password: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) email: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) known_data: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) known_data_type: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) chat_id: Field<Integer>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) content: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) content_type: Field<Cow<'a, str>>,
}

impl Request<'_> {
    /// The form of its timestamp, which its reply uses too.
    pub(crate) fn time_format(&self) -> TimeFormat {
        match &self.timestamp {
            Field::Value(time) => time.format(),
            _ => TimeFormat::default(),
        }
    }
}

/// The key of a first frame that the dialect is recognised by.
#[derive(Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(borrow, default)]
    pub(crate) mode: Field<Cow<'a, str>>,
}

/// A reply of any operation, an error, or a push: the one that has a `chat_id`. Not `Debug`: it
/// holds tokens.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reply<'a> {
    /// `null` if the request had none.
    pub(crate) mode: Option<Cow<'a, str>>,
    pub(crate) timestamp: WireTime,
    /// A status of RFC 9110, section 15.
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_msg: Option<Cow<'a, str>>,
    /// `Some(None)` is written as `null`, and read as `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Option<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chat_id: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) chats: Option<Vec<Chat<'a>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) messages: Option<Vec<Message<'a>>>,
}

impl<'a> Reply<'a> {
    /// A reply with the status 200, and none of the fields of particular operations.
    pub(crate) fn new(mode: Option<Cow<'a, str>>, timestamp: WireTime) -> Self {
        Self {
            mode,
            timestamp,
            status: 200,
            error_msg: None,
            token: None,
            chat_id: None,
            chats: None,
            messages: None,
        }
    }

    /// An error, in answer to a request or to a frame that is none.
    pub(crate) fn error(
        mode: Option<Cow<'a, str>>,
        timestamp: WireTime,
        error: ErrorBody<u16>,
    ) -> Self {
        let operation = mode.as_deref().and_then(Operation::from_name);
        Self {
            status: error.code,
            error_msg: Some(error.text),
            token: operation.is_some_and(Operation::grants_token).then_some(None),
            ..Self::new(mode, timestamp)
        }
    }
}

/// A row of `chats`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Chat<'a> {
    pub(crate) chat_id: i64,
    #[serde(borrow)]
    pub(crate) chat_name: Cow<'a, str>,
    pub(crate) chat_type: ChatType,
}

/// The values of `chat_type`.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChatType {
    Personal,
    Group,
}

/// A row of `messages`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) message_id: i64,
    pub(crate) from_id: i64,
    #[serde(borrow)]
    pub(crate) from_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) content: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) content_type: Cow<'a, str>,
    pub(crate) content_time: WireTime,
}

/// The type of content with this name. `None` for a name that is empty, too long or has control
/// characters.
pub(crate) fn content_type(name: &str) -> Option<ContentType> {
    Some(match name {
        "text" => ContentType::Text,
        "picture" => ContentType::Image,
        "file" => ContentType::File,
        "sticker" => ContentType::Sticker,
        _ if name.is_empty()
            || name.chars().count() > MAX_CONTENT_TYPE
            || name.chars().any(char::is_control) =>
        {
            return None;
        }
        _ => ContentType::Other(name.into()),
    })
}

/// The name of a type of content.
pub(crate) fn content_type_name(content_type: &ContentType) -> &str {
    match content_type {
        ContentType::Text => "text",
        ContentType::Image => "picture",
        ContentType::File => "file",
        ContentType::Sticker => "sticker",
        ContentType::Other(name) => name,
    }
}
