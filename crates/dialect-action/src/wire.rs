//! The frames of both directions: protocols/action/SPEC.md, section "Frames".

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use tolmach_dialect::field::{Field, FieldType, Integer};
use tolmach_dialect::wire_names;
use tolmach_domain::MessageId;

/// The dialect's id.
pub(crate) const ID: &str = "action";

wire_names! {
    /// The values of `action`.
    pub(crate) enum Method {
        List = "list",
        JoinRoom = "join_room",
        LeaveRoom = "leave_room",
        CreateMessage = "create_message",
        EditMessage = "edit_message",
        DeleteMessages = "delete_messages",
        CurrentRoomInfo = "current_room_info",
    }
}

/// A request.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    pub(crate) action: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) room_pk: Field<Integer>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) msg_text: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) msg_id: Field<Integer>,
    #[serde(borrow, skip_serializing_if = "Field::is_missing")]
    pub(crate) edited_msg_text: Field<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Field::is_missing")]
    pub(crate) msg_id_list: Field<MessageNumbers>,
    #[serde(borrow)]
    pub(crate) request_id: Option<&'a RawValue>,
}

/// The value of `msg_id_list`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MessageNumbers(pub(crate) Vec<MessageNumber>);

/// An integer in `msg_id_list`.
#[derive(Debug, Clone)]
pub(crate) enum MessageNumber {
    /// The id of a message.
    Id(MessageId),
    /// A number that is no id, as the request has it.
    NoId(Box<RawValue>),
}

/// A frame of a server. `D` is the type of its data.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reply<'a, D> {
    #[serde(borrow, default)]
    pub(crate) errors: Vec<Cow<'a, str>>,
    /// `null` in an error.
    #[serde(default = "Option::default")]
    pub(crate) data: Option<D>,
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
    /// The outer `None` leaves the key out, as around a message; the inner one is `null`. Reading
    /// gives the outer one for both.
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

/// An account with its contact addresses.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Account<'a> {
    pub(crate) id: i64,
    #[serde(borrow, default)]
    pub(crate) email: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) phone: Option<Cow<'a, str>>,
}

/// A message: the data of `create_message`, or a room's `last_message`.
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

/// The data of `edit_message`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Edited<'a> {
    pub(crate) room_id: i64,
    pub(crate) message_id: i64,
    #[serde(borrow)]
    pub(crate) message_text: Cow<'a, str>,
}

/// The data of `delete_messages`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deleted {
    pub(crate) room_id: i64,
    pub(crate) messages_ids: Vec<i64>,
}

/// The data of `leave_room`.
#[derive(Debug, Serialize)]
pub(crate) struct Left {
    pub(crate) response: String,
}

/// A request id that was kept as its JSON text; `None` where it is not JSON.
pub(crate) fn request_id(text: &Bytes) -> Option<&RawValue> {
    serde_json::from_slice(text).ok()
}

impl FieldType<'_> for MessageNumbers {
    const EXPECTED: &'static str = "a list of ids is expected, at least one";

    fn read(json: &str) -> Option<Self> {
        let list: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        let number = |json: &RawValue| {
            let id = Integer::read(json.get())?.id();
            Some(id.map_or_else(|| MessageNumber::NoId(json.to_owned()), MessageNumber::Id))
        };
        list.into_iter().map(number).collect::<Option<_>>().map(Self)
    }
}

impl MessageNumber {
    /// The id, unless the number is none.
    pub(crate) fn id(&self) -> Option<MessageId> {
        match self {
            MessageNumber::Id(id) => Some(*id),
            MessageNumber::NoId(_) => None,
        }
    }
}

impl fmt::Display for MessageNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageNumber::Id(id) => id.fmt(formatter),
            MessageNumber::NoId(json) => formatter.write_str(json.get()),
        }
    }
}

impl Serialize for MessageNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            MessageNumber::Id(id) => serializer.serialize_i64(id.get()),
            MessageNumber::NoId(json) => json.serialize(serializer),
        }
    }
}
