//! Reports of translations.

use crate::play::{DialectPair, record};
use crate::problems::Problems;
use crate::project::Project;
use crate::translation::fidelity::{Excuse, Report, add_unsupported, judge};
use crate::translation::proxy::translate_stories;
use tolmach_dialect::Dialect;

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
    let (source_id, target_id) = (source.manifest().id, target.manifest().id);
    let deviations = [
        project.deviations(source_id).map_err(Problems)?,
        project.deviations(target_id).map_err(Problems)?,
    ];
    let pair = |dialect| {
        let id = |dialect: &dyn Dialect| dialect.manifest().id;
        DialectPair::of(dialect)
            .ok_or_else(|| Problems::one(format!("the dialect {} has no client", id(dialect))))
    };
    let (source_pair, target_pair) = (pair(source)?, pair(target)?);
    let (native_source, native_target) = (record(source), record(target));
    let findings = translate_stories((source_pair, &native_source), (target_pair, &native_target));
    let (mut report, problems) = judge(&findings, &deviations, Excuse::Any, source_id, target_id);
    add_unsupported(&mut report, &native_source, &native_target);
    Problems::none_or(problems)?;
    Ok(report)
}
