//! The WebSocket of one room.

use super::encode::{MESSAGE, MOBILE_MESSAGE, MOBILE_TYPING, TYPING};
use super::{decode, encode};
use crate::errors::{RequestError, fault_frame, fault_response, unsupported};
use crate::head::RequestHead;
use crate::revision::SWIFTLY_MOBILE;
use crate::wire::POLICY_VIOLATION;
use tolmach_dialect::{
    Close, Correlation, Credentials, Delivery, Event, Frame, Handshake, RenderContext, Request,
    Response, Revision, ServerSession, Subscription, Unsupported, Violation, WireNames,
};
use tolmach_domain::{
    Answer, Command, ConnectionId, EventKind, FlowId, FlowKindFilter, Identity, Timestamp, UserId,
    Version,
};

/// A room: its history, then its messages and typing.
pub(super) struct RoomSocket {
    head: RequestHead,
    flow: FlowId,
    connection: ConnectionId,
    max_json_depth: usize,
    revision: Revision,
    /// The connection's own user.
    user: Option<UserId>,
    /// The version up to which the history has everything; `None` until it was sent.
    history_version: Option<Version>,
}

/// The correlation of the initial request.
struct InitialRequest;

impl RoomSocket {
    pub(super) fn new(head: RequestHead, handshake: &Handshake<'_>) -> Result<Self, RequestError> {
        Ok(Self {
            flow: head.id()?,
            head,
            connection: handshake.connection,
            max_json_depth: handshake.max_json_depth,
            revision: crate::revision::of(handshake),
            user: None,
            history_version: None,
        })
    }
}

impl ServerSession for RoomSocket {
    fn initial_requests(&mut self, _now: Timestamp, out: &mut Vec<Request>) {
        let (kinds, range) = (self.head.kinds(), self.head.range());
        let command = Command::History { flow: self.flow, kinds, range, mark_read: false };
        let correlation = Correlation::new(InitialRequest);
        out.push(Request::new(correlation, self.head.take_credentials(), command));
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let frame = decode::client_frame(frame, self.max_json_depth)?;
        let command = decode::room_command(frame, self.flow, self.head.kinds())?;
        out.push(Request::new(Correlation::NONE, Credentials::Connection, command));
        Ok(())
    }

    fn respond(
        &mut self,
        _now: Timestamp,
        response: &Response,
        _context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let operation = self.head.route.operation;
        let is_initial = response.correlation.get::<InitialRequest>().is_some();
        match (&response.outcome, is_initial) {
            (Ok(Answer::History(page)), true) => {
                self.history_version = Some(page.version);
                out.push(encode::history_frame(page));
            }
            (Ok(_), true) => return Err(unsupported(operation.name())),
            (Err(fault), true) => out.push(Frame::response(fault_response(operation, fault))),
            // A posted message is delivered to its author too, as an event.
            (Ok(_), false) => {}
            (Err(fault), false) => out.push(fault_frame(fault)),
        }
        Ok(())
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        self.user = identity.map(|identity| identity.user);
    }

    fn subscription(&self) -> Subscription {
        self.user.map_or(Subscription::None, |_| Subscription::Flow(self.flow))
    }

    fn flow_kinds(&self) -> FlowKindFilter {
        self.head.kinds()
    }

    fn deliver(&mut self, event: &Event, _context: &RenderContext<'_>) -> Delivery {
        let close = |reason| Delivery::Close(Close::new(POLICY_VIOLATION, reason));
        match &event.kind {
            EventKind::SessionsEnded { .. } => close("the session has ended"),
            EventKind::FlowDeleted { .. } => close("the group was deleted"),
            EventKind::MembersRemoved { users, .. }
                if self.user.is_some_and(|user| users.contains(&user)) =>
            {
                close("removed from the group")
            }
            EventKind::Posted(message)
                if self.history_version.is_some_and(|sent| message.version.is_newer_than(sent)) =>
            {
                let is_mobile = self.revision == SWIFTLY_MOBILE;
                Delivery::Shared(if is_mobile { MOBILE_MESSAGE } else { MESSAGE })
            }
            EventKind::Typing { .. }
                if self.history_version.is_some() && !event.is_caused_by(self.connection) =>
            {
                let is_mobile = self.revision == SWIFTLY_MOBILE;
                Delivery::Shared(if is_mobile { MOBILE_TYPING } else { TYPING })
            }
            _ => Delivery::Skip,
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        self.head.subprotocol
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}
