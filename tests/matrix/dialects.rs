//! The list of dialects with the options of the trials, their revisions, and what a wire cannot
//! tell apart.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tolmach_cli::dialects::{at_revision, configure, ids};
use tolmach_dialect::{DOC, Dialect, OptionTable, Revision};
use tolmach_dialect_kit::folder_of;

/// Options of dialects that are on in the trials, as the dialect and the key: what a dialect can
/// push is tried, also where it is off by default.
pub(crate) const ENABLED_OPTIONS: [(&str, &str); 1] = [("morelia", "push")];

/// Revisions that no first frame of the trials identifies: the gateways pin them by the user agent,
/// which is their title.
pub(crate) const PINNED: [&str; 6] = [
    "action/2024-12",
    "action/2025-01",
    "action/2025-03",
    "bearer/swiftly-mobile",
    "morelia/1.15",
    "morelia/server-2020",
];

/// Revisions of one flow, which their messages do not name.
const OF_ONE_FLOW: [&str; 1] = ["morelia/0"];

/// Faults that share one form on a wire: the dialect, the fault that the server sends, and those
/// that the dialect's client may decode instead.
const MERGED_FAULTS: [(&str, &str, &[&str]); 2] = [
    // A request needs a joined room, and joining is what is refused.
    ("action", "not_author", &["no_such_message"]),
    ("action", "no_such_message", &["no_such_flow"]),
];

/// A revision of a dialect.
struct Wire {
    id: &'static str,
    revision: Revision,
    title: String,
}

/// Every revision of every dialect but those of the documents.
static REVISIONS: LazyLock<Vec<Wire>> = LazyLock::new(|| {
    let of_dialect = |id: &'static str| {
        let revisions = by_id(id).manifest().revisions.iter();
        revisions.filter(|revision| **revision != DOC).map(move |revision| Wire {
            id,
            revision,
            title: format!("{id}/{revision}"),
        })
    };
    ids().into_iter().flat_map(of_dialect).collect()
});

/// The title of a wire: the id of a dialect, or `<id>/<revision>` of a revision of its own.
pub(crate) fn id_of(dialect: &Arc<dyn Dialect>) -> &'static str {
    let manifest = dialect.manifest();
    let is_it =
        |wire: &&Wire| wire.id == manifest.id && manifest.revisions.first() == Some(&wire.revision);
    REVISIONS.iter().find(is_it).map_or(manifest.id, |wire| &wire.title)
}

/// The titles of all revisions but those of the documents.
pub(crate) fn revisions() -> Vec<&'static str> {
    REVISIONS.iter().map(|wire| &*wire.title).collect()
}

/// The revisions that [`PINNED`] names, as the id of the dialect and the revision.
pub(crate) fn pinned() -> Vec<(&'static str, Revision)> {
    let wires = REVISIONS.iter().filter(|wire| PINNED.contains(&&*wire.title));
    wires.map(|wire| (wire.id, wire.revision)).collect()
}

/// True if the messages of this wire name their flow.
pub(crate) fn names_flows(title: &str) -> bool {
    !OF_ONE_FLOW.contains(&title)
}

/// Every dialect in the revision of its document.
pub(crate) fn all() -> Vec<Arc<dyn Dialect>> {
    ids().into_iter().map(by_id).collect()
}

/// The dialects that were made, by their titles: making one compiles its schemas.
static MADE: Mutex<BTreeMap<String, Arc<dyn Dialect>>> = Mutex::new(BTreeMap::new());

/// The dialect with this id, or the revision with this title.
pub(crate) fn by_id(title: &str) -> Arc<dyn Dialect> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(title.to_owned()).or_insert_with(|| make(title)).clone()
}

fn make(title: &str) -> Arc<dyn Dialect> {
    let (id, revision) = title.split_once('/').unwrap_or((title, DOC));
    let enabled = ENABLED_OPTIONS.iter().filter(|(dialect, _)| *dialect == id);
    let options = enabled.map(|(_, key)| ((*key).to_owned(), true.into()));
    let options = OptionTable::from_iter(options);
    let made = match revision {
        DOC => configure(id, options),
        revision => at_revision(id, revision, options),
    };
    made.unwrap_or_else(|error| panic!("the dialect {title}: {error}"))
}

/// The folder of the documents of a wire below `protocols`.
pub(crate) fn folder(title: &str) -> String {
    folder_of(by_id(title).manifest())
}

/// Every ordered pair of ids, each id with itself too.
pub(crate) fn pairs() -> Vec<(&'static str, &'static str)> {
    let ids = ids();
    ids.iter().flat_map(|source| ids.iter().map(move |target| (*source, *target))).collect()
}

/// The pairs of a revision with each document in both directions, and with itself.
pub(crate) fn pairs_of(revision: &'static str) -> Vec<(&'static str, &'static str)> {
    let both = ids().into_iter().flat_map(|id| [(revision, id), (id, revision)]);
    both.chain([(revision, revision)]).collect()
}

/// True if a client of this dialect may decode the fault `sent` as `decoded`.
pub(crate) fn may_decode(dialect: &str, sent: &str, decoded: &str) -> bool {
    sent == decoded
        || MERGED_FAULTS.iter().any(|(id, fault, others)| {
            *id == dialect && *fault == sent && others.contains(&decoded)
        })
}
