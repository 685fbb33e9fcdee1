//! The server's part of the contract: one connection's session and its identity.

use crate::fixtures::Persona;
use crate::frame_text::inline;
use crate::play::failure::{Defect, PlayError};
use crate::play::flow_states::FlowStates;
use tolmach_dialect::{
    Close, Correlation, Credentials, Delivery, Dialect, Frame, RenderContext, Request, Response,
    ServerSession, Subscription, Variant, Violation,
};
use tolmach_domain::{
    Answer, Command, Event, EventKind, Fault, FlowSummary, Identity, Timestamp, Tokens,
};

/// The server's side of one connection.
pub(crate) struct ServerSide {
    /// The session.
    pub(crate) session: Box<dyn ServerSession>,
    persona: &'static Persona,
    identity: Option<Identity>,
    needs_flow_summaries: bool,
}

/// The correlation of a request that no session has decoded.
struct Sentinel;

/// The outcome of a delivery.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// Nothing.
    Nothing,
    /// Frames of this connection alone; at least one.
    Private(Vec<Frame>),
    /// One frame that is shared with other connections.
    Shared(SharedFrame),
    /// The connection was closed.
    Closed(Close),
}

/// A rendered event.
#[derive(Debug, Clone)]
pub(crate) struct SharedFrame {
    /// The variant that it was rendered in.
    pub(crate) variant: Variant,
    /// The summary that it was rendered with.
    pub(crate) flow: Option<Box<FlowSummary>>,
    /// The frame.
    pub(crate) frame: Frame,
}

impl ServerSide {
    /// The side of a session that was just accepted, of a connection of `persona`.
    pub(crate) fn new(
        dialect: &dyn Dialect,
        session: Box<dyn ServerSession>,
        persona: &'static Persona,
    ) -> Self {
        let needs_flow_summaries = dialect.manifest().needs_flow_summaries;
        Self { session, persona, identity: None, needs_flow_summaries }
    }

    /// True while the connection has an identity.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.identity.is_some()
    }

    /// Decodes a frame; on a violation, checks that no request was put out.
    pub(crate) fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
    ) -> Result<Result<Vec<Request>, Box<Violation>>, Defect> {
        // A request that is already there shows if a violation leaves `out` as it was.
        let command = Command::Logout { login: None };
        let mut out = vec![Request::new(Correlation::new(Sentinel), Credentials::Nothing, command)];
        let decoded = self.session.decode(now, frame, &mut out);
        if out.first().is_none_or(|first| first.correlation.get::<Sentinel>().is_none()) {
            return Err(Defect::round_trip("decoding overwrites requests that are in `out`"));
        }
        match decoded {
            Ok(()) => Ok(Ok(out.split_off(1))),
            Err(_) if out.len() != 1 => {
                let count = out.len() - 1;
                Err(Defect::round_trip(format!("a violation leaves {count} requests in `out`")))
            }
            Err(violation) => Ok(Err(Box::new(violation))),
        }
    }

    /// Responds to a request with `outcome`, after notifying the session of the identity that the
    /// request and its outcome give the connection. Gives the response and its frames.
    pub(crate) fn respond(
        &mut self,
        now: Timestamp,
        request: &Request,
        outcome: Result<Answer, Fault>,
        flows: &FlowStates,
    ) -> Result<(Response, Vec<Frame>), PlayError> {
        let identity = self.authenticate(request, &outcome)?;
        let response = Response { correlation: request.correlation.clone(), identity, outcome };
        let flow = self.flow(flows);
        // A frame that is already there shows if an error leaves `out` as it was.
        let sentinel = Frame::text("sentinel");
        let mut frames = vec![sentinel.clone()];
        let context = RenderContext::with_flow(flow.as_ref());
        let responded = self.session.respond(now, &response, &context, &mut frames);
        let first_is_sentinel = frames.first() == Some(&sentinel);
        match responded {
            Ok(()) if first_is_sentinel => {
                frames.remove(0);
            }
            Ok(()) => {
                let message = "encoding overwrites frames that are in `out`";
                return Err(Defect::round_trip(message).into());
            }
            Err(_) if frames.len() != 1 || !first_is_sentinel => {
                let message = "a response that is not supported does not leave `out` as it was";
                return Err(Defect::round_trip(message).into());
            }
            Err(unsupported) => return Err(unsupported.into()),
        }
        self.check_subscription("after the response")?;
        Ok((response, frames))
    }

    /// True for an event of the session's subscription.
    ///
    /// Every persona is a member of every flow.
    pub(crate) fn subscribes_to(&self, event: &Event) -> bool {
        self.session.subscription().covers(event)
    }

    /// True for the end of the connection's own sessions.
    pub(crate) fn is_ended_by(&self, event: &Event) -> bool {
        matches!(
            (&event.kind, self.identity),
            (EventKind::SessionsEnded { user, session }, Some(own))
                if own.user == *user && (session.is_none() || *session == own.session)
        )
    }

    /// Ends the connection's sessions.
    pub(crate) fn end_sessions(&mut self) -> Result<(), Defect> {
        self.set_identity(None)
    }

    /// Delivers an event, if it is of the subscription or ends the connection's sessions.
    pub(crate) fn deliver(
        &mut self,
        dialect: &dyn Dialect,
        event: &Event,
        flows: &FlowStates,
    ) -> Result<Delivered, PlayError> {
        if self.is_ended_by(event) {
            self.end_sessions()?;
        } else if !self.subscribes_to(event) {
            return Ok(Delivered::Nothing);
        }
        let flow = self.flow(flows);
        let context = RenderContext::with_flow(flow.as_ref());
        let delivered = match self.session.deliver(event, &context) {
            Delivery::Skip => Delivered::Nothing,
            Delivery::Private(frames) if frames.is_empty() => Delivered::Nothing,
            Delivery::Private(frames) => Delivered::Private(frames),
            Delivery::Close(close) => Delivered::Closed(close),
            Delivery::Shared(variant) => {
                let frame = render(dialect, event, &context, variant)?;
                Delivered::Shared(SharedFrame { variant, flow: flow.map(Box::new), frame })
            }
        };
        self.check_subscription("after the delivery")?;
        Ok(delivered)
    }

    /// Follows the rules of [`ServerSession::authenticated`]; gives the identity for the response.
    fn authenticate(
        &mut self,
        request: &Request,
        outcome: &Result<Answer, Fault>,
    ) -> Result<Option<Identity>, Defect> {
        let has_credentials = request.credentials != Credentials::Nothing;
        let by_connection = request.credentials == Credentials::Connection;
        let refused = *outcome == Err(Fault::Unauthenticated);
        if has_credentials && !refused {
            // Before the command is carried out.
            self.set_identity(Some(self.persona.identity()))?;
        }
        match outcome {
            Err(Fault::Unauthenticated) if by_connection => self.set_identity(None)?,
            Ok(Answer::Granted(grant)) if grant.tokens != Tokens::Nothing => {
                self.set_identity(Some(self.persona.identity()))?;
                return Ok(self.identity);
            }
            Ok(Answer::LoggedOut) => self.set_identity(None)?,
            Ok(Answer::AccountDeleted { user })
                if self.identity.is_some_and(|own| own.user == *user) =>
            {
                self.set_identity(None)?;
            }
            _ => {}
        }
        Ok(self.identity.filter(|_| has_credentials && !refused))
    }

    /// Notifies the session of a change of the identity.
    fn set_identity(&mut self, identity: Option<Identity>) -> Result<(), Defect> {
        if self.identity != identity {
            self.identity = identity;
            self.session.authenticated(identity);
        }
        self.check_subscription("after `authenticated(None)`")
    }

    fn check_subscription(&self, moment: &str) -> Result<(), Defect> {
        match (self.identity, self.session.subscription()) {
            (Some(_), _) | (None, Subscription::None) => Ok(()),
            (None, subscription) => Err(Defect::logged_out(format!(
                "{moment} the subscription of a connection without identity is {subscription:?}, \
                 None is expected"
            ))),
        }
    }

    /// The summary of the flow that the session subscribes to, for a dialect that needs it.
    pub(crate) fn flow(&self, flows: &FlowStates) -> Option<FlowSummary> {
        match self.session.subscription() {
            Subscription::Flow(flow) if self.needs_flow_summaries => Some(flows.summary(flow)),
            _ => None,
        }
    }
}

/// Renders an event twice; both frames must be the same.
fn render(
    dialect: &dyn Dialect,
    event: &Event,
    context: &RenderContext<'_>,
    variant: Variant,
) -> Result<Frame, Defect> {
    let name = event.name();
    let frame = dialect.render(event, context, variant).map_err(|unsupported| {
        Defect::rendering(format!(
            "`deliver` gives {name} as {variant:?}, but `render` fails: {unsupported}"
        ))
    })?;
    match dialect.render(event, context, variant) {
        Ok(again) if again == frame => Ok(frame),
        again => Err(Defect::rendering(format!(
            "rendering {name} as {variant:?} twice gives two different frames: {} and {}",
            inline(&frame),
            again.map_or_else(|unsupported| unsupported.to_string(), |again| inline(&again))
        ))),
    }
}
