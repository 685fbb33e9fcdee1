//! The dialects of a gateway: those of the list, and those of the operator's files.

use crate::config::Config;
use crate::dialect_folder::read_folder;
use crate::dialects::{self, DialectError};
use std::sync::Arc;
use tolmach_dialect::{DOC, Dialect, Manifest};
use tolmach_dialect_declared::Declared;
use tolmach_dialect_kit::contested_first_frames;
use tolmach_server::{DialectOptions, UnknownRevision, check_paths};

/// A dialect as the configuration has it.
pub(crate) struct ConfiguredDialect {
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) options: DialectOptions,
    pub(crate) is_enabled: bool,
    /// True if a file of the operator is a part of it.
    pub(crate) has_files: bool,
}

/// Every dialect, in the order of listings: those of the list, then those that only files describe.
pub(crate) fn configured_dialects(config: &Config) -> Result<Vec<ConfiguredDialect>, DialectError> {
    let folder = &config.dialects.folder;
    let files = if folder.as_os_str().is_empty() { Vec::new() } else { read_folder(folder)? };
    configured_with(config, files)
}

/// The same with these files of the operator.
pub(crate) fn configured_with(
    config: &Config,
    mut files: Vec<Declared>,
) -> Result<Vec<ConfiguredDialect>, DialectError> {
    let mut configured = Vec::new();
    for id in dialects::ids() {
        let Some(section) = config.dialects.by_id.get(id) else { continue };
        let own: Vec<Declared> = files.extract_if(.., |file| file.manifest().id == id).collect();
        let has_files = !own.is_empty();
        let compiled = dialects::configure_compiled(id, section.options.clone())?;
        let mut revisions = with_own(dialects::revisions(id), own);
        if let Some(name) = section
            .disabled_revisions
            .iter()
            .find(|name| !revisions.iter().any(|revision| revision.revision() == **name))
        {
            let existing = revisions.iter().map(Declared::revision).collect();
            let revision = name.clone();
            return Err(UnknownRevision { dialect: id, revision, existing }.into());
        }
        revisions.retain(|revision| {
            !section.disabled_revisions.iter().any(|name| name == revision.revision())
        });
        let dialect = dialects::with_revisions(compiled, revisions)?;
        let existing = dialect.manifest().revisions;
        if let Some(pin) = section.pins.iter().find(|pin| !existing.contains(&&*pin.revision)) {
            let (revision, existing) = (pin.revision.clone(), existing.to_vec());
            return Err(UnknownRevision { dialect: id, revision, existing }.into());
        }
        let options = DialectOptions {
            max_frame_bytes: section.max_frame_bytes,
            pins: section.pins.clone(),
            ids: section.ids.clone(),
        };
        let is_enabled = section.enabled;
        configured.push(ConfiguredDialect { dialect, options, is_enabled, has_files });
    }
    while let Some(first) = files.first() {
        let id = first.manifest().id;
        let mut own: Vec<Declared> =
            files.extract_if(.., |file| file.manifest().id == id).collect();
        // Without one of a document, the first file by name is the dialect.
        let document = own.iter().position(|file| file.revision() == DOC).unwrap_or_default();
        let document = Arc::new(own.remove(document));
        let dialect = dialects::with_revisions(document, own)?;
        let options = DialectOptions::default();
        configured.push(ConfiguredDialect { dialect, options, is_enabled: true, has_files: true });
    }
    if configured.iter().any(|one| one.has_files) {
        check_together(&configured, &config.routing.shared_paths)?;
    }
    Ok(configured)
}

/// Checks that the dialects that are enabled can be served together: a path or a first frame that
/// two of them claim would be answered by neither.
fn check_together(
    configured: &[ConfiguredDialect],
    shared_paths: &[String],
) -> Result<(), DialectError> {
    let enabled = || configured.iter().filter(|one| one.is_enabled).map(|one| &one.dialect);
    let manifests: Vec<&Manifest> = enabled().map(|dialect| dialect.manifest()).collect();
    check_paths(&manifests, shared_paths).map_err(Box::new)?;
    let dialects: Vec<&dyn Dialect> = enabled().map(AsRef::as_ref).collect();
    match contested_first_frames(&dialects).pop_first() {
        None => Ok(()),
        Some((ids, frame)) => {
            let dialects = ids.into_iter().collect::<Vec<_>>().join(" and ");
            Err(DialectError::Contested { dialects, frame })
        }
    }
}

/// The revisions of the program and the operator. Where both have one, it is the operator's; the
/// operator's other ones are the first to claim a frame.
fn with_own(program: Vec<Declared>, own: Vec<Declared>) -> Vec<Declared> {
    let is_own = |name: &str| own.iter().any(|file| file.revision() == name);
    let rest: Vec<Declared> = program.into_iter().filter(|file| !is_own(file.revision())).collect();
    own.into_iter().chain(rest).collect()
}
