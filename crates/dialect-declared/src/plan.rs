//! Compiled patterns: what a frame is matched with and filled in by.

use crate::forms::{Form, Tables};
use crate::model::{Field, Operation, Type};
use crate::problem::Place;
use crate::syntax::{Kind, Syntax, Value, WrittenKey};
use crate::token_check::TokenCheck;
use std::collections::HashMap;
use std::time::Duration;

/// A part of a frame.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// A constant. True if reading compares it.
    Constant(Value<'static>, bool),
    Text(Vec<TextPlan>),
    Slot(Slot),
    Object(Vec<PlanMember>),
    Fixed(Vec<Plan>),
    List(ListPlan),
}

#[derive(Debug, Clone)]
pub(crate) enum TextPlan {
    Literal(String),
    Slot(Slot),
}

#[derive(Debug, Clone)]
pub(crate) struct PlanMember {
    /// The first is written, all are read.
    pub(crate) keys: Vec<String>,
    /// The first key, as frames have it.
    pub(crate) written: WrittenKey,
    pub(crate) is_optional: bool,
    pub(crate) is_required: bool,
    pub(crate) plan: Plan,
}

/// A list of the model.
#[derive(Debug, Clone)]
pub(crate) struct ListPlan {
    /// Constants and parts that stand before the items.
    pub(crate) before: Vec<Plan>,
    /// The list, or the object of [`ListKind::With`].
    pub(crate) slot: Slot,
    pub(crate) item: Box<Plan>,
    pub(crate) kind: ListKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// A list of all items.
    Each,
    /// The item if there is one, a list of several.
    OneOrMany,
    /// The item, of which there is exactly one.
    One,
    /// The item of an optional object, or null.
    With,
    /// A list of none or one.
    WithInList,
}

/// A compiled hole.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) source: SlotSource,
    /// The names of the model from the source.
    pub(crate) path: Vec<&'static str>,
    /// The fields of these names.
    pub(crate) fields: Vec<Field>,
    pub(crate) of: Type,
    /// True if the model's field may be none.
    pub(crate) is_optional: bool,
    /// The first is written, all are read.
    pub(crate) forms: Vec<Form>,
    pub(crate) default: Option<Value<'static>>,
    /// True if the default is the wire's constant for none, which is read as none.
    pub(crate) is_none_default: bool,
}

/// The object that a slot's path begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotSource {
    /// The root (0) or an item around the hole.
    Scope(usize),
    /// The request, in its response.
    Request,
    /// The user of the connection.
    Me,
    /// A column of the outcome.
    Outcome(usize),
    /// The name of the operation: of a request, the `answer`.
    Name,
    /// The name that the request has on the wire.
    RequestName,
    Now,
    /// The request id.
    Tag,
    /// The token of a request.
    Token,
    /// The user whom a request's token is of.
    TokenUser,
    /// A cell of the connection's memory.
    Memory(usize),
    /// Nothing of the model: written from the time of the frame or as null, read and forgotten.
    Nothing,
}

/// A condition by which requests differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) path: Vec<String>,
    pub(crate) test: Test,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Equals(Value<'static>),
    Kinds(Vec<Kind>),
}

/// One way to write a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestFrame {
    pub(crate) plan: Plan,
    /// Conditions of a frame to be this one, where others have the same name.
    pub(crate) conditions: Vec<Condition>,
    /// The key on the wire of each field of the command.
    pub(crate) keys: HashMap<&'static str, String>,
}

/// A value that a wire fixes.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    /// The names from the command.
    pub(crate) path: Vec<&'static str>,
    pub(crate) value: FixedValue,
}

/// A value that a response leaves out.
#[derive(Debug, Clone)]
pub(crate) struct Preset {
    /// The names from the answer; true after one that is a list, of whose items it goes on.
    pub(crate) path: Vec<(&'static str, bool)>,
    pub(crate) value: FixedValue,
}

/// A request whose response shows that an answer of a frame an item has ended.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    pub(crate) plan: Plan,
    pub(crate) name: Value<'static>,
}

#[derive(Debug, Clone)]
pub(crate) enum FixedValue {
    Constant(crate::model::Found),
    /// Another field of the same record.
    Field(Vec<&'static str>),
    /// A field of the request.
    Request(Vec<&'static str>),
    Memory(usize),
    /// The id of the connection's own user.
    MyId,
    /// The fields of the connection's own user.
    Me,
}

/// The response to a granted request.
#[derive(Debug, Clone)]
pub(crate) enum ResponsePlan {
    Frame(Plan),
    /// The frame of the event that the request causes.
    Event,
    Nothing,
}

impl ResponsePlan {
    /// The plan of its frame.
    pub(crate) fn frame(&self) -> Option<&Plan> {
        match self {
            ResponsePlan::Frame(plan) => Some(plan),
            ResponsePlan::Event | ResponsePlan::Nothing => None,
        }
    }

    /// True for [`ResponsePlan::Event`].
    pub(crate) fn is_event(&self) -> bool {
        matches!(self, ResponsePlan::Event)
    }
}

/// A request that follows another one of the same frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FollowUp {
    /// The rule of the request.
    pub(crate) rule: usize,
    /// The fault of the other one that leads to it; `None` if it must be granted.
    pub(crate) fault: Option<&'static str>,
}

/// The reaction to a refused request.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    Frame(Plan),
    /// By fault, else by `*`.
    ByFault(HashMap<String, Plan>),
    Nothing,
}

/// One kind of request.
#[derive(Debug, Clone)]
pub(crate) struct RequestRule {
    pub(crate) operation: Operation,
    pub(crate) name: Value<'static>,
    /// The name in the response.
    pub(crate) answer: Value<'static>,
    pub(crate) place: Place,
    /// The requests before it by the same frame: the command, and its fault where it must not be
    /// granted. Without any, a frame is this request itself.
    pub(crate) after: Vec<(Operation, Option<&'static str>)>,
    /// The requests of the same frame that come next.
    pub(crate) follow_ups: Vec<FollowUp>,
    pub(crate) frames: Vec<RequestFrame>,
    pub(crate) set: Vec<Fixed>,
    pub(crate) response: ResponsePlan,
    /// The fields that the response leaves out.
    pub(crate) response_set: Vec<Preset>,
    /// The list whose items have a frame each.
    pub(crate) each: Option<Slot>,
    pub(crate) fence: Option<Fence>,
    pub(crate) empty: Option<Empty>,
    /// The response to no items, where each item has a frame.
    pub(crate) without_items: Option<Plan>,
    pub(crate) ok: usize,
    pub(crate) refused: Refusal,
    /// Rows of outcomes of its own, by fault.
    pub(crate) outcomes: HashMap<String, Vec<Option<Value<'static>>>>,
    pub(crate) remember: Vec<(usize, Vec<&'static str>, bool)>,
    pub(crate) forget: Vec<usize>,
    /// Memory that must be set (true) or not (false), with the outcome otherwise.
    pub(crate) needs: Vec<(usize, bool, usize)>,
    /// True if the response names a field of the request.
    pub(crate) keeps_request: bool,
    pub(crate) needs_token: bool,
    /// True if the response names the messages that a deletion left.
    pub(crate) says_left: bool,
    /// True if the response says where the next page begins: one item more than the page is
    /// requested, which shows if there is one.
    pub(crate) is_paged: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Empty {
    Outcome(usize),
    Frame(Plan),
}

/// One kind of event.
#[derive(Debug, Clone)]
pub(crate) struct EventRule {
    pub(crate) event: &'static str,
    pub(crate) name: Value<'static>,
    pub(crate) plan: Plan,
    pub(crate) each: Option<Slot>,
    pub(crate) ok: usize,
    /// Fields that must have these values.
    pub(crate) only: Vec<(Vec<&'static str>, String)>,
    /// The memory that holds the only flow whose events are delivered.
    pub(crate) to: Option<usize>,
    /// True if the frame differs from connection to connection.
    pub(crate) is_private: bool,
}

/// A row of `[outcomes]`.
#[derive(Debug, Clone)]
pub(crate) struct OutcomeRow {
    pub(crate) name: String,
    pub(crate) cells: Vec<Option<Value<'static>>>,
}

/// The way in which a connection proves its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialsPlace {
    /// By a login on the connection.
    Connection,
    /// By a token in each request.
    Field,
    /// By the `Authorization` header of the handshake.
    Header,
    /// By the last WebSocket subprotocol.
    Subprotocol,
    /// By `token` in the query of the handshake.
    Query,
}

impl CredentialsPlace {
    /// True for a token of the handshake.
    pub(crate) fn is_of_handshake(self) -> bool {
        match self {
            CredentialsPlace::Connection | CredentialsPlace::Field => false,
            CredentialsPlace::Header | CredentialsPlace::Subprotocol | CredentialsPlace::Query => {
                true
            }
        }
    }
}

/// A compiled file.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub(crate) id: String,
    pub(crate) revision: String,
    pub(crate) summary: String,
    pub(crate) syntax: Syntax,
    pub(crate) transports: Vec<Transport>,
    pub(crate) paths: Vec<String>,
    pub(crate) opens: Option<Plan>,
    pub(crate) opening: String,
    /// The first that a connection has is used.
    pub(crate) credentials: Vec<CredentialsPlace>,
    /// The paths on which every request claims the right of an administrator.
    pub(crate) administrator_paths: Vec<String>,
    pub(crate) ignore: Vec<String>,
    pub(crate) push: bool,
    pub(crate) pace: Option<Duration>,
    pub(crate) token_check: Option<TokenCheck>,
    pub(crate) memory: Vec<(String, Type)>,
    pub(crate) tables: Tables,
    pub(crate) outcomes: Vec<OutcomeRow>,
    pub(crate) requests: Vec<RequestRule>,
    pub(crate) events: Vec<EventRule>,
    /// The keys that lead to a request's name; `[n]` is a place in a list.
    pub(crate) name_path: Vec<String>,
    /// True if frames of requests are lists.
    pub(crate) is_list: bool,
    /// The keys that lead to the name in a response, if it has one.
    pub(crate) response_name_path: Option<Vec<String>>,
    /// The same in an event.
    pub(crate) event_name_path: Option<Vec<String>>,
    /// The frames of violations; `None` where they are not answered.
    pub(crate) unknown: Option<Plan>,
    pub(crate) malformed: Option<Plan>,
    /// True if request ids are texts.
    pub(crate) has_text_tags: bool,
}

/// A transport of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Tcp,
}

impl Compiled {
    /// True if the handshake proves the user of a connection.
    pub(crate) fn proves_by_handshake(&self) -> bool {
        self.credentials.iter().any(|place| place.is_of_handshake())
    }

    /// The outcome with this name.
    pub(crate) fn outcome(&self, name: &str) -> Option<usize> {
        self.outcomes.iter().position(|row| row.name == name)
    }
}
