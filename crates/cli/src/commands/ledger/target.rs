//! The losses of clients at another dialect or revision.

use crate::commands::translate::{Missing, missing};
use crate::config::Config;
use crate::error::{CliError, UsageError};
use crate::lifecycle_arguments::Version;
use crate::named_dialects::NamedDialects;
use std::collections::BTreeMap;
use std::sync::Arc;
use tolmach_dialect::Dialect;

/// A dialect and a revision by their names.
pub(super) type Names = (String, String);

/// The operations of which a client misses something.
pub(super) type MissingOperations = BTreeMap<String, Missing>;

/// A target, and the losses there.
pub(super) struct Target<'c> {
    named: NamedDialects<'c>,
    target: Arc<dyn Dialect>,
    /// By the revision of the client. `None` if this gateway has no such revision, or the revision
    /// has no client's side.
    by_source: BTreeMap<Names, Option<MissingOperations>>,
}

impl<'c> Target<'c> {
    pub(super) fn load(config: &'c Config, version: &Version) -> Result<Self, CliError> {
        let named = NamedDialects::load(config).map_err(UsageError::from)?;
        let Version { dialect, revision } = version;
        let name = match revision {
            Some(revision) => format!("{dialect}/{revision}"),
            None => dialect.clone(),
        };
        let target = named.find(&name).map_err(UsageError::NamedDialect)?;
        Ok(Self { named, target, by_source: BTreeMap::new() })
    }

    /// The losses of clients of a revision, computed once. `None` if they are not known.
    pub(super) fn missing(&mut self, dialect: &str, revision: &str) -> Option<&MissingOperations> {
        let names = (dialect.to_owned(), revision.to_owned());
        let Self { named, target, by_source } = self;
        let compute = || {
            let source = named.find(&format!("{dialect}/{revision}")).ok()?;
            let missing = missing(&source, target).ok()?;
            let by_name = |missing: Missing| (missing.operation.to_owned(), missing);
            Some(missing.into_iter().filter(|missing| !missing.is_event).map(by_name).collect())
        };
        by_source.entry(names).or_insert_with(compute).as_ref()
    }

    /// The losses that were computed, by the revisions of clients.
    pub(super) fn computed(&self) -> &BTreeMap<Names, Option<MissingOperations>> {
        &self.by_source
    }
}
