//! The frames of both directions: protocols/morelia/SPEC.md, section "Frames".
//!
//! What a server hears is a [`serde_json::Value`], because it is validated as one; everything else
//! is a struct here. Nothing here knows what a field means.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use tolmach_dialect::Frame;
use tolmach_dialect::json;
use tolmach_domain::{ConnectionId, FlowKind, ID_LIMIT};

pub(crate) use tolmach_dialect::json::{Present, parse_object as read, write};

/// The version of the protocol that is served.
pub(crate) const VERSION: f64 = 1.0;

/// The `meta` of a push, which tells it from a reply.
pub(crate) const PUSH: &str = "push";

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    GetUpdate,
    SendMessage,
    AllMessages,
    AllFlow,
    UserInfo,
    RegisterUser,
    Authentication,
    DeleteUser,
    DeleteMessage,
    EditedMessage,
}

/// The document's other name for [`Method::Authentication`], which its examples use.
const AUTH: &str = "auth";

impl Method {
    pub(crate) const ALL: [Method; 10] = [
        Method::GetUpdate,
        Method::SendMessage,
        Method::AllMessages,
        Method::AllFlow,
        Method::UserInfo,
        Method::RegisterUser,
        Method::Authentication,
        Method::DeleteUser,
        Method::DeleteMessage,
        Method::EditedMessage,
    ];

    /// Its name in the document's list.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::GetUpdate => "get_update",
            Method::SendMessage => "send_message",
            Method::AllMessages => "all_messages",
            Method::AllFlow => "all_flow",
            Method::UserInfo => "user_info",
            Method::RegisterUser => "register_user",
            Method::Authentication => "authentication",
            Method::DeleteUser => "delete_user",
            Method::DeleteMessage => "delete_message",
            Method::EditedMessage => "edited_message",
        }
    }

    /// The value of `type` that clients say.
    pub(crate) fn said(self) -> &'static str {
        match self {
            Method::Authentication => AUTH,
            other => other.name(),
        }
    }

    /// The method with this value of `type`, and that value, which its reply repeats.
    pub(crate) fn from_type(kind: &str) -> Option<(Self, &'static str)> {
        let names = Self::ALL
            .into_iter()
            .flat_map(|method| [(method, method.name()), (method, method.said())]);
        names.into_iter().find(|(_, name)| *name == kind)
    }
}

/// Whether frames are text or binary; a reply is as its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    #[default]
    Text,
    Binary,
}

impl Form {
    pub(crate) fn frame(self, bytes: Bytes) -> Frame {
        match self {
            Form::Text => Frame::Text(bytes),
            Form::Binary => Frame::Binary(bytes),
        }
    }
}

/// A request as a client says it. Not `Debug`: it holds passwords and tokens.
#[derive(Clone, PartialEq, Serialize)]
pub(crate) struct Request<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) data: RequestData<'a>,
    pub(crate) jsonapi: Served,
    pub(crate) meta: (),
}

/// The `data` of a request.
#[derive(Clone, PartialEq, Default, Serialize)]
pub(crate) struct RequestData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flow: Option<FlowId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Draft<'a>>,
    pub(crate) user: RequestUser<'a>,
    pub(crate) meta: (),
}

/// A flow by its id alone.
#[derive(Clone, Copy, PartialEq, Serialize)]
pub(crate) struct FlowId {
    pub(crate) id: i64,
}

/// A message in a request: to send, to edit or to delete.
#[derive(Clone, PartialEq, Default, Serialize)]
pub(crate) struct Draft<'a> {
    pub(crate) id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<&'a str>,
    pub(crate) time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) emoji: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<i64>,
}

/// Who asks: credentials or a signature.
#[derive(Clone, PartialEq, Default, Serialize)]
pub(crate) struct RequestUser<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_bot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) avatar: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bio: Option<&'a str>,
}

/// A reply of any method, a refusal, or a push: the one whose `meta` is [`PUSH`]. Not `Debug`: it
/// holds tokens.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(default)]
    pub(crate) data: Option<Data<'a>>,
    pub(crate) errors: Errors<'a>,
    #[serde(skip_deserializing)]
    pub(crate) jsonapi: Served,
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub(crate) meta: Option<Cow<'a, str>>,
}

/// The `data` of a reply.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<f64>,
    #[serde(skip_serializing_if = "Items::is_none")]
    pub(crate) flow: Items<Flow<'a>>,
    #[serde(skip_serializing_if = "Items::is_none")]
    pub(crate) message: Items<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<User<'a>>,
    #[serde(skip_deserializing)]
    pub(crate) meta: (),
}

/// What came of a request.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Errors<'a> {
    #[serde(default)]
    pub(crate) id: i64,
    pub(crate) time: f64,
    #[serde(default)]
    pub(crate) status: Cow<'a, str>,
    /// As in RFC 9110.
    pub(crate) code: u16,
    #[serde(default)]
    pub(crate) detail: Cow<'a, str>,
}

/// The `jsonapi` of every frame that is said.
#[derive(Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Served {
    pub(crate) version: f64,
}

impl Default for Served {
    fn default() -> Self {
        Self { version: VERSION }
    }
}

/// One item is an object, several are a list; for none the key is left out.
#[derive(Clone, PartialEq)]
pub(crate) struct Items<T>(pub(crate) Vec<T>);

impl<T> Items<T> {
    fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Items<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            items => items.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<T> {
            Several(Vec<T>),
            One(Box<T>),
            None(()),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Several(items) => items,
            Written::One(item) => vec![*item],
            Written::None(()) => Vec::new(),
        }))
    }
}

/// A flow in a reply.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flow<'a> {
    pub(crate) id: i64,
    pub(crate) time: f64,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) title: Cow<'a, str>,
    #[serde(default)]
    pub(crate) info: Cow<'a, str>,
}

/// A message in a reply or push.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) id: i64,
    #[serde(default)]
    pub(crate) text: Cow<'a, str>,
    pub(crate) from_user: FromUser<'a>,
    pub(crate) time: f64,
    pub(crate) from_flow: FromFlow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<File<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) emoji: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) edited_message: Option<EditedMessage>,
    #[serde(default)]
    pub(crate) reply_to: Option<i64>,
}

/// The author of a message; of a pushed deletion, who deleted it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FromUser<'a> {
    pub(crate) id: i64,
    /// Left out only in a pushed deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<Cow<'a, str>>,
}

/// The flow of a message.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct FromFlow {
    pub(crate) id: i64,
    /// Left out only in a pushed deletion.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
}

/// Attached files, as the client encoded them.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) picture: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) video: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) audio: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<Cow<'a, str>>,
}

/// When a message was edited or deleted.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct EditedMessage {
    pub(crate) time: f64,
    pub(crate) status: bool,
}

/// The kinds of flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Chat,
    Group,
    Channel,
}

impl From<FlowKind> for Kind {
    fn from(kind: FlowKind) -> Self {
        match kind {
            FlowKind::Chat => Kind::Chat,
            FlowKind::Group => Kind::Group,
            FlowKind::Channel => Kind::Channel,
        }
    }
}

impl From<Kind> for FlowKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Chat => FlowKind::Chat,
            Kind::Group => FlowKind::Group,
            Kind::Channel => FlowKind::Channel,
        }
    }
}

/// The caller in a reply: an id with whatever the method gives of the record. Never a password.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct User<'a> {
    pub(crate) id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_bot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) avatar: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bio: Option<Cow<'a, str>>,
}

/// What a first frame is looked at for. A key counts as soon as it is there, whatever its value.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Head {
    #[serde(rename = "type")]
    kind: Kinds,
    jsonapi: Present,
    mode: Present,
    action: Present,
}

impl Head {
    pub(crate) fn is_ours(&self) -> bool {
        (self.jsonapi.0 || self.kind.0) && !(self.mode.0 || self.action.0)
    }
}

/// Whether a `type` is one that the document names.
#[derive(Default)]
struct Kinds(bool);

impl<'de> Deserialize<'de> for Kinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Other(IgnoredAny),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(kind) => Method::from_type(&kind).is_some(),
            Written::Other(IgnoredAny) => false,
        }))
    }
}

/// `meta` is reserved: whatever else stands there is passed over.
fn text_or_nothing<'de, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Other(IgnoredAny),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Text(text) => Some(Cow::Owned(text)),
        Written::Other(IgnoredAny) => None,
    })
}

/// The most values of a request. Each takes some thirty times the memory of its one byte, and
/// frames are large for the sake of their files alone.
pub(crate) const VALUES_LIMIT: usize = 10_000;

/// Whether a request has more values than any method needs. Cheap where there are not even that
/// many commas.
pub(crate) fn is_crowded(bytes: &[u8]) -> bool {
    if json::count(bytes, |byte| byte == b',') < VALUES_LIMIT {
        return false;
    }
    let (mut commas, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' if !in_string => commas += 1,
            _ => {}
        }
    }
    commas >= VALUES_LIMIT
}

/// The `errors.id` of the frame with this number on a connection: never twice on one connection,
/// and in practice never on two, whose ids are random.
pub(crate) fn reply_id(connection: ConnectionId, count: u64) -> i64 {
    id_of(mix(connection.0).wrapping_add(count))
}

/// A number that stands for two: the same for the same pair, in practice for no other.
pub(crate) fn id_of_pair(one: u64, other: u64) -> i64 {
    id_of(mix(mix(one).wrapping_add(other)))
}

/// A number that stands for a text.
pub(crate) fn id_of_text(text: &str) -> i64 {
    id_of(text.bytes().fold(text.len() as u64, |state, byte| mix(state ^ u64::from(byte))))
}

fn id_of(number: u64) -> i64 {
    const IDS: u64 = ID_LIMIT.unsigned_abs() - 1;
    i64::try_from(number % IDS + 1).unwrap_or(1)
}

/// Spreads neighbouring numbers over all of them, without loss (the finalizer of SplitMix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_of_replies_are_ids_and_differ() {
        let ids: BTreeSet<i64> = (0..50)
            .flat_map(|connection| {
                (0..200).map(move |count| reply_id(ConnectionId(connection), count))
            })
            .collect();
        assert_eq!(ids.len(), 50 * 200);
        let edges = [0, u64::MAX, ID_LIMIT.unsigned_abs() - 1, ID_LIMIT.unsigned_abs()].map(id_of);
        assert!(ids.into_iter().chain(edges).all(|id| (1..ID_LIMIT).contains(&id)));
    }

    #[test]
    fn values_are_counted_by_the_commas_outside_strings() {
        let commas = ",".repeat(VALUES_LIMIT);
        for (text, crowded) in [
            (format!("[0{}]", ",0".repeat(VALUES_LIMIT)), true),
            (format!("[0{}]", ",0".repeat(VALUES_LIMIT - 1)), false),
            (format!("[\"{commas}\"]"), false),
            (format!("[\"\\\"{commas}\"]"), false),
        ] {
            assert_eq!(is_crowded(text.as_bytes()), crowded);
        }
    }

    #[test]
    fn every_method_is_found_by_each_of_its_names() {
        for method in Method::ALL {
            for name in [method.name(), method.said()] {
                assert_eq!(Method::from_type(name), Some((method, name)));
            }
        }
        assert_eq!(Method::from_type("error"), None);
    }

    #[test]
    fn one_item_is_an_object_and_several_are_a_list() {
        for (json, items) in [("1", vec![1]), ("[1,2]", vec![1, 2])] {
            assert_eq!(serde_json::to_string(&Items(items.clone())).unwrap(), json);
            assert!(serde_json::from_str::<Items<i32>>(json).unwrap().0 == items);
        }
        for json in ["null", "[]"] {
            assert!(serde_json::from_str::<Items<i32>>(json).unwrap().is_none());
        }
    }
}
