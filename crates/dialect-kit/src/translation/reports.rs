//! Reports of translations.

use crate::losses::losses_of;
use crate::play::{DialectPair, Recording, record};
use crate::problems::Problems;
use crate::project::{Deviations, Project, folder_of};
use crate::revision::default_revision;
use crate::translation::fidelity::{Excuse, Report, add_unsupported, judge};
use crate::translation::proxy::translate_stories;
use tolmach_dialect::{DOC, Dialect};

/// A dialect with the stories as its own peers play them, to be translated with others.
pub struct Native<'d> {
    pair: DialectPair<'d>,
    recording: Recording,
    deviations: Deviations,
}

impl<'d> Native<'d> {
    /// Plays all stories through both sides of a dialect, and reads its declared losses. Those of
    /// a revision are computed too: what arrives changed on its own wire. Fails if there is no
    /// client.
    pub fn of(project: &Project, dialect: &'d dyn Dialect) -> Result<Self, Problems> {
        let manifest = dialect.manifest();
        let deviations = project.deviations(&folder_of(manifest)).map_err(Problems)?;
        let pair = DialectPair::of(dialect)
            .ok_or_else(|| Problems::one(format!("the dialect {} has no client", manifest.id)))?;
        let recording = record(dialect);
        let deviations = match default_revision(dialect) {
            DOC => deviations,
            _ => deviations.with(Deviations::of_losses(&losses_of(&recording))),
        };
        Ok(Self { pair, recording, deviations })
    }

    /// Plays all stories from clients of this dialect through a proxy to a server of `target`, and
    /// compares both ends with native peers.
    ///
    /// Fails with differences and losses that neither dialect declares.
    pub fn translation_to(&self, target: &Self) -> Result<Report, Problems> {
        let findings =
            translate_stories((self.pair, &self.recording), (target.pair, &target.recording));
        let deviations = [self.deviations.clone(), target.deviations.clone()];
        let ids = (self.pair.id(), target.pair.id());
        let (mut report, problems) = judge(&findings, &deviations, Excuse::Any, ids.0, ids.1);
        add_unsupported(&mut report, &self.recording, &target.recording);
        Problems::none_or(problems)?;
        Ok(report)
    }
}

/// Plays all stories from clients of `source` through a proxy to a server of `target`, and compares
/// both ends with native peers. Deviations are read from this repository.
///
/// Fails with differences and losses that neither dialect declares, and if one of the two has no
/// client.
pub fn translation(source: &dyn Dialect, target: &dyn Dialect) -> Result<Report, Problems> {
    translation_in(&Project::of_crate(env!("CARGO_MANIFEST_DIR")), source, target)
}

/// The same as [`translation`], of any project.
pub fn translation_in(
    project: &Project,
    source: &dyn Dialect,
    target: &dyn Dialect,
) -> Result<Report, Problems> {
    Native::of(project, source)?.translation_to(&Native::of(project, target)?)
}
