//! One revision of a dialect.

use crate::{
    Dialect, DialectClient, Event, Frame, Handshake, HandshakeRejection, Manifest, Recognition,
    RenderContext, Revision, ServerSession, Unsupported, Variant,
};
use std::sync::Arc;

/// A dialect all of whose connections have one of its revisions: for tools that play that revision.
pub struct Pinned {
    dialect: Arc<dyn Dialect>,
    revision: Revision,
    manifest: Manifest,
}

impl Pinned {
    /// Pins a revision of the dialect's manifest; `None` if it has no such revision.
    pub fn new(dialect: Arc<dyn Dialect>, revision: &str) -> Option<Self> {
        let revisions = dialect.manifest().revisions;
        let index = revisions.iter().position(|known| *known == revision)?;
        let pinned = &revisions[index..=index];
        let manifest = dialect.manifest().clone().revisions(pinned);
        Some(Self { dialect, revision: pinned[0], manifest })
    }
}

impl Dialect for Pinned {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        self.dialect.recognise(&handshake.revision(self.revision))
    }

    fn ignores(&self, frame: &Frame) -> bool {
        self.dialect.ignores(frame)
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        self.dialect.accept(&handshake.revision(self.revision))
    }

    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported> {
        self.dialect.render(event, context, variant)
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        self.dialect.client()
    }
}
