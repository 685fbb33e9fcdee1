//! The state of one connection.

use crate::{
    Close, Correlation, Credentials, DOC, Event, Frame, Incoming, InvalidReply, Request, Response,
    Revision, Unsupported, Violation, WideIds,
};
use std::time::Duration;
use tolmach_domain::{FlowId, FlowKindFilter, FlowSummary, Identity, Timestamp};

/// The server's side of one connection. An HTTP exchange is a session of one request frame and one
/// response frame.
///
/// The server keeps identity, expiry and revocation. It calls in this order: `authenticated` when
/// the identity of the connection changes, then `respond` with the response that changed it, then
/// `subscription`.
pub trait ServerSession: Send {
    /// Requests that the handshake itself makes, before any frame is decoded: a room's history,
    /// say.
    ///
    /// - Called once, first. Their responses come in order, through [`ServerSession::respond`].
    /// - If one is answered with [`Frame::Response`], the WebSocket handshake is rejected with it.
    fn initial_requests(&mut self, now: Timestamp, out: &mut Vec<Request>) {
        let _ = (now, out);
    }

    /// The terms on which the body of an HTTP request is read, from its head alone. `None`: without
    /// a proof, up to the manifest's [`crate::Limits::max_body_bytes`].
    ///
    /// - Called at most once, before [`ServerSession::decode`], if the request has a body.
    /// - The server proves the credentials before it reads a byte. If it rejects the body, for them
    ///   or because it has no memory for it, the fault comes through [`ServerSession::respond`]
    ///   with the correlation, and nothing is decoded.
    /// - Credentials are no more than a gate: the request that `decode` makes carries its own.
    fn expected_body(&self) -> Option<ExpectedBody> {
        None
    }

    /// Turns one frame into requests.
    ///
    /// - A whole frame or nothing: on a violation, `out` is as it was.
    /// - Never panics, whatever the bytes; time and memory are linear in the frame.
    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation>;

    /// Turns a response into frames: none, where this wire leaves it unsaid.
    ///
    /// - The response is to a request of this session; responses come in the order of the requests.
    /// - On an error, `out` is as it was.
    fn respond(
        &mut self,
        now: Timestamp,
        response: &Response,
        context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported>;

    /// The requests that the latest response leads to, such as the history of the room that it
    /// names.
    ///
    /// - Called after every [`ServerSession::respond`] to a request that a frame on a socket has
    ///   made. They are carried out next, before any other request that waits.
    fn follow_ups(&mut self, out: &mut Vec<Request>) {
        let _ = out;
    }

    /// The identity of the connection has changed.
    ///
    /// - `Some` after credentials were proven, before the command that they came with is carried
    ///   out, and after a login, before its response.
    /// - `None` after a logout, before its response, and as soon as the session has ended, its
    ///   token has expired, its account was deleted, or [`crate::Credentials::Connection`] was
    ///   refused. [`ServerSession::subscription`] is [`Subscription::None`] from then on.
    fn authenticated(&mut self, identity: Option<Identity>) {
        let _ = identity;
    }

    /// The events that this connection wants now. Read after every call of
    /// [`ServerSession::authenticated`] and [`ServerSession::respond`].
    fn subscription(&self) -> Subscription {
        Subscription::None
    }

    /// The kinds of flow that the numbers of flows in this session's requests name, and whose
    /// messages the numbers of messages name. It matters only where clients know a group and a chat
    /// by one number, because their old server numbered them apart.
    fn flow_kinds(&self) -> FlowKindFilter {
        FlowKindFilter::Any
    }

    /// Decides how an event reaches this connection. May note what was delivered.
    ///
    /// - Called for events of the subscription only, and for the end of the connection's own
    ///   sessions, after [`ServerSession::authenticated`] with `None`.
    fn deliver(&mut self, event: &Event, context: &RenderContext<'_>) -> Delivery {
        let _ = (event, context);
        Delivery::Skip
    }

    /// False if [`ServerSession::deliver`] skips every event that the connection itself has caused,
    /// because its response acknowledges it. A server need not give it any then.
    fn receives_own_events(&self) -> bool {
        true
    }

    /// The WebSocket subprotocol to accept.
    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    /// The least time between two frames on a raw TCP stream, for clients that lose frames which
    /// arrive together.
    fn pace(&self) -> Option<Duration> {
        None
    }

    /// The revision being spoken.
    fn revision(&self) -> Revision {
        DOC
    }
}

/// The terms on which the body of an HTTP request is read.
#[derive(Debug, Clone)]
pub struct ExpectedBody {
    /// The largest body, in bytes; 0 if none is read. The manifest's
    /// [`crate::Limits::max_body_bytes`] is a bound on it.
    pub max_bytes: usize,
    /// The credentials that have to be valid before the body is read.
    pub credentials: Credentials,
    /// Handed back in the response to a body that is rejected.
    pub correlation: Correlation,
}

/// The client's side of one connection.
pub trait ClientSession: Send {
    /// Turns a request into frames: none, where the handshake itself makes it.
    ///
    /// - On an error, `out` and the session are as they were.
    fn request(
        &mut self,
        now: Timestamp,
        request: &Request,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported>;

    /// Turns a server's frame into responses and events.
    ///
    /// - A whole frame or nothing: on an error, `out` is as it was.
    /// - Never panics, whatever the bytes.
    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply>;
}

/// The events that a connection wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// None.
    None,
    /// Those of one flow.
    Flow(FlowId),
    /// Those of every flow that the connection's own user is in, as that changes.
    AllFlows,
}

impl Subscription {
    /// True if an event of the connection's own flows belongs to the subscription.
    pub fn covers(self, event: &Event) -> bool {
        match self {
            Subscription::None => false,
            Subscription::Flow(flow) => event.flow() == Some(flow),
            Subscription::AllFlows => event.flow().is_some(),
        }
    }
}

/// The way of an event to a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Not at all.
    Skip,
    /// As the frame that [`crate::Dialect::render`] makes of it, shared with every connection of
    /// the same variant.
    Shared(Variant),
    /// As frames for this connection alone.
    Private(Vec<Frame>),
    /// By closing the connection.
    Close(Close),
}

/// One of the forms in which a dialect renders an event: a revision, a number form, …. Small:
/// frames are cached by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Variant(pub u8);

/// Data that a frame may need beside its event or response.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct RenderContext<'a> {
    /// The flow of the event, or of the connection's subscription, with all its members ordered by
    /// id: only for dialects whose [`crate::Manifest::needs_flow_summaries`] says so, and for
    /// subscriptions to one flow. `None` also while it could not be read. The members have no
    /// contact data: one frame is shared by users who may and may not know it.
    pub flow: Option<&'a FlowSummary>,
    /// The wide ids of the event or response, where a namespace has some.
    pub wide_ids: Option<&'a WideIds>,
}

impl<'a> RenderContext<'a> {
    /// A context without anything.
    pub const EMPTY: RenderContext<'static> = RenderContext { flow: None, wide_ids: None };

    /// A context with the summary of a flow, if there is one.
    pub fn with_flow(flow: Option<&'a FlowSummary>) -> Self {
        Self { flow, wide_ids: None }
    }

    /// The same with wide ids, if there are some.
    pub fn with_wide_ids(mut self, wide_ids: Option<&'a WideIds>) -> Self {
        self.wide_ids = wide_ids;
        self
    }
}
