//! Commands to requests of the wire: protocols/action/SPEC.md, section "Actions".

use super::decode::Expected;
use crate::wire::{self, ID, MessageNumber, MessageNumbers, Method};
use bytes::Bytes;
use tolmach_dialect::{Frame, Request, Unsupported, WireNames, json};
use tolmach_domain::{Command, Content, FlowId};

/// A command as a request of the wire.
pub(super) struct Encoded<'a> {
    pub(super) method: Method,
    pub(super) expected: Expected,
    /// The room that must be joined for it, or by it.
    pub(super) room: Option<FlowId>,
    /// Without its action and its id.
    pub(super) request: wire::Request<'a>,
}

/// Fails for a request that the wire does not have.
pub(crate) fn check(request: &Request) -> Result<(), Unsupported> {
    self::request(request).map(drop)
}

/// Encodes a request. An edit or a deletion must name its flow: the wire changes messages of the
/// joined room only.
pub(super) fn request(request: &Request) -> Result<Encoded<'_>, Unsupported> {
    let unsupported = Unsupported { dialect: ID, what: request.command.name() };
    let (method, expected, room, request) = match &request.command {
        Command::ListFlows { limit, offset, members: _ } => {
            let expected = Expected::Flows { limit: *limit, offset: *offset };
            (Method::List, expected, None, wire::Request::default())
        }
        Command::GetFlow { flow, kinds: _, members: _ } => {
            (Method::JoinRoom, Expected::Flow, Some(*flow), join(*flow))
        }
        Command::Send(message) => {
            let text = text(&message.content).ok_or(unsupported)?;
            let request = wire::Request { msg_text: text.into(), ..Default::default() };
            (Method::CreateMessage, Expected::Sent, Some(message.flow), request)
        }
        Command::Edit { message, flow: Some(flow), text } => {
            let request = wire::Request {
                msg_id: message.get().into(),
                edited_msg_text: text.as_str().into(),
                ..Default::default()
            };
            (Method::EditMessage, Expected::Edited, Some(*flow), request)
        }
        // The wire deletes those that it can.
        Command::Delete { messages, flow: Some(flow), all_or_none }
            if !all_or_none || messages.len() == 1 =>
        {
            let numbers = messages.iter().copied().map(MessageNumber::Id).collect();
            let request =
                wire::Request { msg_id_list: MessageNumbers(numbers).into(), ..Default::default() };
            (Method::DeleteMessages, Expected::Deleted(messages.clone()), Some(*flow), request)
        }
        _ => return Err(unsupported),
    };
    Ok(Encoded { method, expected, room, request })
}

/// A request to join a room, without its action and its id.
pub(super) fn join(room: FlowId) -> wire::Request<'static> {
    wire::Request { room_pk: room.get().into(), ..Default::default() }
}

/// The frame of a request.
pub(super) fn frame(method: Method, request: wire::Request<'_>, request_id: u64) -> Frame {
    let request_id = Bytes::from(request_id.to_string());
    Frame::Text(json::write(&wire::Request {
        action: method.name().into(),
        request_id: wire::request_id(&request_id),
        ..request
    }))
}

/// The text of a message; `None` where nothing of the content would be left.
fn text(content: &Content) -> Option<&str> {
    let has_more = !content.attachments.is_empty() || content.emoji.is_some();
    (!content.text.is_empty() || !has_more).then_some(content.text.as_str())
}
