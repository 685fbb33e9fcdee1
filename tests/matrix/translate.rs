//! Each golden story of one dialect, carried into another, is what a native peer of that one says,
//! minus declared losses.

use crate::dialects::{self, Spoken};
use tolmach_dialect::{
    Ask, Dialect, Frame, Loss, Manifest, Notice, Opening, Recognition, Refusal, Session, Side,
    Variant,
};
use tolmach_dialect_kit::{Kit, Project, Report, translation, trials};

/// The project that this package belongs to.
pub(crate) fn project() -> Project {
    Project::of_crate(env!("CARGO_MANIFEST_DIR"))
}

/// How faithfully `source` comes through to `target`; every undeclared loss otherwise.
pub(crate) fn report(source: &str, target: &str) -> Result<Report, String> {
    let (source, target) = (dialects::named(source), dialects::named(target));
    translation(&*source.dialect, &*target.dialect).map_err(|problems| problems.to_string())
}

/// A pair's stories come through. With itself a dialect is also asked whether each loss that it
/// declares still happens.
pub(crate) fn trial(source: &str, target: &str) -> Result<(), String> {
    report(source, target)?;
    if source == target {
        let Spoken { dialect, .. } = dialects::named(source);
        let kit = Kit::new(project(), Shared(dialect), Vec::new());
        trials::losses_are_declared(&kit).map_err(|problems| problems.to_string())?;
    }
    Ok(())
}

/// A dialect that others hold too.
struct Shared(std::sync::Arc<dyn Dialect>);

impl Dialect for Shared {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }

    fn recognise(&self, opening: &Opening<'_>) -> Recognition {
        self.0.recognise(opening)
    }

    fn open(&self, opening: &Opening<'_>, side: Side) -> Result<Box<dyn Session>, Refusal> {
        self.0.open(opening, side)
    }

    fn dial(&self, ask: &Ask) -> Result<http::request::Parts, Loss> {
        self.0.dial(ask)
    }

    fn render(&self, notice: &Notice, variant: Variant) -> Result<Frame, Loss> {
        self.0.render(notice, variant)
    }
}
