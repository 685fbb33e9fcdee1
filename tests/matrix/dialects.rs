//! The list of dialects with the options of the trials, and the faults that a wire cannot tell
//! apart.

use std::sync::Arc;
use tolmach_cli::dialects::{configure, ids};
use tolmach_dialect::{Dialect, OptionTable};

/// Options of dialects that are on in the trials, as the dialect and the key: what a dialect can
/// push is tried, also where it is off by default.
pub(crate) const ENABLED_OPTIONS: [(&str, &str); 1] = [("morelia", "push")];

/// Faults that share one form on a wire: the dialect, the fault that the server sends, and those
/// that the dialect's client may decode instead.
const MERGED_FAULTS: [(&str, &str, &[&str]); 2] = [
    // A request needs a joined room, and joining is what is refused.
    ("action", "not_author", &["no_such_message"]),
    ("action", "no_such_message", &["no_such_flow"]),
];

/// The id of a dialect.
pub(crate) fn id_of(dialect: &Arc<dyn Dialect>) -> &'static str {
    dialect.manifest().id
}

/// Every dialect.
pub(crate) fn all() -> Vec<Arc<dyn Dialect>> {
    ids().into_iter().map(by_id).collect()
}

/// The dialect with this id.
pub(crate) fn by_id(id: &str) -> Arc<dyn Dialect> {
    let enabled = ENABLED_OPTIONS.iter().filter(|(dialect, _)| *dialect == id);
    let options = enabled.map(|(_, key)| ((*key).to_owned(), true.into()));
    configure(id, OptionTable::from_iter(options))
        .unwrap_or_else(|error| panic!("the dialect {id}: {error}"))
}

/// Every ordered pair of ids, each id with itself too.
pub(crate) fn pairs() -> Vec<(&'static str, &'static str)> {
    let ids = ids();
    ids.iter().flat_map(|source| ids.iter().map(move |target| (*source, *target))).collect()
}

/// True if a client of this dialect may decode the fault `sent` as `decoded`.
pub(crate) fn may_decode(dialect: &str, sent: &str, decoded: &str) -> bool {
    sent == decoded
        || MERGED_FAULTS.iter().any(|(id, fault, others)| {
            *id == dialect && *fault == sent && others.contains(&decoded)
        })
}
