//! The revision of a dialect.

use tolmach_dialect::{DOC, Dialect, Revision};

/// The name of a wire: the dialect's id, and `<id>/<revision>` of another revision than `doc`.
pub(crate) fn title_of(dialect: &dyn Dialect) -> String {
    let (id, revision) = (dialect.manifest().id, default_revision(dialect));
    if revision == DOC { id.to_owned() } else { format!("{id}/{revision}") }
}

/// The first revision of a dialect's manifest: that of its sessions by default.
pub(crate) fn default_revision(dialect: &dyn Dialect) -> Revision {
    dialect.manifest().revisions.first().copied().unwrap_or(DOC)
}
