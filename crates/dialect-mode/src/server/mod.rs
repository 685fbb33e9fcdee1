//! The server's side of a connection.

mod decode;
mod encode;

pub(crate) use encode::push;

use crate::errors::ERRORS;
use crate::wire::{self, ID, Operation, Reply};
use encode::ReplyForm;
use std::borrow::Cow;
use tolmach_dialect::errors::ErrorBody;
use tolmach_dialect::field::Field;
use tolmach_dialect::time::{TimeFormat, WireTime};
use tolmach_dialect::{
    Correlation, Delivery, Event, Frame, Handshake, RenderContext, Request, Response,
    ServerSession, Subscription, Unsupported, Violation, ViolationKind, WireNames, json,
};
use tolmach_domain::{ConnectionId, EventKind, Identity, Timestamp};

/// The longest part of an unknown `mode` that is repeated, in characters.
const MAX_UNKNOWN_MODE: usize = 64;

/// The state of a connection.
pub(crate) struct Session {
    connection: ConnectionId,
    max_json_depth: usize,
    push: bool,
    authenticated: bool,
    /// The form of the latest request's timestamp, which pushes use.
    time_format: TimeFormat,
}

impl Session {
    pub(crate) fn new(handshake: &Handshake<'_>, push: bool) -> Self {
        Self {
            connection: handshake.connection,
            max_json_depth: handshake.max_json_depth,
            push,
            authenticated: false,
            time_format: TimeFormat::default(),
        }
    }
}

impl ServerSession for Session {
    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let violation = |kind, format, mode: Option<Cow<'_, str>>, error| {
            let reply = Reply::error(mode, WireTime::new(now, format), error);
            Violation::answered(kind, Frame::Text(json::write(&reply)))
        };
        let request: wire::Request<'_> =
            frame.json_object(self.max_json_depth).map_err(|error| {
                let format = match error.violation_kind() {
                    ViolationKind::FrameKind => self.time_format,
                    _ => TimeFormat::default(),
                };
                let body = ErrorBody::new(400, error.expectation());
                violation(error.violation_kind(), format, None, body)
            })?;
        let time_format = request.time_format();
        let Field::Value(mode) = &request.mode else {
            let error = ErrorBody::new(400, "mode: a string is expected");
            return Err(violation(ViolationKind::Shape, time_format, None, error));
        };
        self.time_format = time_format;
        let Some(operation) = Operation::from_name(mode) else {
            let mode: String = mode.chars().take(MAX_UNKNOWN_MODE).collect();
            let error = ErrorBody::new(501, "unknown mode");
            let kind = ViolationKind::UnknownMethod;
            return Err(violation(kind, time_format, Some(mode.into()), error));
        };
        let (credentials, command) = decode::request(operation, request).map_err(|error| {
            let error = ERRORS.encode_request_error(&error);
            violation(ViolationKind::Shape, time_format, Some(operation.name().into()), error)
        })?;
        let correlation = Correlation::new(ReplyForm { operation, time_format });
        out.push(Request::new(correlation, credentials, command));
        Ok(())
    }

    fn respond(
        &mut self,
        now: Timestamp,
        response: &Response,
        _context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let unknown = Unsupported { dialect: ID, what: "a response to another session's request" };
        let form = response.correlation.get::<ReplyForm>().ok_or(unknown)?;
        out.push(Frame::Text(json::write(&encode::reply(now, form, response)?)));
        Ok(())
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        self.authenticated = identity.is_some();
    }

    fn subscription(&self) -> Subscription {
        if self.push && self.authenticated { Subscription::AllFlows } else { Subscription::None }
    }

    fn receives_own_events(&self) -> bool {
        false
    }

    fn deliver(&mut self, event: &Event, _context: &RenderContext<'_>) -> Delivery {
        match event.kind {
            // The reply acknowledges a message of the connection itself.
            EventKind::Posted(_) if !event.is_caused_by(self.connection) => {
                Delivery::Shared(encode::variant(self.time_format))
            }
            _ => Delivery::Skip,
        }
    }
}
