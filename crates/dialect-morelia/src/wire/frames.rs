//! The frames as structs. The server reads requests as [`serde_json::Value`], which their JSON
//! Schemas are validated against; the client writes them from the structs here.
//!
//! Frames carry passwords and tokens, so none of them is `Debug`.

use super::method::Method;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use tolmach_dialect::field::Field;
use tolmach_dialect::json::Present;
use tolmach_domain::{Attachment, AttachmentKind, FlowId, FlowKind, Timestamp};

/// The version of the protocol.
pub(crate) const VERSION: f64 = 1.0;

/// The `meta` of a push, which tells it from a reply.
pub(crate) const PUSH: &str = "push";

/// The most messages of a reply: a client goes on from its `time`.
pub(crate) const MAX_MESSAGES: u32 = 1000;

/// A request.
#[derive(Serialize)]
pub(crate) struct Request<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) data: RequestData<'a>,
    pub(crate) jsonapi: Version,
    pub(crate) meta: (),
}

/// The `data` of a request.
#[derive(Default, Serialize)]
pub(crate) struct RequestData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flow: Option<FlowRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<RequestMessage<'a>>,
    pub(crate) user: User<'a>,
    pub(crate) meta: (),
}

/// A flow by its id.
#[derive(Serialize)]
pub(crate) struct FlowRef {
    pub(crate) id: i64,
}

impl From<FlowId> for FlowRef {
    fn from(flow: FlowId) -> Self {
        Self { id: flow.get() }
    }
}

/// A message to send, edit or delete.
#[derive(Default, Serialize)]
pub(crate) struct RequestMessage<'a> {
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

/// A reply, or the push whose `meta` is [`PUSH`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Reply<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(default)]
    pub(crate) data: Option<Data<'a>>,
    #[serde(borrow)]
    pub(crate) errors: Errors<'a>,
    #[serde(skip_deserializing)]
    pub(crate) jsonapi: Version,
    #[serde(borrow, default)]
    pub(crate) meta: Field<Cow<'a, str>>,
}

/// The `data` of a reply.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<f64>,
    #[serde(skip_serializing_if = "Items::is_empty")]
    pub(crate) flow: Items<Flow<'a>>,
    #[serde(skip_serializing_if = "Items::is_empty")]
    pub(crate) message: Items<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<User<'a>>,
    #[serde(skip_deserializing)]
    pub(crate) meta: (),
}

/// The outcome of a request, also of a granted one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Errors<'a> {
    #[serde(default)]
    pub(crate) id: i64,
    pub(crate) time: f64,
    #[serde(borrow, default)]
    pub(crate) status: Cow<'a, str>,
    /// As in RFC 9110.
    pub(crate) code: u16,
    #[serde(borrow, default)]
    pub(crate) detail: Cow<'a, str>,
}

/// The `jsonapi` of every frame that is written.
#[derive(Serialize)]
pub(crate) struct Version {
    version: f64,
}

impl Default for Version {
    fn default() -> Self {
        Self { version: VERSION }
    }
}

/// An object for one item, a list for several; for none the key is left out.
pub(crate) struct Items<T>(pub(crate) Vec<T>);

impl<T> Items<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<T> for Items<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
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
        enum Json<T> {
            Several(Vec<T>),
            One(Box<T>),
            None(()),
        }
        Ok(Self(match Json::deserialize(deserializer)? {
            Json::Several(items) => items,
            Json::One(item) => vec![*item],
            Json::None(()) => Vec::new(),
        }))
    }
}

/// A flow in a reply.
#[derive(Serialize, Deserialize)]
pub(crate) struct Flow<'a> {
    pub(crate) id: i64,
    pub(crate) time: f64,
    #[serde(rename = "type")]
    pub(crate) kind: FlowType,
    #[serde(default)]
    pub(crate) title: Cow<'a, str>,
    #[serde(default)]
    pub(crate) info: Cow<'a, str>,
}

/// The `type` of a flow.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct FlowType(#[serde(with = "FlowTypeName")] pub(crate) FlowKind);

#[derive(Serialize, Deserialize)]
#[serde(remote = "FlowKind", rename_all = "lowercase")]
enum FlowTypeName {
    Chat,
    Group,
    Channel,
}

/// A message in a reply or push.
#[derive(Serialize, Deserialize)]
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

/// The author of a message; in a pushed deletion, the user who deleted it.
#[derive(Serialize, Deserialize)]
pub(crate) struct FromUser<'a> {
    pub(crate) id: i64,
    /// Left out in a pushed deletion only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<Cow<'a, str>>,
}

/// The flow of a message.
#[derive(Serialize, Deserialize)]
pub(crate) struct FromFlow {
    pub(crate) id: i64,
    /// Left out in a pushed deletion only.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<FlowType>,
}

/// The time at which a message was edited or deleted.
#[derive(Serialize, Deserialize)]
pub(crate) struct EditedMessage {
    pub(crate) time: f64,
    pub(crate) status: bool,
}

impl EditedMessage {
    /// An edit or a deletion at this time.
    pub(crate) fn at(time: Timestamp) -> Self {
        Self { time: time.seconds(), status: true }
    }
}

/// Attached files, as the client encoded them. Null and the empty string stand for none.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Cow<'a, str>>,
}

impl<'a> File<'a> {
    /// The first attachment of each kind; `None` without any.
    pub(crate) fn new(attachments: &'a [Attachment]) -> Option<Self> {
        let mut file = Self::default();
        for (kind, data) in file.by_kind() {
            let first = attachments.iter().find(|file| file.kind == kind && !file.data.is_empty());
            *data = first.map(|file| Cow::Borrowed(file.data.as_str()));
        }
        (file != Self::default()).then_some(file)
    }

    /// The attachments, ordered by kind.
    pub(crate) fn attachments(mut self) -> Vec<Attachment> {
        let attachment = |(kind, data): (_, &mut Option<Cow<'_, str>>)| {
            let data = data.take().filter(|data| !data.is_empty())?.into_owned();
            Some(Attachment { kind, data })
        };
        self.by_kind().into_iter().filter_map(attachment).collect()
    }

    fn by_kind(&mut self) -> [(AttachmentKind, &mut Option<Cow<'a, str>>); 4] {
        [
            (AttachmentKind::Picture, &mut self.picture),
            (AttachmentKind::Video, &mut self.video),
            (AttachmentKind::Audio, &mut self.audio),
            (AttachmentKind::Document, &mut self.document),
        ]
    }
}

/// The caller: in a request the credentials or the signature, in a reply an id with what the method
/// gives of the record.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<Cow<'a, str>>,
    /// In requests only.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub(crate) password: Option<&'a str>,
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

/// The keys by which a first frame is recognised. `jsonapi` counts whatever its value.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct FirstFrame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Field<Cow<'a, str>>,
    jsonapi: Present,
}

impl FirstFrame<'_> {
    /// True if the frame is this dialect's.
    pub(crate) fn is_recognised(&self) -> bool {
        let is_method = |kind: &str| Method::from_type(kind).is_some();
        self.jsonapi.0 || matches!(&self.kind, Field::Value(kind) if is_method(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_item_is_an_object_and_several_are_a_list() {
        for (json, items) in [("1", vec![1]), ("[1,2]", vec![1, 2])] {
            assert_eq!(serde_json::to_string(&Items(items.clone())).unwrap(), json);
            assert!(serde_json::from_str::<Items<i32>>(json).unwrap().0 == items);
        }
        for json in ["null", "[]"] {
            assert!(serde_json::from_str::<Items<i32>>(json).unwrap().is_empty());
        }
    }
}
