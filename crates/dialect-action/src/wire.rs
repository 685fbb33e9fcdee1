//! The frames of both directions: protocols/action/SPEC.md, section "Frames". Nothing here knows
//! what a field means.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(crate) use tolmach_dialect::json::{Present, parse_object as read, write};

/// What a frame is about: the values of `action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    List,
    JoinRoom,
    LeaveRoom,
    CreateMessage,
    EditMessage,
    DeleteMessages,
    CurrentRoomInfo,
}

impl Method {
    pub(crate) const ALL: [Method; 7] = [
        Method::List,
        Method::JoinRoom,
        Method::LeaveRoom,
        Method::CreateMessage,
        Method::EditMessage,
        Method::DeleteMessages,
        Method::CurrentRoomInfo,
    ];

    /// Its value of `action`.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Method::List => "list",
            Method::JoinRoom => "join_room",
            Method::LeaveRoom => "leave_room",
            Method::CreateMessage => "create_message",
            Method::EditMessage => "edit_message",
            Method::DeleteMessages => "delete_messages",
            Method::CurrentRoomInfo => "current_room_info",
        }
    }

    /// The method with this value of `action`.
    pub(crate) fn from_action(action: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.action() == action)
    }
}

/// A request as heard: every field as its JSON, so that the answer to a bad one can still name the
/// action and the request. `null` is as good as nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    pub(crate) action: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) room_pk: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) msg_text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) msg_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) edited_msg_text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) msg_id_list: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) request_id: Option<&'a RawValue>,
}

/// A request as our own client says it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Utterance<'a> {
    pub(crate) action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_pk: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) msg_text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) msg_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) edited_msg_text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) msg_id_list: Option<Vec<i64>>,
    pub(crate) request_id: u64,
}

/// What every frame of a server is wrapped in.
#[derive(Serialize)]
pub(crate) struct Envelope<'a, D> {
    pub(crate) errors: Vec<Cow<'a, str>>,
    /// `null` in a refusal.
    pub(crate) data: Option<D>,
    pub(crate) action: Option<Cow<'a, str>>,
    pub(crate) response_status: u16,
    pub(crate) request_id: &'a RawValue,
}

/// A frame of a server as our own client hears it.
#[derive(Deserialize)]
pub(crate) struct Heard<'a> {
    #[serde(default)]
    pub(crate) errors: Vec<String>,
    #[serde(borrow, default)]
    pub(crate) data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) action: Option<Cow<'a, str>>,
    pub(crate) response_status: u16,
    #[serde(borrow, default)]
    pub(crate) request_id: Option<&'a RawValue>,
}

/// A room: in a list, or around a message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Room<'a> {
    pub(crate) pk: i64,
    /// The same number again.
    #[serde(default)]
    pub(crate) id: i64,
    #[serde(borrow)]
    pub(crate) participants: Vec<Participant<'a>>,
    pub(crate) has_business: bool,
    /// The outer `None` leaves the key out, as around a message; the inner one is `null`. Heard,
    /// both are the outer one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_message: Option<Option<Box<Message<'a>>>>,
}

/// A member of a room.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Participant<'a> {
    pub(crate) id: i64,
    #[serde(borrow)]
    pub(crate) fullname: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) user: Account<'a>,
}

/// An account, and how to reach its owner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Account<'a> {
    pub(crate) id: i64,
    #[serde(borrow, default)]
    pub(crate) email: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) phone: Option<Cow<'a, str>>,
}

/// A message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) id: i64,
    #[serde(borrow)]
    pub(crate) text: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) user: Account<'a>,
    #[serde(borrow)]
    pub(crate) created_at: Cow<'a, str>,
    /// Left out in a `last_message`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) room: Option<Room<'a>>,
}

/// What an edit is told with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Edited<'a> {
    pub(crate) room_id: i64,
    pub(crate) message_id: i64,
    #[serde(borrow)]
    pub(crate) message_text: Cow<'a, str>,
}

/// What a deletion is told with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deleted {
    pub(crate) room_id: i64,
    pub(crate) messages_ids: Vec<i64>,
}

/// What leaving a room is answered with.
#[derive(Debug, Serialize)]
pub(crate) struct Left {
    pub(crate) response: String,
}

/// What a first frame is looked at for. A key of another dialect counts as soon as it is there,
/// whatever its value.
#[derive(Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(borrow, rename = "action")]
    _action: Cow<'a, str>,
    #[serde(default)]
    pub(crate) mode: Present,
    #[serde(default, rename = "type")]
    pub(crate) kind: Present,
    #[serde(default)]
    pub(crate) jsonapi: Present,
}

/// A request id that was kept as its JSON text; `null` where it is none.
pub(crate) fn request_id(kept: Option<&Bytes>) -> &RawValue {
    kept.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or(RawValue::NULL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect::json::JsonError;

    #[test]
    fn only_objects_are_read() {
        for (text, syntax) in [
            (r#"["list",1]"#, false),
            (r#""list""#, false),
            ("null", false),
            (r#"{"action":"list","action":"list"}"#, false),
            ("", true),
            ("{'action': 'list'}", true),
            ("[1", true),
            ("{} {}", true),
        ] {
            match read::<Request<'_>>(text.as_bytes(), 64) {
                Err(JsonError::Syntax(_)) => assert!(syntax, "{text}"),
                Err(JsonError::Shape(_)) => assert!(!syntax, "{text}"),
                _ => panic!("{text} was read"),
            }
        }
        assert!(read::<Request<'_>>(b" \r\n\t{}", 64).is_ok());
    }

    #[test]
    fn a_request_id_is_kept_to_the_letter_and_null_where_it_is_none() {
        for (kept, expected) in [
            (Some("1500000"), "1500000"),
            (Some("18446744073709551616"), "18446744073709551616"),
            (Some("\"a\\u0062\""), "\"a\\u0062\""),
            (Some("{ \"a\" : [1.0] }"), "{ \"a\" : [1.0] }"),
            (Some("no JSON"), "null"),
            (Some(""), "null"),
            (None, "null"),
        ] {
            let kept = kept.map(|text| Bytes::from_static(text.as_bytes()));
            assert_eq!(request_id(kept.as_ref()).get(), expected);
        }
    }
}
