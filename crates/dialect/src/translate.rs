//! From one dialect to another, through the canonical form.

use crate::{
    ClientSession, Delivery, Dialect, Event, Frame, Incoming, InvalidReply, RenderContext, Request,
    ServerSession, Subscription, Unsupported, Violation,
};
use tolmach_domain::Timestamp;

/// The reason why a frame could not be translated.
#[derive(Debug, Clone, PartialEq)]
pub enum Untranslatable {
    /// The client's frame is not the source dialect's.
    Violation(Violation),
    /// The server's frame is not the source dialect's.
    InvalidReply(InvalidReply),
    /// The target dialect has no frame for it.
    Unsupported(Unsupported),
}

/// Translates a client's frame: from the dialect of `source`, the proxy's server side, to the
/// dialect of `target`, its client side. Gives the frames and the requests that they carry.
///
/// The two sessions form one proxied connection: each keeps the correlations that it made.
pub fn translate_request(
    now: Timestamp,
    source: &mut dyn ServerSession,
    target: &mut dyn ClientSession,
    frame: &Frame,
) -> Result<(Vec<Frame>, Vec<Request>), Untranslatable> {
    let mut requests = Vec::new();
    source.decode(now, frame, &mut requests).map_err(Untranslatable::Violation)?;
    let mut frames = Vec::new();
    for request in &requests {
        target.request(now, request, &mut frames).map_err(Untranslatable::Unsupported)?;
    }
    Ok((frames, requests))
}

/// Translates a server's frame back: from the dialect of `source`, the proxy's client side, to
/// `dialect`, whose session `target` is the proxy's server side. Gives the frames and the responses
/// and events that they carry. An event that the target does not deliver becomes no frame.
pub fn translate_incoming(
    now: Timestamp,
    source: &mut dyn ClientSession,
    dialect: &dyn Dialect,
    target: &mut dyn ServerSession,
    context: &RenderContext<'_>,
    frame: &Frame,
) -> Result<(Vec<Frame>, Vec<Incoming>), Untranslatable> {
    let mut incoming = Vec::new();
    source.decode(now, frame, &mut incoming).map_err(Untranslatable::InvalidReply)?;
    let mut frames = Vec::new();
    for value in &incoming {
        match value {
            Incoming::Response(response) => {
                let responded = target.respond(now, response, context, &mut frames);
                responded.map_err(Untranslatable::Unsupported)?;
            }
            Incoming::Event(event) if !covers(target.subscription(), event) => {}
            Incoming::Event(event) => match target.deliver(event, context) {
                Delivery::Skip | Delivery::Close(_) => {}
                Delivery::Private(private) => frames.extend(private),
                Delivery::Shared(variant) => {
                    let rendered = dialect.render(event, context, variant);
                    frames.push(rendered.map_err(Untranslatable::Unsupported)?);
                }
            },
        }
    }
    Ok((frames, incoming))
}

/// True unless the session wants another flow than the event's. A session that was not told an
/// identity has no subscription, and gets all events of the proxied connection.
fn covers(subscription: Subscription, event: &Event) -> bool {
    subscription == Subscription::None || subscription.covers(event)
}
