//! Requests of the wire to commands: protocols/action/SPEC.md, section "Actions".

use super::encode;
use crate::errors::{self, ErrorBody};
use crate::wire::{self, MessageNumber, MessageNumbers, Method};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::borrow::Cow;
use tolmach_dialect::field::{Field, FieldError, FieldType, Integer};
use tolmach_dialect::{Frame, Violation, ViolationKind, WireNames, client_tag, json};
use tolmach_domain::{
    Authority, Command, Content, Fault, FlowId, FlowKindFilter, MessageId, NewMessage, UserRef,
};

/// The longest request id, in bytes of its JSON: the whole room receives it.
const MAX_REQUEST_ID: usize = 1024;

/// The longest `action` that an error repeats, in characters.
const MAX_ECHOED_ACTION: usize = 64;

/// The most numbers in a `msg_id_list` where some are no ids. The engine has the same bound on ids.
const MAX_NUMBERS: usize = 1000;

/// A request that was read.
pub(super) struct Decoded {
    pub(super) method: Method,
    /// As JSON; `null` where the request has none.
    pub(super) request_id: Bytes,
    pub(super) command: Command,
    /// The messages to delete, as requested.
    pub(super) requested: Vec<MessageNumber>,
}

/// Reads a request of a connection in this right, in this room if it has joined one.
pub(super) fn request(
    frame: &Frame,
    max_json_depth: usize,
    authority: Authority,
    room: Option<FlowId>,
) -> Result<Decoded, Violation> {
    let violation = |kind, action: Option<&str>, request_id: Option<&Bytes>, body| {
        Violation::answered(kind, encode::error(action, request_id, body))
    };
    let Frame::Text(text) = frame else {
        let body = errors::invalid("A text frame is expected");
        return Err(violation(ViolationKind::FrameKind, None, None, body));
    };
    let mut request: wire::Request<'_> =
        json::parse_object(text, max_json_depth).map_err(|error| {
            let body = errors::invalid(capitalized(error.expectation()));
            violation(error.violation_kind(), None, None, body)
        })?;
    let action = match std::mem::take(&mut request.action) {
        Field::Value(action) => Some(action),
        Field::Missing | Field::Null | Field::Mistyped => None,
    };
    let action = action.as_deref().map(echoed);
    let request_id = request_id(request.request_id)
        .map_err(|body| violation(ViolationKind::Shape, action, None, body))?;
    let violation = |kind, body| violation(kind, action, Some(&request_id), body);
    let Some(name) = action else {
        let body = field_error("action", <Cow<'_, str>>::EXPECTED);
        return Err(violation(ViolationKind::Shape, body));
    };
    // The document leaves it out for administrators.
    let is_served =
        |method: &Method| *method != Method::CurrentRoomInfo || authority == Authority::Member;
    let Some(method) = Method::from_name(name).filter(is_served) else {
        return Err(violation(ViolationKind::UnknownMethod, errors::unknown(name)));
    };
    let (command, requested) = command(method, authority, room, request)
        .map_err(|body| violation(ViolationKind::Shape, body))?;
    Ok(Decoded { method, request_id, command, requested })
}

/// The command of a request, and the messages to delete as requested.
fn command(
    method: Method,
    authority: Authority,
    room: Option<FlowId>,
    request: wire::Request<'_>,
) -> Result<(Command, Vec<MessageNumber>), ErrorBody> {
    let room = || room.ok_or_else(|| errors::outside(method));
    let get = |flow| Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true };
    let error = |fault| errors::encode(method, authority, &fault);
    let command = match method {
        Method::List => Command::ListFlows { limit: None, offset: 0, members: true },
        Method::JoinRoom => {
            let number: Integer = required("room_pk", request.room_pk)?;
            get(number.id().ok_or_else(|| error(Fault::NoSuchFlow))?)
        }
        // The engine only checks that the token still holds.
        Method::LeaveRoom => room().map(|_| Command::GetUser { user: UserRef::Me })?,
        Method::CurrentRoomInfo => get(room()?),
        Method::CreateMessage => {
            let flow = room()?;
            let content = Content::text(required("msg_text", request.msg_text)?);
            let kinds = FlowKindFilter::Any;
            Command::Send(Box::new(NewMessage { flow, kinds, content, key: None }))
        }
        Method::EditMessage => {
            let flow = Some(room()?);
            let number: Integer = required("msg_id", request.msg_id)?;
            let text = required("edited_msg_text", request.edited_msg_text)?.into_owned();
            let message = number.id().ok_or_else(|| error(Fault::NoSuchMessage))?;
            Command::Edit { message, flow, text }
        }
        Method::DeleteMessages => {
            let flow = Some(room()?);
            let MessageNumbers(requested) = required("msg_id_list", request.msg_id_list)?;
            let messages: Vec<MessageId> = requested.iter().filter_map(MessageNumber::id).collect();
            if messages.is_empty() {
                return Err(error(Fault::NoSuchMessage));
            }
            // Errors name every number that is no id.
            if messages.len() < requested.len() && requested.len() > MAX_NUMBERS {
                let reason = format!("must be 1 to {MAX_NUMBERS}");
                return Err(error(Fault::invalid("messages", reason)));
            }
            return Ok((Command::Delete { messages, flow, all_or_none: false }, requested));
        }
    };
    Ok((command, Vec::new()))
}

/// The request id as its JSON text. One that many a parser would reject is an error: the whole room
/// receives it.
fn request_id(request_id: Option<&RawValue>) -> Result<Bytes, ErrorBody> {
    let Some(json) = request_id.map(RawValue::get) else {
        return Ok(Bytes::from_static(b"null"));
    };
    if json.len() > MAX_REQUEST_ID {
        let reason = format!("at most {MAX_REQUEST_ID} bytes are expected");
        return Err(field_error("request_id", &reason));
    }
    // Most are small numbers, which every parser reads.
    let is_sound =
        json.parse::<i64>().is_ok() || serde_json::from_str::<serde_json::Value>(json).is_ok();
    if !is_sound {
        return Err(field_error("request_id", "numbers and characters in range are expected"));
    }
    Ok(client_tag(json.as_bytes()))
}

/// The value of a field that a request must have. `null` is as good as missing.
fn required<'json, T: FieldType<'json>>(
    name: &'static str,
    field: Field<T>,
) -> Result<T, ErrorBody> {
    let value = field
        .optional(name)
        .and_then(|value| value.ok_or(FieldError { field: name, reason: "missing" }));
    value.map_err(|error| errors::invalid(error.to_string()))
}

fn field_error(name: &str, reason: &str) -> ErrorBody {
    errors::invalid(format!("{name}: {reason}"))
}

fn echoed(action: &str) -> &str {
    let cut = action.char_indices().nth(MAX_ECHOED_ACTION);
    cut.map_or(action, |(end, _)| &action[..end])
}

fn capitalized(text: Cow<'_, str>) -> String {
    let mut text = text.into_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
