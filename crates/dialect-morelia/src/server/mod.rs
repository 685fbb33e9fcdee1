//! The server's side of a connection.

mod decode;
mod encode;

use crate::wire::{self, Form, unsupported};
use decode::{Rejection, RequestInfo};
use tolmach_dialect::{
    Delivery, Event, Frame, Handshake, RenderContext, Request, Response, ServerSession,
    Subscription, Unsupported, Variant, Violation, ViolationKind, json,
};
use tolmach_domain::{ConnectionId, EventKind, Identity, Timestamp};

/// The state of one connection.
pub(crate) struct Session {
    max_json_depth: usize,
    /// True if events are pushed.
    push: bool,
    connection: ConnectionId,
    /// The number of replies, whose ids are made of it.
    replies: u64,
    /// The form of the latest request, in which events are pushed.
    form: Form,
    authenticated: bool,
}

impl Session {
    pub(crate) fn new(handshake: &Handshake<'_>, push: bool) -> Self {
        Self {
            max_json_depth: handshake.max_json_depth,
            push,
            connection: handshake.connection,
            replies: 0,
            form: Form::default(),
            authenticated: false,
        }
    }

    /// The id of the next reply.
    fn next_reply_id(&mut self) -> i64 {
        let id = wire::number_on(self.connection, self.replies);
        self.replies = self.replies.wrapping_add(1);
        id
    }

    fn request(&mut self, frame: &Frame) -> Result<Request, Rejection> {
        let expectation = "a text or binary frame is expected";
        let (form, bytes) = Form::of(frame)
            .ok_or_else(|| Rejection::unnamed(ViolationKind::FrameKind, expectation))?;
        self.form = form;
        decode::request(form, bytes, self.max_json_depth)
    }
}

impl ServerSession for Session {
    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let Rejection { violation, kind, error } = match self.request(frame) {
            Ok(request) => {
                out.push(request);
                return Ok(());
            }
            Err(rejection) => rejection,
        };
        let reply = encode::error(now, self.next_reply_id(), kind, error);
        Err(Violation::answered(violation, self.form.frame(json::write(&reply))))
    }

    fn respond(
        &mut self,
        now: Timestamp,
        response: &Response,
        _context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let info: &RequestInfo = response
            .correlation
            .get()
            .ok_or(unsupported("a response to a request of another session"))?;
        let reply = encode::reply(now, self.next_reply_id(), info, response)?;
        out.push(info.form.frame(json::write(&reply)));
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
        let pushed = matches!(
            event.kind,
            EventKind::Posted(_) | EventKind::Edited(_) | EventKind::Deleted { .. }
        );
        // The cause of an event gets a reply instead.
        if pushed && !event.is_caused_by(self.connection) {
            Delivery::Shared(self.form.variant())
        } else {
            Delivery::Skip
        }
    }
}

/// Renders an event in the form of a variant.
pub(crate) fn render(event: &Event, variant: Variant) -> Result<Frame, Unsupported> {
    let form = Form::from_variant(variant).ok_or(unsupported("an event in an unknown variant"))?;
    Ok(form.frame(json::write(&encode::push(event)?)))
}
