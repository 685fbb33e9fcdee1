//! Every body and frame of this wire, in both directions (`protocols/bearer/SPEC.md`, "Bodies" and
//! "Frames").

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use tolmach_dialect::json::{self, JsonError};
use tolmach_domain::{FlowId, MessageId, UserId};

/// Reads a JSON object. Of a field that stands twice, the last one counts.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], depth: usize) -> Result<T, JsonError> {
    match json::parse::<Object<T>>(bytes, depth) {
        // serde refuses a repeated field, a map does not: only what failed once is read again.
        Err(JsonError::Shape(_)) => {
            let value = json::parse::<serde_json::Value>(bytes, depth)?;
            serde_json::from_value::<Object<T>>(value)
                .map(|object| object.0)
                .map_err(JsonError::Shape)
        }
        read => read.map(|object| object.0),
    }
}

/// Writes a body or frame.
pub(crate) fn write(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value)
        .expect("the types of this module have string keys and no failing serializers")
}

/// A struct that is read from an object only: serde would take an array of its fields too.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// `POST /register`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Register<'a> {
    pub(crate) email: Cow<'a, str>,
    pub(crate) password: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<Cow<'a, str>>,
}

/// `POST /login`: exactly one of `email` and `username`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Login<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<Cow<'a, str>>,
    pub(crate) password: Cow<'a, str>,
}

/// `POST /refresh`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Refresh<'a> {
    pub(crate) refresh_token: Cow<'a, str>,
}

/// What a registration, a login and a refresh hand out.
#[derive(Serialize, Deserialize)]
pub(crate) struct TokenPair<'a> {
    pub(crate) access_token: Cow<'a, str>,
    pub(crate) refresh_token: Cow<'a, str>,
}

/// What `POST /logout` answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct LoggedOut<'a> {
    pub(crate) logout: Cow<'a, str>,
}

/// The `json` part of `POST /user`.
#[derive(Serialize, Deserialize)]
pub(crate) struct NewUser<'a> {
    pub(crate) username: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    #[serde(default)]
    pub(crate) description: Option<Cow<'a, str>>,
}

/// What `GET /user` and `GET /user/{id}` answer.
#[derive(Serialize, Deserialize)]
pub(crate) struct User<'a> {
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: UserId,
    pub(crate) name: Cow<'a, str>,
    pub(crate) username: Cow<'a, str>,
    pub(crate) description: Cow<'a, str>,
}

/// `{"status":"ok"}`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Status<'a> {
    pub(crate) status: Cow<'a, str>,
}

/// What `POST /chat/{id}` answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct ChatOpened<'a> {
    pub(crate) status: Cow<'a, str>,
    pub(crate) chat: Object<ChatReference>,
}

/// A chat by its id alone.
#[derive(Serialize, Deserialize)]
pub(crate) struct ChatReference {
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: FlowId,
}

/// What `GET /chat/{id}/info` answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct ChatInfo<'a> {
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: FlowId,
    pub(crate) name: Cow<'a, str>,
    #[serde(rename = "type")]
    pub(crate) kind: RoomKind,
    pub(crate) users: Vec<Object<Author<'a>>>,
}

/// The `json` part of `POST /group`.
#[derive(Serialize, Deserialize)]
pub(crate) struct NewGroup<'a> {
    pub(crate) name: Cow<'a, str>,
    #[serde(default)]
    pub(crate) description: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) users: Vec<Object<Named<'a>>>,
}

/// The body of `POST /group/{id}/add` and `DELETE /group/{id}/delete`.
#[derive(Serialize, Deserialize)]
pub(crate) struct NamedUsers<'a> {
    pub(crate) users: Vec<Object<Named<'a>>>,
}

/// A user whom a request names. The name is a courtesy and is not believed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Named<'a> {
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Cow<'a, str>>,
}

/// What `POST /group` answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct GroupCreated<'a> {
    pub(crate) status: Cow<'a, str>,
    pub(crate) group: Object<GroupReference<'a>>,
}

/// A group by its id and name.
#[derive(Serialize, Deserialize)]
pub(crate) struct GroupReference<'a> {
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: FlowId,
    pub(crate) name: Cow<'a, str>,
}

/// What `GET /group/{id}/info` answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct GroupInfo<'a> {
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: FlowId,
    pub(crate) name: Cow<'a, str>,
    pub(crate) description: Cow<'a, str>,
}

/// What `GET /group/{id}/users` answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct GroupUsers<'a> {
    pub(crate) users: Vec<Object<Author<'a>>>,
}

/// What `GET /chats` answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct Chats<'a> {
    pub(crate) rooms: Vec<Object<Room<'a>>>,
}

/// A conversation in the list.
#[derive(Serialize, Deserialize)]
pub(crate) struct Room<'a> {
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: FlowId,
    pub(crate) name: Cow<'a, str>,
    #[serde(rename = "type")]
    pub(crate) kind: RoomKind,
    pub(crate) last_message: Option<Object<Message<'a>>>,
}

/// Whether a conversation is between two or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoomKind {
    Private,
    Group,
}

/// A message: in a history, in a list, or pushed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: MessageId,
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) chat_id: FlowId,
    #[serde(rename = "type")]
    pub(crate) kind: MessageKind,
    pub(crate) text: Cow<'a, str>,
    pub(crate) author: Object<Author<'a>>,
    /// RFC 3339, UTC, to the second.
    pub(crate) time: Cow<'a, str>,
}

/// The `type` of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageKind {
    Message,
    LastMessage,
}

/// A user as others see it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Author<'a> {
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub(crate) id: UserId,
    pub(crate) name: Cow<'a, str>,
}

/// The first frame in a room: newest message first.
#[derive(Serialize, Deserialize)]
pub(crate) struct History<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) messages: Vec<Object<Message<'a>>>,
    /// Set when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Cow<'a, str>>,
}

/// Somebody types in a room, or has stopped.
#[derive(Serialize, Deserialize)]
pub(crate) struct Typing<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) author: Object<Author<'a>>,
}

/// A frame that a client sends, before its `type` was looked at. Its author is not even read.
#[derive(Deserialize)]
pub(crate) struct Utterance {
    #[serde(rename = "type", default)]
    pub(crate) kind: serde_json::Value,
    #[serde(default)]
    pub(crate) text: serde_json::Value,
}

/// A frame that a client sends, as a client writes it.
#[derive(Serialize)]
pub(crate) struct Said<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<&'a str>,
}

/// The `type` of a frame that a server sends.
#[derive(Deserialize)]
pub(crate) struct Head {
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// Every refused request.
#[derive(Serialize, Deserialize)]
pub(crate) struct Refused<'a> {
    pub(crate) error: Cow<'a, str>,
}

/// Every refused frame.
#[derive(Serialize, Deserialize)]
pub(crate) struct Mistaken<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) error: Cow<'a, str>,
}

/// An id as a number.
trait Number: Copy + TryFrom<i64> {
    fn number(self) -> i64;
}

macro_rules! number {
    ($($id:ident),*) => {$(
        impl Number for $id {
            fn number(self) -> i64 {
                self.get()
            }
        }
    )*};
}
number!(UserId, FlowId, MessageId);

fn write_id<S: Serializer, T: Number>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(id.number())
}

/// Reads what JSON Schema calls an integer: `1.0` is one.
fn read_id<'de, D: Deserializer<'de>, T: Number>(deserializer: D) -> Result<T, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let whole = number
        .as_i64()
        .or_else(|| number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i64));
    whole.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        D::Error::custom(format_args!(
            "an id is an integer from 1 to 9007199254740991, not {number}"
        ))
    })
}
