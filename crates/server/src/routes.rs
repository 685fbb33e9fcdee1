//! Where connections arrive, and which dialect answers there.

use crate::metrics::DialectMetrics;
use std::collections::HashMap;
use std::sync::Arc;
use tolmach_dialect::{Dialect, Document, Opening, Recognition, Settings, Transport};

/// A dialect as this gateway serves it.
pub(crate) struct Entry {
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) settings: Settings,
    /// The largest WebSocket message, in bytes.
    pub(crate) frame_limit: usize,
    /// The largest HTTP body, in bytes.
    pub(crate) body_limit: usize,
    pub(crate) metrics: DialectMetrics,
}

impl Entry {
    pub(crate) fn id(&self) -> &'static str {
        self.dialect.manifest().id
    }
}

/// Every door of this gateway.
pub(crate) struct Doors {
    entries: Vec<Arc<Entry>>,
    exact: HashMap<String, (usize, Transport)>,
    /// Doors with everything below them, without the slash at the end.
    below: Vec<(String, (usize, Transport))>,
    shared: Vec<String>,
}

/// What answers at a path.
pub(crate) enum Place<'a> {
    /// A dialect of its own.
    Dialect(&'a Arc<Entry>, Transport),
    /// Whichever dialect recognises the first frame.
    Shared,
    /// Nothing.
    Nowhere,
}

impl Doors {
    /// The doors of these dialects, and the paths that they share.
    pub(crate) fn new(entries: Vec<Arc<Entry>>, shared: &[String]) -> Self {
        let (mut exact, mut below) = (HashMap::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            for door in entry.dialect.manifest().doors {
                match door.path.strip_suffix("/**") {
                    Some(prefix) => below.push((prefix.to_owned(), (index, door.transport))),
                    None => {
                        exact.insert(trimmed(door.path).to_owned(), (index, door.transport));
                    }
                }
            }
        }
        // A path that nobody could go on to answer at is no door.
        let is_shared = entries.iter().any(|entry| entry.dialect.manifest().opening.is_some());
        let shared = if is_shared {
            shared.iter().map(|path| trimmed(path).to_owned()).collect()
        } else {
            Vec::new()
        };
        Self { entries, exact, below, shared }
    }

    /// Where each dialect answers, a line each, for people.
    pub(crate) fn places(&self) -> Vec<String> {
        let line = |entry: &Arc<Entry>| {
            let manifest = entry.dialect.manifest();
            let doors: Vec<_> = manifest.doors.iter().map(|door| door.path).collect();
            let shared = match manifest.opening {
                Some(opening) if !self.shared.is_empty() => {
                    format!("; also at {} by {opening}", self.shared.join(" and "))
                }
                _ => String::new(),
            };
            format!("{} at {}{shared}", manifest.id, doors.join(" and "))
        };
        self.entries.iter().map(line).collect()
    }

    /// What answers at `path`; a slash at its end makes no difference.
    pub(crate) fn find(&self, path: &str) -> Place<'_> {
        let path = trimmed(path);
        let below = || {
            self.below.iter().find(|(prefix, _)| {
                path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
            })
        };
        match self.exact.get(path).or_else(|| below().map(|(_, place)| place)) {
            Some((index, transport)) => Place::Dialect(&self.entries[*index], *transport),
            None if self.shared.iter().any(|shared| shared == path) => Place::Shared,
            None => Place::Nowhere,
        }
    }

    /// The one dialect that claims this opening. Errs towards nobody: what two claim belongs to
    /// neither.
    pub(crate) fn recognise(&self, opening: &Opening<'_>) -> Option<&Arc<Entry>> {
        let mut claims = self.shared_entries().filter(|entry| {
            let opening = Opening { settings: entry.settings, ..*opening };
            matches!(entry.dialect.recognise(&opening), Recognition::Certain(_))
        });
        let first = claims.next()?;
        match claims.next() {
            None => Some(first),
            Some(second) => {
                tracing::warn!(
                    first = first.id(),
                    second = second.id(),
                    "two dialects claim one first frame"
                );
                None
            }
        }
    }

    /// The frame that answers a first frame that nobody recognises.
    pub(crate) fn unrecognised(&self) -> String {
        let expected: Vec<_> = self
            .shared_entries()
            .map(|entry| serde_json::json!({ "dialect": entry.id(), "first_frame": entry.dialect.manifest().opening }))
            .collect();
        serde_json::json!({ "error": "unrecognised dialect", "expected": expected }).to_string()
    }

    /// The largest first frame that any dialect of a shared door could go on to send, in bytes.
    pub(crate) fn shared_frame_limit(&self) -> usize {
        self.shared_entries().map(|entry| entry.frame_limit).max().unwrap_or_default()
    }

    /// The document at this path.
    pub(crate) fn document(&self, path: &str) -> Option<&'static Document> {
        self.entries
            .iter()
            .flat_map(|entry| entry.dialect.manifest().documents)
            .find(|document| document.path == path)
    }

    fn shared_entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter().filter(|entry| entry.dialect.manifest().opening.is_some())
    }
}

/// The path without a slash at its end, except for the root.
fn trimmed(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(shorter) => shorter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_dialect_with_or_without_a_slash_at_the_end() {
        let entries = crate::dialects::all()
            .into_iter()
            .map(|dialect| {
                let metrics = DialectMetrics::new(dialect.manifest().id);
                Arc::new(Entry {
                    dialect,
                    settings: Settings::default(),
                    frame_limit: 1,
                    body_limit: 1,
                    metrics,
                })
            })
            .collect();
        let doors = Doors::new(entries, &["/".into(), "/ws".into()]);
        for (path, expected) in [
            ("/mode", "mode"),
            ("/mode/", "mode"),
            ("/api/v1/user", "bearer"),
            ("/api/v1/main/", "bearer"),
            ("/api/v10", "nowhere"),
            ("/", "shared"),
            ("/ws", "shared"),
            ("/ws/", "shared"),
            ("/ws/x", "nowhere"),
            ("/modest", "nowhere"),
        ] {
            let found = match doors.find(path) {
                Place::Dialect(entry, _) => entry.id(),
                Place::Shared => "shared",
                Place::Nowhere => "nowhere",
            };
            assert_eq!(found, expected, "{path}");
        }
    }
}
