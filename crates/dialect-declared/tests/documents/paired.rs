//! The server's side of one dialect with the client's side of another.

use tolmach_dialect::{
    Dialect, DialectClient, Event, Frame, Handshake, HandshakeRejection, Manifest, Recognition,
    RenderContext, ServerSession, Unsupported, Variant,
};
use tolmach_dialect_declared::{Declared, DialectFile};

/// A file as the server and a crate as the client.
pub(crate) struct Paired<C> {
    server: Declared,
    client: C,
}

impl<C: Dialect> Paired<C> {
    /// Compiles the text of a file.
    pub(crate) fn new(name: &str, text: &str, client: C) -> Self {
        let server = Declared::compile(DialectFile { name, text }, &[]);
        Self { server: server.unwrap_or_else(|error| panic!("{error}")), client }
    }
}

impl<C: Dialect> Dialect for Paired<C> {
    fn manifest(&self) -> &Manifest {
        self.client.manifest()
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        self.server.recognise(handshake)
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        self.server.accept(handshake)
    }

    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported> {
        self.server.render(event, context, variant)
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        self.client.client()
    }
}
