//! Translation of the golden stories: each exchange of one dialect, carried through a proxy into
//! another dialect, is what a native peer of that dialect sends, minus declared losses.

use crate::dialects::by_id;
use std::sync::Arc;
use tolmach_dialect::{
    Dialect, DialectClient, Frame, Handshake, HandshakeRejection, Manifest, Recognition,
    RenderContext, ServerSession, Unsupported, Variant,
};
use tolmach_dialect_kit::{Kit, Losses, Project, Report, losses, translation, trials};
use tolmach_domain::Event;

/// The project of this package.
pub(crate) fn project() -> Project {
    Project::of_crate(env!("CARGO_MANIFEST_DIR"))
}

/// The fidelity of the translation from `source` to `target`. Fails with undeclared losses.
pub(crate) fn report(source: &str, target: &str) -> Result<Report, String> {
    translation(&*by_id(source), &*by_id(target)).map_err(|problems| problems.to_string())
}

/// The operations of the stories that a dialect has no frames for, computed by playing them.
pub(crate) fn losses_of(id: &str) -> Result<Losses, String> {
    losses(&*by_id(id)).ok_or_else(|| format!("the dialect {id} has no client"))
}

/// The stories of a pair come through. For a pair of a dialect with itself, its declared losses are
/// also compared with the losses that the stories show.
pub(crate) fn stories_come_through(source: &str, target: &str) -> Result<(), String> {
    report(source, target)?;
    if source == target {
        let kit = Kit::new(project(), || SharedDialect(by_id(source)), Vec::new());
        trials::deviations_match_losses(&kit).map_err(|problems| problems.to_string())?;
    }
    Ok(())
}

/// A dialect behind an `Arc`.
struct SharedDialect(Arc<dyn Dialect>);

impl Dialect for SharedDialect {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        self.0.recognise(handshake)
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        self.0.accept(handshake)
    }

    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported> {
        self.0.render(event, context, variant)
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        self.0.client()
    }
}
