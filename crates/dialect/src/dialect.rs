//! The traits of a dialect.

use crate::{
    ClientSession, Credentials, Event, Frame, Handshake, HandshakeRejection, Manifest, Recognition,
    RenderContext, Request, ServerSession, Unsupported, Variant,
};
use std::sync::Arc;

/// One wire format. One shared value serves all connections.
pub trait Dialect: Send + Sync + 'static {
    /// Id, endpoints, revisions, limits and capabilities. Always the same value.
    fn manifest(&self) -> &Manifest;

    /// Recognises its own handshakes, and its own first frames on a shared path.
    ///
    /// - Looks only at its argument, and is called once per connection.
    /// - Looks only for the keys of its own wire. It need not know other dialects: a frame that two
    ///   of them claim is served by neither.
    /// - Errs towards [`Recognition::No`].
    /// - Never panics, whatever the bytes.
    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition;

    /// True for a frame that is no request of this dialect and that its clients send nevertheless.
    /// As the first on a shared path it decides nothing: it is dropped, and the next one counts.
    fn ignores(&self, _frame: &Frame) -> bool {
        false
    }

    /// Starts the server's side of a connection.
    ///
    /// - [`Handshake::revision`] is the one that `recognise` gave, or that the operator pinned.
    /// - Rejects what can be rejected without asking the engine.
    /// - The session gets the first frame separately, through [`ServerSession::decode`].
    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection>;

    /// Renders an event in one of the variants that [`ServerSession::deliver`] names.
    ///
    /// - Pure: the same event, context and variant give the same bytes, because one frame is shared
    ///   by all connections of that variant.
    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported>;

    /// The client's side, where the dialect has one.
    fn client(&self) -> Option<&dyn DialectClient> {
        None
    }
}

/// The client's side of a dialect: for test clients, bridges and proxies.
pub trait DialectClient: Send + Sync {
    /// The HTTP request that a client connects with in order to make `request`: of a WebSocket
    /// handshake, with its `Upgrade` header, or any other where HTTP requests are the frames.
    /// Headers carry the request's credentials where this wire has them there.
    fn dial(&self, request: &Request) -> Result<http::request::Parts, Unsupported>;

    /// Starts the client's side of a connection that was opened with our own request.
    fn connect(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ClientSession>, HandshakeRejection>;

    /// The HTTP request that opens the WebSocket which only receives events, where the wire has
    /// such a one, with these credentials.
    fn listen(&self, credentials: &Credentials) -> Option<http::request::Parts> {
        let _ = credentials;
        None
    }

    /// True if the key of a message is on the wire, so that a server stores a message that it gets
    /// twice once.
    fn keys_messages(&self) -> bool {
        false
    }
}

impl<D: Dialect + ?Sized> Dialect for Arc<D> {
    fn manifest(&self) -> &Manifest {
        self.as_ref().manifest()
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        self.as_ref().recognise(handshake)
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        self.as_ref().accept(handshake)
    }

    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported> {
        self.as_ref().render(event, context, variant)
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        self.as_ref().client()
    }
}
