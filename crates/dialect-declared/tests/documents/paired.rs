//! The server's side of one dialect with the client's side of another.

use tolmach_dialect::{
    Dialect, DialectClient, Event, Frame, Handshake, HandshakeRejection, Manifest, Recognition,
    RenderContext, ServerSession, Unsupported, Variant,
};
use tolmach_dialect_declared::{Declared, DialectFile};

/// A file as the server, and as the client the file or a crate. The crate's manifest is both's.
pub(crate) struct Paired<C> {
    server: Declared,
    crated: C,
    is_client_declared: bool,
}

impl<C: Dialect> Paired<C> {
    /// The text of a file as the server, and a crate as the client.
    pub(crate) fn server(name: &str, text: &str, crated: C) -> Self {
        let server = Declared::compile(DialectFile { name, text }, &[]);
        let server = server.unwrap_or_else(|error| panic!("{error}"));
        Self { server, crated, is_client_declared: false }
    }

    /// The text of a file as both.
    pub(crate) fn both(name: &str, text: &str, crated: C) -> Self {
        Self { is_client_declared: true, ..Self::server(name, text, crated) }
    }
}

impl<C: Dialect> Dialect for Paired<C> {
    fn manifest(&self) -> &Manifest {
        self.crated.manifest()
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
        if self.is_client_declared { self.server.client() } else { self.crated.client() }
    }
}
