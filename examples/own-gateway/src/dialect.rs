//! The dialect `tinychat`: protocols/tinychat/SPEC.md describes it. Server side only.
//!
//! A request is an object with an `op` and an `id`; its response repeats the `id` and has either
//! `ok` or `error`. A pushed event is an object with an `event`.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tolmach_dialect::errors::{ErrorTable, FieldNames, RequestError};
use tolmach_dialect::field::{Field, FieldError, Integer};
use tolmach_dialect::{
    Capabilities, Correlation, DOC, Delivery, Dialect, Endpoint, Frame, Handshake,
    HandshakeRejection, Manifest, Recognition, RenderContext, Request, Response, ServerSession,
    Subscription, Unsupported, Variant, Violation, ViolationKind, WireNames, json, wire_names,
};
use tolmach_domain::{
    Answer, Command, ConnectionId, Content, Credentials, Event, EventKind, Fault, FlowId,
    FlowKindFilter, FlowSummary, GrantKind, HistoryRange, Identity, Message, NewMessage,
    Registration, Secret, Timestamp, UserId, UserRef,
};

const ID: &str = "tinychat";

static MANIFEST: Manifest = Manifest::new(ID, "JSON requests with an op, over WebSocket")
    .endpoints(&[Endpoint::websocket("/tinychat")])
    .opening("a string \"op\"")
    .capabilities(Capabilities {
        pushes_posted: true,
        pushes_edited: true,
        pushes_deleted: true,
        ..Capabilities::NONE
    });

/// The most messages that `read` gives.
const MAX_LIMIT: u32 = 500;

wire_names! {
    /// The values of `op`.
    pub(crate) enum Operation {
        SignUp = "sign_up",
        LogIn = "log_in",
        LogOut = "log_out",
        Rooms = "rooms",
        Open = "open",
        Say = "say",
        Read = "read",
    }
}

/// Every fault on this wire: its `code` and its `text`.
static ERRORS: ErrorTable<&'static str> = ErrorTable {
    unauthenticated: ("log_in_first", "log in first"),
    wrong_credentials: ("wrong_credentials", "wrong user or secret"),
    login_taken: ("taken", "this user name is taken"),
    no_profile: ("no_profile", "this account has no profile yet"),
    profile_exists: ("has_profile", "this account has a profile already"),
    no_such_user: ("no_such_user", "no such user"),
    no_such_flow: ("no_such_room", "no such room"),
    no_such_message: ("no_such_message", "no such message"),
    no_photo: ("no_photo", "no such photo"),
    wrong_kind: ("wrong_kind", "this room is of another kind"),
    not_owner: ("not_owner", "only the owner of the room may do this"),
    not_author: ("not_author", "only the author of the message may do this"),
    not_administrator: ("not_administrator", "only an administrator may do this"),
    no_business: ("no_business", "no member has the business tariff"),
    already_member: ("already_member", "a user is in this room already"),
    not_member: ("not_member", "a user is not in this room"),
    key_reused: ("key_reused", "this key was used for another request"),
    too_many: ("too_many", "too many requests, try again later"),
    unavailable: ("unavailable", "the service is unavailable for the moment"),
    internal: ("internal", "internal error"),
    invalid: "bad_request",
    fields: FieldNames(&[
        ("login", "user"),
        ("identifier", "user"),
        ("username", "user"),
        ("password", "secret"),
        ("flow", "room"),
        ("content", "text"),
    ]),
};

/// A request. Fields that its operation does not have are ignored.
#[derive(Deserialize)]
struct WireRequest<'a> {
    #[serde(borrow, default)]
    op: Field<Cow<'a, str>>,
    #[serde(default)]
    id: Field<Integer>,
    #[serde(borrow, default)]
    user: Field<Cow<'a, str>>,
    #[serde(borrow, default)]
    secret: Field<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Field<Cow<'a, str>>,
    #[serde(default)]
    room: Field<Integer>,
    #[serde(default)]
    limit: Field<Integer>,
}

/// A response: `ok` or `error`.
#[derive(Serialize)]
struct WireResponse<'a> {
    id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError>,
}

#[derive(Serialize)]
struct WireError {
    code: &'static str,
    text: Cow<'static, str>,
}

/// The `ok` of each operation.
#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    Nothing {},
    User { user: Option<i64> },
    Room { room: i64 },
    Rooms { rooms: Vec<WireRoom<'a>> },
    Message { message: Option<i64> },
    Messages { messages: Vec<WireMessage<'a>> },
}

#[derive(Serialize)]
struct WireRoom<'a> {
    room: i64,
    title: Cow<'a, str>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    message: i64,
    room: i64,
    user: &'a str,
    text: &'a str,
    time: String,
}

/// A pushed event.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum WireEvent<'a> {
    Said(WireMessage<'a>),
    Edited(WireMessage<'a>),
    Deleted { room: i64, messages: Vec<i64> },
}

/// The dialect `tinychat`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TinyChat;

impl Dialect for TinyChat {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        let request = handshake
            .first_frame
            .and_then(|frame| frame.json_object::<WireRequest<'_>>(handshake.max_json_depth).ok());
        match request {
            Some(WireRequest { op: Field::Value(_), .. }) => Recognition::Certain(DOC),
            _ => Recognition::No,
        }
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        Ok(Box::new(Session {
            max_json_depth: handshake.max_json_depth,
            connection: handshake.connection,
            identity: None,
        }))
    }

    fn render(
        &self,
        event: &Event,
        _context: &RenderContext<'_>,
        _variant: Variant,
    ) -> Result<Frame, Unsupported> {
        let event = match &event.kind {
            EventKind::Posted(message) => WireEvent::Said(row(message)),
            EventKind::Edited(message) => WireEvent::Edited(row(message)),
            EventKind::Deleted { flow, messages, .. } => WireEvent::Deleted {
                room: flow.get(),
                messages: messages.iter().map(|(message, _)| message.get()).collect(),
            },
            _ => return Err(Unsupported { dialect: ID, what: event.name() }),
        };
        Ok(Frame::Text(json::write(&event)))
    }
}

/// The server's side of a connection.
struct Session {
    max_json_depth: usize,
    connection: ConnectionId,
    identity: Option<Identity>,
}

/// The state that a response needs of its request.
struct Pending {
    operation: Operation,
    id: Option<i64>,
}

impl Session {
    fn request(&self, frame: &Frame) -> Result<Request, Violation> {
        let request = frame.json_object::<WireRequest<'_>>(self.max_json_depth);
        let request = request
            .map_err(|error| bad_request(error.violation_kind(), None, error.expectation()))?;
        let id = match request.id {
            Field::Value(Integer(id)) => id,
            _ => None,
        };
        let refuse = |error: RequestError| {
            let body = ERRORS.encode_request_error(&error);
            violation(ViolationKind::Shape, id, WireError { code: body.code, text: body.text })
        };
        let op = match &request.op {
            Field::Value(op) => op,
            _ => {
                return Err(refuse(
                    FieldError { field: "op", reason: "a string is expected" }.into(),
                ));
            }
        };
        let Some(operation) = Operation::from_name(op) else {
            return Err(bad_request(ViolationKind::UnknownMethod, id, "unknown op".into()));
        };
        let command = command(operation, request).map_err(refuse)?;
        let correlation = Correlation::new(Pending { operation, id });
        let credentials = match operation {
            Operation::SignUp | Operation::LogIn => Credentials::Nothing,
            _ => Credentials::Connection,
        };
        Ok(Request::new(correlation, credentials, command))
    }
}

impl ServerSession for Session {
    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        out.push(self.request(frame)?);
        Ok(())
    }

    fn respond(
        &mut self,
        _now: Timestamp,
        response: &Response,
        _context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let unsupported = |what| Unsupported { dialect: ID, what };
        let Some(Pending { operation, id }) = response.correlation.get() else {
            return Err(unsupported("a response to nothing requested here"));
        };
        let (ok, error) = match &response.outcome {
            Ok(answer) => {
                let viewer = response.identity.map(|identity| identity.user);
                let payload = payload(answer, viewer);
                (Some(payload.ok_or_else(|| unsupported(operation.name()))?), None)
            }
            Err(fault) => {
                let body = ERRORS.encode(fault);
                (None, Some(WireError { code: body.code, text: body.text }))
            }
        };
        out.push(Frame::Text(json::write(&WireResponse { id: *id, ok, error })));
        Ok(())
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        self.identity = identity;
    }

    fn subscription(&self) -> Subscription {
        match self.identity {
            Some(_) => Subscription::AllFlows,
            _ => Subscription::None,
        }
    }

    fn deliver(&mut self, event: &Event, _context: &RenderContext<'_>) -> Delivery {
        match &event.kind {
            // The response tells it to the connection that sent it.
            EventKind::Posted(_) if event.is_caused_by(self.connection) => Delivery::Skip,
            EventKind::Posted(_) | EventKind::Edited(_) | EventKind::Deleted { .. } => {
                Delivery::Shared(Variant::default())
            }
            _ => Delivery::Skip,
        }
    }
}

fn command(operation: Operation, request: WireRequest<'_>) -> Result<Command, RequestError> {
    Ok(match operation {
        Operation::SignUp => Command::Register(Box::new(Registration::new(
            request.user.required("user")?,
            Secret::new(request.secret.required("secret")?),
            GrantKind::Connection,
        ))),
        Operation::LogIn => Command::Login {
            identifier: request.user.required("user")?.into_owned().into(),
            password: Secret::new(request.secret.required("secret")?),
            grant: GrantKind::Connection,
        },
        Operation::LogOut => Command::Logout { login: None },
        Operation::Rooms => Command::ListFlows { limit: None, offset: 0, members: true },
        Operation::Open => {
            Command::OpenChat { with: UserRef::Login(request.user.required("user")?.into_owned()) }
        }
        Operation::Say => Command::Send(Box::new(NewMessage {
            flow: room(request.room)?,
            kinds: FlowKindFilter::Any,
            content: Content::text(request.text.required("text")?),
            key: None,
        })),
        Operation::Read => {
            let limit = request.limit.optional("limit")?.and_then(|Integer(limit)| limit);
            let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(MAX_LIMIT);
            Command::History {
                flow: room(request.room)?,
                kinds: FlowKindFilter::Any,
                range: HistoryRange::Newest { limit: limit.min(MAX_LIMIT), offset: 0 },
                mark_read: false,
            }
        }
    })
}

fn room(field: Field<Integer>) -> Result<FlowId, RequestError> {
    Ok(field.required("room")?.id().ok_or(Fault::NoSuchFlow)?)
}

/// The `ok` that gives an answer; `None` for an answer to no operation of this wire.
fn payload(answer: &Answer, viewer: Option<UserId>) -> Option<Payload<'_>> {
    Some(match answer {
        Answer::Granted(grant) => {
            Payload::User { user: grant.user.as_ref().map(|user| user.id.get()) }
        }
        Answer::LoggedOut => Payload::Nothing {},
        Answer::Flows(flows) => {
            Payload::Rooms { rooms: flows.iter().map(|flow| wire_room(flow, viewer)).collect() }
        }
        Answer::ChatOpened { flow, .. } => Payload::Room { room: flow.get() },
        Answer::Sent { message, .. } => {
            Payload::Message { message: message.as_ref().map(|message| message.id.get()) }
        }
        Answer::History(page) => {
            Payload::Messages { messages: page.messages.iter().map(row).collect() }
        }
        _ => return None,
    })
}

fn wire_room(summary: &FlowSummary, viewer: Option<UserId>) -> WireRoom<'_> {
    let title = match viewer {
        Some(viewer) => summary.title_for(viewer, |member| &member.username).into(),
        None => Cow::Borrowed(summary.flow.title.as_str()),
    };
    WireRoom { room: summary.flow.id.get(), title }
}

fn row(message: &Message) -> WireMessage<'_> {
    WireMessage {
        message: message.id.get(),
        room: message.flow.get(),
        user: &message.author.username,
        text: &message.content.text,
        time: message.posted_at.rfc3339(),
    }
}

fn bad_request(kind: ViolationKind, id: Option<i64>, text: Cow<'static, str>) -> Violation {
    violation(kind, id, WireError { code: ERRORS.invalid, text })
}

fn violation(kind: ViolationKind, id: Option<i64>, error: WireError) -> Violation {
    let response = WireResponse { id, ok: None, error: Some(error) };
    Violation::answered(kind, Frame::Text(json::write(&response)))
}
