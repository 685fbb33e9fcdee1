//! Dialects and revisions by their names on the command line: `mode`, `sndmsg/uchat`.

use crate::config::Config;
use crate::dialect_folder::read_folder;
use crate::dialects::{self, DialectError};
use std::sync::Arc;
use tolmach_dialect::{DOC, Dialect};
use tolmach_dialect_declared::Declared;
use tolmach_server::UnknownRevision;

/// The dialects of a configuration, with those of the operator's files. One that is not enabled can
/// be named too.
pub(crate) struct NamedDialects<'c> {
    config: &'c Config,
    files: Vec<Declared>,
}

impl<'c> NamedDialects<'c> {
    /// Reads the operator's files.
    pub(crate) fn load(config: &'c Config) -> Result<Self, DialectError> {
        let folder = &config.dialects.folder;
        let files = if folder.as_os_str().is_empty() { Vec::new() } else { read_folder(folder)? };
        Ok(Self { config, files })
    }

    /// The names of all dialects and revisions, those of the operator's files first.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |id: &str, revision: &str| format!("{id}/{revision}");
        let own = self.files.iter().map(|file| name(file.manifest().id, file.revision()));
        let program = dialects::all();
        let program = program.iter().flat_map(|dialect| {
            let manifest = dialect.manifest();
            manifest.revisions.iter().map(move |revision| name(manifest.id, revision))
        });
        own.chain(program).collect()
    }

    /// The dialect with this name: `ID`, in the revision of its document, or `ID/REVISION`. All of
    /// its connections have that revision.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<dyn Dialect>, DialectError> {
        let (id, revision) = match name.split_once('/') {
            Some((id, revision)) => (id, Some(revision)),
            None => (name, None),
        };
        let wanted = revision.unwrap_or(DOC);
        let own: Vec<&Declared> =
            self.files.iter().filter(|file| file.manifest().id == id).collect();
        if let Some(file) = own.iter().find(|file| file.revision() == wanted) {
            return Ok(Arc::new(Declared::clone(file)));
        }
        if let Some(section) = self.config.dialects.by_id.get(id) {
            return dialects::at_revision(id, wanted, section.options.clone());
        }
        match (own.first(), revision) {
            // Without one of a document, the first file by name is the dialect.
            (Some(first), None) => Ok(Arc::new(Declared::clone(first))),
            (Some(first), Some(revision)) => {
                let existing = own.iter().map(|file| file.revision()).collect();
                let (dialect, revision) = (first.manifest().id, revision.to_owned());
                Err(UnknownRevision { dialect, revision, existing }.into())
            }
            (None, _) => Err(DialectError::Unknown { id: id.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn a_name_is_a_dialect_or_one_of_its_revisions() {
        let config = Config::load(Sources::default()).unwrap();
        let named = NamedDialects::load(&config).unwrap();
        for (name, expected) in [
            ("mode", Ok(("mode", "doc"))),
            ("mode/doc", Ok(("mode", "doc"))),
            ("sndmsg/uchat", Ok(("sndmsg", "uchat"))),
            ("bearer/swiftly-mobile", Ok(("bearer", "swiftly-mobile"))),
            ("mood", Err("mode, sndmsg")),
            ("mode/litteral", Err("literal")),
        ] {
            match (named.find(name), expected) {
                (Ok(found), Ok((id, revision))) => {
                    let manifest = found.manifest();
                    assert_eq!((manifest.id, manifest.revisions[0]), (id, revision), "{name}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, _) => panic!("{name}: {}", found.is_ok()),
            }
        }
    }
}
