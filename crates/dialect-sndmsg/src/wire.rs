//! The frames of both directions: protocols/sndmsg/SPEC.md, section "Frames".
//!
//! Requests and replies are one struct each, because every operation takes its fields from the same
//! short list and keeps them in the same order. The misspellings are the document's.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tolmach_dialect::field::{Field, Integer};
use tolmach_dialect::{WireNames, wire_names};
use tolmach_domain::ContentType;

/// The dialect's id.
pub(crate) const ID: &str = "sndmsg";

/// The path of its endpoint.
pub(crate) const PATH: &str = "/sndmsg";

/// The `type` of the error for a frame whose own `type` cannot be read.
pub(crate) const ERROR_TYPE: &str = "ERROR";

wire_names! {
    /// The operations, by the `type` of their requests.
    pub(crate) enum Operation {
        Login = "REQUEST_LOGIN",
        Signup = "REQUEST_SIGNUP",
        CreateRoom = "CREATE_ROOM",
        SendMessage = "SND_MSG",
        ReadMessage = "READ_MSG",
        SearchUser = "SEARCH_USER",
        DeleteRoom = "DELETE_ROOM",
        DeleteMessage = "DELETE_MSG",
        EditMessage = "EDIT_MSG",
        OldDialogs = "OLD_DIALOGS",
    }
}

impl Operation {
    /// The `type` of its replies and pushes.
    pub(crate) fn reply_type(self) -> &'static str {
        match self {
            Operation::Login => "RESPONSE_LOGIN",
            Operation::Signup => "RESPONSE_SIGNUP",
            other => other.name(),
        }
    }

    /// The operation with this `type` of replies and pushes.
    pub(crate) fn from_reply_type(kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.reply_type() == kind)
    }

    /// True if only a connection that has logged in may use it.
    pub(crate) fn needs_login(self) -> bool {
        !matches!(self, Operation::Login | Operation::Signup)
    }
}

wire_names! {
    /// The values of `status`.
    pub(crate) enum Status {
        Success = "SUCCESS",
        Error = "ERROR",
        NoRoom = "ROOM_DOES_NOT_EXIST",
        LoginOk = "LOGIN_OK",
        WrongUser = "LOGIN_WRONG_USER",
        WrongPass = "LOGIN_WRONG_PASS",
        SignupOk = "SINGUP_OK",
        UserExists = "SIGNUP_USER_EXIST",
        SignupFail = "SINGUP_FAIL",
    }
}

/// A request of any operation. Fields that the operation does not have are [`Field::Missing`] when
/// written, and ignored when read. Not `Debug`: it holds passwords.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request<'a> {
    #[serde(borrow, rename = "type", skip_serializing_if = "Field::is_missing")]
    pub(crate) kind: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) login: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) pass: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) username: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) customer: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) read: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) room_id: Field<Integer>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) message: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) msg_type: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) user: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) id: Field<Integer>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) new_msg: Field<Cow<'a, str>>,
}

/// The key of a first frame that the dialect is recognised by.
#[derive(Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(crate) kind: Field<Cow<'a, str>>,
}

/// A reply of any operation, an error, or a push.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reply<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) msg_type: Option<MessageType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) date: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<Vec<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dialogs: Option<Vec<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Ids>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) new_msg: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_massage_id: Option<Vec<i64>>,
    /// The reason of an error, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Cow<'a, str>>,
}

impl Reply<'_> {
    /// A reply or push of an operation, without any other field.
    pub(crate) fn new(operation: Operation) -> Self {
        Self { kind: operation.reply_type().into(), ..Self::default() }
    }

    /// A reply of an operation that has a status.
    pub(crate) fn with_status(operation: Operation, status: Status) -> Self {
        Self { status: Some(status.name().into()), ..Self::new(operation) }
    }
}

/// An `id`: of one room or message, or of each dialog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Ids {
    One(i64),
    Each(Vec<i64>),
}

wire_names! {
    /// The values of `msg_type`.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    pub(crate) enum MessageType {
        Text = "TEXT",
        File = "FILE",
        Image = "IMAGE",
    }
}

impl MessageType {
    /// The nearest type: this wire has no stickers and no types of the clients' own.
    pub(crate) fn nearest(content_type: &ContentType) -> Self {
        match content_type {
            ContentType::Text | ContentType::Sticker | ContentType::Other(_) => MessageType::Text,
            ContentType::File => MessageType::File,
            ContentType::Image => MessageType::Image,
        }
    }

    /// The canonical type.
    pub(crate) fn content_type(self) -> ContentType {
        match self {
            MessageType::Text => ContentType::Text,
            MessageType::File => ContentType::File,
            MessageType::Image => ContentType::Image,
        }
    }
}

/// True if two logins are the same without regard to case.
pub(crate) fn same_login(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}
