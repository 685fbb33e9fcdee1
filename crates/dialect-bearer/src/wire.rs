//! Bodies and frames of both directions, and the limits on them (`protocols/bearer/SPEC.md`,
//! "Bodies" and "WebSockets").

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use tolmach_dialect::Frame;
use tolmach_dialect::json::{self, JsonError};
use tolmach_domain::{FlowId, MessageId, PHOTO_LIMIT, UserId};

/// The largest JSON body and JSON part of a form, in bytes.
pub(crate) const JSON_LIMIT: usize = 64 << 10;
/// The largest form, in bytes: a photo, a JSON part, and as much again for the multipart framing.
pub(crate) const FORM_LIMIT: usize = PHOTO_LIMIT + 2 * JSON_LIMIT;
/// The largest WebSocket message, in bytes.
pub(crate) const FRAME_LIMIT: usize = 1 << 20;
/// The longest username, telephone number, and e-mail address that is a login, in characters.
pub(crate) const LOGIN_LIMIT: usize = 64;
/// The longest name, in characters.
pub(crate) const NAME_LIMIT: usize = 255;
/// The longest description, in characters.
pub(crate) const DESCRIPTION_LIMIT: usize = 4096;
/// The longest e-mail address, in characters.
pub(crate) const EMAIL_LIMIT: usize = 254;
/// The longest password, in characters.
pub(crate) const PASSWORD_LIMIT: usize = 1024;
/// The most users that one request names.
pub(crate) const USERS_LIMIT: usize = 1000;
/// The longest `Idempotency-Key`, in characters.
pub(crate) const KEY_LIMIT: usize = 255;
/// The most messages of a room's history.
pub(crate) const HISTORY_LIMIT: u32 = 1000;
/// The messages of a room's history where the handshake has no `limit`.
pub(crate) const HISTORY_DEFAULT: u32 = 100;

/// The close code of RFC 6455 for a session that has ended and a user who may not stay.
pub(crate) const POLICY_VIOLATION: u16 = 1008;
/// The close code of RFC 6455 for a frame that is too large.
pub(crate) const TOO_LARGE: u16 = 1009;

/// Reads a JSON object. Of a field that stands twice, the last one counts.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], depth: usize) -> Result<T, JsonError> {
    match json::parse::<Object<T>>(bytes, depth) {
        // Structs of serde refuse a repeated field and maps do not, at the cost of a second pass.
        Err(JsonError::Shape(_)) => {
            let value = json::parse::<Value>(bytes, depth)?;
            serde_json::from_value::<Object<T>>(value).map_err(JsonError::Shape)
        }
        read => read,
    }
    .map(|object| object.0)
}

/// A JSON response that no cache keeps.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let mut response = Response::new(json::write(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A text frame of one JSON object.
pub(crate) fn text_frame(frame: &impl Serialize) -> Frame {
    Frame::text(json::write(frame))
}

/// True if a description can hold the character: all but NUL, which some stores cannot keep.
pub(crate) fn is_text(character: char) -> bool {
    character != '\0'
}

/// A struct that is read from an object only: serde also reads structs from arrays.
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

/// An id as a JSON number. An integer in the sense of JSON Schema is read: `1.0` is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id<T>(pub(crate) T);

macro_rules! serialize_ids {
    ($($id:ident),*) => {$(
        impl Serialize for Id<$id> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_i64(self.0.get())
            }
        }
    )*};
}
serialize_ids!(UserId, FlowId, MessageId);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let float = || number.as_f64().filter(|float| float.fract() == 0.0);
        let integer = number.as_i64().or_else(|| float().map(|float| float as i64));
        integer.and_then(|integer| T::try_from(integer).ok()).map(Id).ok_or_else(|| {
            D::Error::custom(format_args!(
                "an id is an integer from 1 to 9007199254740991, not {number}"
            ))
        })
    }
}

/// The body of `POST /register`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Register<'a> {
    pub(crate) email: Cow<'a, str>,
    pub(crate) password: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<Cow<'a, str>>,
}

/// The body of `POST /login`: exactly one of `email` and `username`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Login<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<Cow<'a, str>>,
    pub(crate) password: Cow<'a, str>,
}

/// The body of `POST /refresh`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Refresh<'a> {
    pub(crate) refresh_token: Cow<'a, str>,
}

/// The reply to a registration, a login and a refresh.
#[derive(Serialize, Deserialize)]
pub(crate) struct TokenPair<'a> {
    pub(crate) access_token: Cow<'a, str>,
    pub(crate) refresh_token: Cow<'a, str>,
}

/// The reply to `POST /logout`.
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

/// The reply to `GET /user` and `GET /user/{id}`.
#[derive(Serialize, Deserialize)]
pub(crate) struct User<'a> {
    pub(crate) id: Id<UserId>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) username: Cow<'a, str>,
    pub(crate) description: Cow<'a, str>,
}

/// The reply `{"status":"ok"}`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Status<'a> {
    pub(crate) status: Cow<'a, str>,
}

/// The reply to `POST /chat/{id}`.
#[derive(Serialize, Deserialize)]
pub(crate) struct ChatOpened<'a> {
    pub(crate) status: Cow<'a, str>,
    pub(crate) chat: Object<ChatReference>,
}

/// A chat by its id alone.
#[derive(Serialize, Deserialize)]
pub(crate) struct ChatReference {
    pub(crate) id: Id<FlowId>,
}

/// The reply to `GET /chat/{id}/info`.
#[derive(Serialize, Deserialize)]
pub(crate) struct ChatInfo<'a> {
    pub(crate) id: Id<FlowId>,
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
    pub(crate) users: Vec<Object<NamedUser<'a>>>,
}

/// A user in a request. The name is not used.
#[derive(Serialize, Deserialize)]
pub(crate) struct NamedUser<'a> {
    pub(crate) id: Id<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Cow<'a, str>>,
}

/// The reply to `POST /group`.
#[derive(Serialize, Deserialize)]
pub(crate) struct GroupCreated<'a> {
    pub(crate) status: Cow<'a, str>,
    pub(crate) group: Object<GroupReference<'a>>,
}

/// A group by its id and name.
#[derive(Serialize, Deserialize)]
pub(crate) struct GroupReference<'a> {
    pub(crate) id: Id<FlowId>,
    pub(crate) name: Cow<'a, str>,
}

/// The reply to `GET /group/{id}/info`.
#[derive(Serialize, Deserialize)]
pub(crate) struct GroupInfo<'a> {
    pub(crate) id: Id<FlowId>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) description: Cow<'a, str>,
}

/// The body of `POST /group/{id}/add` and `DELETE /group/{id}/delete`, and the reply to
/// `GET /group/{id}/users`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Users<T> {
    pub(crate) users: Vec<Object<T>>,
}

/// The reply to `GET /chats`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Chats<'a> {
    pub(crate) rooms: Vec<Object<Room<'a>>>,
}

/// A conversation in the list.
#[derive(Serialize, Deserialize)]
pub(crate) struct Room<'a> {
    pub(crate) id: Id<FlowId>,
    pub(crate) name: Cow<'a, str>,
    #[serde(rename = "type")]
    pub(crate) kind: RoomKind,
    pub(crate) last_message: Option<Object<Message<'a>>>,
}

/// The `type` of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoomKind {
    Private,
    Group,
}

/// A message: in a history, in a list, or pushed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) id: Id<MessageId>,
    pub(crate) chat_id: Id<FlowId>,
    #[serde(rename = "type")]
    pub(crate) kind: MessageKind,
    pub(crate) text: Cow<'a, str>,
    pub(crate) author: Object<Author<'a>>,
    /// RFC 3339, UTC, to the second.
    pub(crate) time: Cow<'a, str>,
}

/// A pushed message of the revision `swiftly-mobile`.
#[derive(Serialize)]
pub(crate) struct MobileMessage<'a> {
    #[serde(flatten)]
    pub(crate) document: Message<'a>,
    /// The time again.
    pub(crate) created_at: Cow<'a, str>,
    /// The id of the author again.
    pub(crate) from_id: Id<UserId>,
}

/// A message of `GET /chat/{id}/messages`.
#[derive(Serialize)]
pub(crate) struct StoredMessage<'a> {
    pub(crate) id: Id<MessageId>,
    pub(crate) text: Cow<'a, str>,
    /// RFC 3339, UTC, to the second.
    pub(crate) created_at: Cow<'a, str>,
    pub(crate) from_id: Id<UserId>,
}

/// The `type` of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageKind {
    /// In a room, a history or a list.
    Message,
    /// In the WebSocket of all rooms.
    LastMessage,
}

/// A user as others see it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Author<'a> {
    pub(crate) id: Id<UserId>,
    pub(crate) name: Cow<'a, str>,
}

/// The first frame in a room: newest message first.
#[derive(Serialize, Deserialize)]
pub(crate) struct History<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) messages: Vec<Object<Message<'a>>>,
    /// Present if there are no messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Cow<'a, str>>,
}

/// A frame about a user who types in a room, or has stopped.
#[derive(Serialize, Deserialize)]
pub(crate) struct Typing<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) author: Object<Author<'a>>,
}

/// A client's frame. Values of any type are read, so that each mistake has an error of its own.
#[derive(Serialize, Deserialize)]
pub(crate) struct ClientFrame {
    #[serde(rename = "type", default)]
    pub(crate) kind: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) text: Value,
}

/// The `type` of a server's frame.
#[derive(Deserialize)]
pub(crate) struct FrameType {
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// The `type` of a frame about a user who types.
pub(crate) const TYPING: &str = "typing";
/// The `type` of a frame about a user who has stopped typing.
pub(crate) const STOP_TYPING: &str = "stop_typing";

/// [`STOP_TYPING`] in the revision `swiftly-mobile`; read in every revision.
pub(crate) const MOBILE_STOP_TYPING: &str = "stoptyping";

/// The `type` of a typing frame.
pub(crate) fn typing_kind(active: bool) -> &'static str {
    if active { TYPING } else { STOP_TYPING }
}

/// The body of every response but the successful ones.
#[derive(Serialize, Deserialize)]
pub(crate) struct ErrorBody<'a> {
    pub(crate) error: Cow<'a, str>,
}

/// The answer to a frame that is malformed or was refused.
#[derive(Serialize, Deserialize)]
pub(crate) struct ErrorFrame<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    pub(crate) error: Cow<'a, str>,
}
