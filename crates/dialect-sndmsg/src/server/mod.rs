//! The server's side of a connection.

mod caller;
mod decode;
mod encode;

pub(crate) use encode::push;

use crate::errors;
use crate::wire::{self, ERROR_TYPE, ID, Operation, Reply, Status};
use caller::Caller;
use encode::ReplyForm;
use std::borrow::Cow;
use tolmach_dialect::field::Field;
use tolmach_dialect::{
    Correlation, Delivery, Event, Frame, Handshake, RenderContext, Request, Response,
    ServerSession, Subscription, Unsupported, Violation, ViolationKind, WireNames, json,
};
use tolmach_domain::{Answer, ConnectionId, Credentials, EventKind, Identity, Timestamp};

/// The longest part of an unknown `type` that is repeated, in characters.
const MAX_UNKNOWN_TYPE: usize = 64;

/// The state of a connection.
pub(crate) struct Session {
    connection: ConnectionId,
    max_json_depth: usize,
    push: bool,
    reveal_unknown_user: bool,
    /// The user who has logged in.
    caller: Option<Caller>,
}

impl Session {
    pub(crate) fn new(handshake: &Handshake<'_>, push: bool, reveal_unknown_user: bool) -> Self {
        Self {
            connection: handshake.connection,
            max_json_depth: handshake.max_json_depth,
            push,
            reveal_unknown_user,
            caller: None,
        }
    }
}

impl ServerSession for Session {
    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let request: wire::Request<'_> =
            frame.json_object(self.max_json_depth).map_err(|error| {
                unnamed(error.violation_kind(), ERROR_TYPE.into(), error.expectation())
            })?;
        let Field::Value(kind) = &request.kind else {
            let detail = "type: a string is expected".into();
            return Err(unnamed(ViolationKind::Shape, ERROR_TYPE.into(), detail));
        };
        let Some(operation) = Operation::from_name(kind) else {
            let kind: String = kind.chars().take(MAX_UNKNOWN_TYPE).collect();
            return Err(unnamed(ViolationKind::UnknownMethod, kind.into(), "unknown type".into()));
        };
        let credentials =
            if operation.needs_login() { Credentials::Connection } else { Credentials::Nothing };
        let command =
            decode::command(operation, request, self.caller.as_ref()).map_err(|error| {
                let reply = errors::encode_request_error(operation, &error);
                Violation::answered(ViolationKind::Shape, text(&reply))
            })?;
        let correlation = Correlation::new(ReplyForm::new(operation, &command));
        out.push(Request::new(correlation, credentials, command));
        Ok(())
    }

    fn respond(
        &mut self,
        _now: Timestamp,
        response: &Response,
        _context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let unknown = Unsupported { dialect: ID, what: "a response to another session's request" };
        let form = response.correlation.get::<ReplyForm>().ok_or(unknown)?;
        let caller = self.caller.as_ref();
        let replies = match &response.outcome {
            Ok(answer) => encode::replies(form, answer, caller)?,
            Err(fault) => vec![errors::encode(form.operation, fault, self.reveal_unknown_user)],
        };
        out.extend(replies.iter().map(text));
        if let (Operation::Login, Ok(Answer::Granted(grant))) = (form.operation, &response.outcome)
        {
            let identifier = form.name.clone().unwrap_or_default();
            self.caller = Some(Caller::new(grant.user.as_deref(), identifier));
        }
        Ok(())
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        if identity.is_none() {
            self.caller = None;
        }
    }

    fn subscription(&self) -> Subscription {
        if self.caller.is_some() { Subscription::AllFlows } else { Subscription::None }
    }

    fn receives_own_events(&self) -> bool {
        false
    }

    fn deliver(&mut self, event: &Event, _context: &RenderContext<'_>) -> Delivery {
        // The reply shows a connection what it caused itself.
        if event.is_caused_by(self.connection) {
            return Delivery::Skip;
        }
        match &event.kind {
            EventKind::Posted(_) if !self.push => Delivery::Skip,
            EventKind::Deleted { messages, .. } if messages.len() != 1 => {
                let deletions = messages.iter().map(|(message, _)| encode::deletion(*message));
                Delivery::Private(deletions.map(|deletion| text(&deletion)).collect())
            }
            EventKind::Posted(_)
            | EventKind::Edited(_)
            | EventKind::Deleted { .. }
            | EventKind::FlowDeleted { .. } => Delivery::Shared(encode::SHARED),
            EventKind::FlowCreated { flow, members } => {
                match encode::new_room(flow, members, self.caller.as_ref()) {
                    Some(room) => Delivery::Private(vec![text(&room)]),
                    None => Delivery::Skip,
                }
            }
            EventKind::MembersAdded { .. }
            | EventKind::MembersRemoved { .. }
            | EventKind::Typing { .. }
            | EventKind::SessionsEnded { .. } => Delivery::Skip,
        }
    }
}

fn text(reply: &Reply<'_>) -> Frame {
    Frame::Text(json::write(reply))
}

/// The violation of a frame that has no operation.
fn unnamed(kind: ViolationKind, reply_type: Cow<'_, str>, detail: Cow<'_, str>) -> Violation {
    let status = Some(Status::Error.name().into());
    let reply = Reply { kind: reply_type, status, detail: Some(detail), ..Reply::default() };
    Violation::answered(kind, text(&reply))
}
