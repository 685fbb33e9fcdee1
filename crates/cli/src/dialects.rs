//! The list of dialects: the only one. Everything that runs over all dialects takes it from here.

pub use crate::dialect_folder::DialectFilesError;
use std::sync::{Arc, LazyLock};
use tolmach_dialect::{Configure, Dialect, OptionTable, OptionsError, Pinned};
use tolmach_dialect_declared::{BUILT_IN, Declared, Revised, RevisionsError};
use tolmach_server::{RouteError, UnknownRevision};

/// Every dialect: its id, and the constructor that reads its options.
const DIALECTS: [Registration; 5] = [
    Registration::new::<tolmach_dialect_mode::Mode>("mode"),
    Registration::new::<tolmach_dialect_sndmsg::SndMsg>("sndmsg"),
    Registration::new::<tolmach_dialect_morelia::Morelia>("morelia"),
    Registration::new::<tolmach_dialect_bearer::Bearer>("bearer"),
    Registration::new::<tolmach_dialect_action::Action>("action"),
];

struct Registration {
    id: &'static str,
    default: fn() -> Arc<dyn Dialect>,
    configure: fn(OptionTable) -> Result<Arc<dyn Dialect>, OptionsError>,
}

impl Registration {
    const fn new<D: Configure + Default>(id: &'static str) -> Self {
        Self {
            id,
            default: || Arc::new(D::default()),
            configure: |options| Ok(Arc::new(D::configure(options)?)),
        }
    }
}

/// The revisions that the program brings, in the order in which they claim a frame.
static REVISIONS: LazyLock<Vec<Declared>> = LazyLock::new(|| {
    let compile = |file: &_| {
        Declared::compile(*file, BUILT_IN).expect("a trial compiles every file of the program")
    };
    tolmach_dialect_declared::REVISIONS.iter().map(compile).collect()
});

/// Compiles the program's revisions, which takes milliseconds, so that those who need them next
/// find them.
pub(crate) fn compile_revisions() {
    LazyLock::force(&REVISIONS);
}

/// A dialect that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialectError {
    /// There is no dialect with this id.
    #[error("there is no dialect {id:?}; the dialects are {}", ids().join(", "))]
    Unknown {
        /// The id.
        id: String,
    },
    /// One of the options is unknown or has a wrong value.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A file cannot be served.
    #[error(transparent)]
    Files(#[from] DialectFilesError),
    /// A revision that the dialect has not.
    #[error(transparent)]
    UnknownRevision(Box<UnknownRevision>),
    /// Two dialects have one path, or a path that is not theirs.
    #[error(transparent)]
    Paths(#[from] Box<RouteError>),
    /// Several dialects claim one first frame on the shared paths.
    #[error(
        "{dialects} claim one first frame, {frame}: on shared paths none would have it; `opens` \
         of a file needs a key or a value that the others have not"
    )]
    Contested {
        /// The ids of the dialects.
        dialects: String,
        /// A first frame that they claim.
        frame: String,
    },
    /// The revisions cannot be served together.
    #[error(transparent)]
    Revisions(#[from] RevisionsError),
}

impl From<UnknownRevision> for DialectError {
    fn from(error: UnknownRevision) -> Self {
        Self::UnknownRevision(Box::new(error))
    }
}

/// The ids of all dialects, in the order of listings.
///
/// ```
/// assert!(tolmach_cli::dialects::ids().contains(&"mode"));
/// ```
pub fn ids() -> Vec<&'static str> {
    DIALECTS.iter().map(|dialect| dialect.id).collect()
}

/// All dialects with their default options and the program's revisions, in the order of listings.
pub fn all() -> Vec<Arc<dyn Dialect>> {
    let with_revisions = |dialect: &Registration| {
        with_revisions((dialect.default)(), revisions(dialect.id))
            .expect("a trial adds the program's revisions to every dialect")
    };
    DIALECTS.iter().map(with_revisions).collect()
}

/// The dialect with this id, made from its table of the configuration, with the program's
/// revisions.
///
/// ```
/// use tolmach_cli::dialects::configure;
/// use tolmach_dialect::OptionTable;
///
/// let mode = configure("mode", OptionTable::from_iter([("push".to_owned(), false.into())]))?;
/// assert_eq!(mode.manifest().id, "mode");
/// assert!(mode.manifest().revisions.contains(&"literal"));
/// assert!(configure("mood", OptionTable::new()).is_err());
/// # Ok::<(), tolmach_cli::dialects::DialectError>(())
/// ```
pub fn configure(id: &str, options: OptionTable) -> Result<Arc<dyn Dialect>, DialectError> {
    Ok(with_revisions(configure_compiled(id, options)?, revisions(id))?)
}

/// One revision of a dialect, as both sides of its wire have it: for clients of that revision.
///
/// ```
/// use tolmach_cli::dialects::at_revision;
/// use tolmach_dialect::OptionTable;
///
/// let literal = at_revision("mode", "literal", OptionTable::new())?;
/// assert_eq!(literal.manifest().revisions, ["literal"]);
/// assert!(at_revision("mode", "litteral", OptionTable::new()).is_err());
/// # Ok::<(), tolmach_cli::dialects::DialectError>(())
/// ```
pub fn at_revision(
    id: &str,
    revision: &str,
    options: OptionTable,
) -> Result<Arc<dyn Dialect>, DialectError> {
    let compiled = configure_compiled(id, options)?;
    let files = revisions(id);
    if let Some(file) = files.iter().find(|file| file.revision() == revision) {
        return Ok(Arc::new(file.clone()));
    }
    let manifest = compiled.manifest();
    let (dialect, own) = (manifest.id, manifest.revisions);
    match Pinned::new(compiled, revision) {
        Some(pinned) => Ok(Arc::new(pinned)),
        None => {
            let existing = own.iter().copied().chain(files.iter().map(Declared::revision));
            let (revision, existing) = (revision.to_owned(), existing.collect());
            Err(UnknownRevision { dialect, revision, existing }.into())
        }
    }
}

/// The dialect with this id as its document has it, without other revisions.
pub(crate) fn configure_compiled(
    id: &str,
    options: OptionTable,
) -> Result<Arc<dyn Dialect>, DialectError> {
    let dialect = DIALECTS.iter().find(|dialect| dialect.id == id);
    let dialect = dialect.ok_or_else(|| DialectError::Unknown { id: id.to_owned() })?;
    Ok((dialect.configure)(options)?)
}

/// The program's revisions of this dialect.
pub(crate) fn revisions(id: &str) -> Vec<Declared> {
    REVISIONS.iter().filter(|file| file.manifest().id == id).cloned().collect()
}

/// A dialect with these revisions.
pub(crate) fn with_revisions(
    dialect: Arc<dyn Dialect>,
    revisions: Vec<Declared>,
) -> Result<Arc<dyn Dialect>, RevisionsError> {
    if revisions.is_empty() {
        return Ok(dialect);
    }
    Ok(Arc::new(Revised::new(dialect, revisions)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_listed_once_under_the_id_of_its_manifest() {
        let all: Vec<_> = all().iter().map(|dialect| dialect.manifest().id).collect();
        assert_eq!(all, ids());
        let unique: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len(), "{all:?}");
    }

    #[test]
    fn an_empty_table_configures_every_dialect() {
        for id in ids() {
            let dialect = configure(id, OptionTable::new()).unwrap();
            assert_eq!(dialect.manifest().id, id);
        }
    }

    #[test]
    fn every_file_of_the_program_is_a_revision_of_a_listed_dialect() {
        let all = all();
        for file in REVISIONS.iter() {
            let id = file.manifest().id;
            let dialect = all.iter().find(|dialect| dialect.manifest().id == id).unwrap();
            let revisions = dialect.manifest().revisions;
            assert!(revisions.contains(&file.revision()), "{id}: {revisions:?}");
        }
    }

    #[test]
    fn an_unknown_dialect_is_an_error_that_lists_all() {
        let error = configure("mood", OptionTable::new()).err().unwrap().to_string();
        assert!(error.contains("\"mood\"") && error.contains("mode, sndmsg"), "{error}");
    }
}
