//! The list of dialects: the only one. Everything that runs over all dialects takes it from here.

use std::sync::Arc;
use tolmach_dialect::{Configure, Dialect, OptionTable, OptionsError};

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
}

/// The ids of all dialects, in the order of listings.
///
/// ```
/// assert!(tolmach_cli::dialects::ids().contains(&"mode"));
/// ```
pub fn ids() -> Vec<&'static str> {
    DIALECTS.iter().map(|dialect| dialect.id).collect()
}

/// All dialects with their default options, in the order of listings.
pub fn all() -> Vec<Arc<dyn Dialect>> {
    DIALECTS.iter().map(|dialect| (dialect.default)()).collect()
}

/// The dialect with this id, made from its table of the configuration.
///
/// ```
/// use tolmach_cli::dialects::configure;
/// use tolmach_dialect::OptionTable;
///
/// let mode = configure("mode", OptionTable::from_iter([("push".to_owned(), false.into())]))?;
/// assert_eq!(mode.manifest().id, "mode");
/// assert!(configure("mood", OptionTable::new()).is_err());
/// # Ok::<(), tolmach_cli::dialects::DialectError>(())
/// ```
pub fn configure(id: &str, options: OptionTable) -> Result<Arc<dyn Dialect>, DialectError> {
    let dialect = DIALECTS.iter().find(|dialect| dialect.id == id);
    let dialect = dialect.ok_or_else(|| DialectError::Unknown { id: id.to_owned() })?;
    Ok((dialect.configure)(options)?)
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
    fn an_unknown_dialect_is_an_error_that_lists_all() {
        let error = configure("mood", OptionTable::new()).err().unwrap().to_string();
        assert!(error.contains("\"mood\"") && error.contains("mode, sndmsg"), "{error}");
    }
}
