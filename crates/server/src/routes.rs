//! The paths of a server, and the dialects that answer there.

use crate::options::TcpOptions;
use crate::pins::UnknownRevision;
use crate::served_dialect::ServedDialect;
use std::collections::HashMap;
use std::sync::Arc;
use tolmach_dialect::{
    Document, Endpoint, Frame, Handshake, Manifest, Recognition, Revision, Transport,
};

/// The server's own pages: no dialect can be served there.
const OWN_PATHS: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/recover"];

/// The paths of a server, and the dialects that answer there.
#[derive(Clone)]
pub struct Routes {
    dialects: Vec<Arc<ServedDialect>>,
    exact: HashMap<String, (usize, Transport)>,
    /// Paths with everything below them, without the slash at the end.
    subtrees: Vec<(String, (usize, Transport))>,
    shared: Vec<String>,
    /// The dialects of the raw TCP listeners, in the order of those.
    tcp: Vec<(Arc<ServedDialect>, Option<Revision>)>,
}

/// Two dialects that cannot be served together, or one that cannot be served at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Two dialects have one id.
    #[error("two dialects have the id {id}")]
    DuplicateDialect {
        /// The id.
        id: &'static str,
    },
    /// Two dialects have one path.
    #[error("{first} and {second} are both at {path}")]
    DuplicatePath {
        /// The path.
        path: &'static str,
        /// The id of the dialect that was added first.
        first: &'static str,
        /// The id of the other.
        second: &'static str,
    },
    /// A dialect has a path of the server's own pages.
    #[error("{dialect} is at {path}, which is the server's own")]
    ReservedPath {
        /// The path.
        path: &'static str,
        /// The id of the dialect.
        dialect: &'static str,
    },
    /// A dialect has a shared path to itself, which takes it from all others.
    #[error("{dialect} is at {path}, which is a path that dialects share")]
    SharedPath {
        /// The path.
        path: &'static str,
        /// The id of the dialect.
        dialect: &'static str,
    },
    /// A raw TCP listener is for a dialect that is not served.
    #[error("there is no dialect {id:?} for a raw TCP listener")]
    TcpDialect {
        /// The id that was asked for.
        id: String,
    },
    /// A pin or a raw TCP listener has a revision that its dialect has not.
    #[error(transparent)]
    UnknownRevision(#[from] UnknownRevision),
}

/// The result of looking up a path.
pub(crate) enum RouteMatch<'a> {
    /// The path of one dialect.
    Dialect(&'a Arc<ServedDialect>, Transport),
    /// A path where the first frame decides the dialect.
    Shared,
    /// No path of this server.
    NotFound,
}

impl Routes {
    /// The routes of these dialects, the paths that they share, and their raw TCP listeners.
    pub(crate) fn new(
        dialects: Vec<Arc<ServedDialect>>,
        shared_paths: &[String],
        tcp: &[TcpOptions],
    ) -> Result<Self, RouteError> {
        let manifests: Vec<&Manifest> = dialects.iter().map(|served| served.manifest()).collect();
        check_paths(&manifests, shared_paths)?;
        let (mut exact, mut subtrees) = (HashMap::new(), Vec::new());
        for (index, dialect) in dialects.iter().enumerate() {
            for endpoint in dialect.manifest().endpoints {
                let route = (index, endpoint.transport);
                match endpoint.path.strip_suffix("/**") {
                    Some(prefix) => subtrees.push((prefix.to_owned(), route)),
                    None => {
                        exact.insert(trimmed(endpoint.path).to_owned(), route);
                    }
                }
            }
        }
        // A shared path without any dialect that can be recognised there is none.
        let is_shared = dialects.iter().any(|dialect| dialect.manifest().opening.is_some());
        let shared = if is_shared {
            shared_paths.iter().map(|path| trimmed(path).to_owned()).collect()
        } else {
            Vec::new()
        };
        let tcp = tcp.iter().map(|options| tcp_target(&dialects, options));
        let tcp = tcp.collect::<Result<_, _>>()?;
        Ok(Self { dialects, exact, subtrees, shared, tcp })
    }

    /// The dialects and their paths, a line each, for people.
    pub fn describe(&self) -> Vec<String> {
        let line = |dialect: &Arc<ServedDialect>| {
            let manifest = dialect.manifest();
            let paths: Vec<_> = manifest.endpoints.iter().map(|endpoint| endpoint.path).collect();
            let shared = match manifest.opening {
                Some(opening) if !self.shared.is_empty() => {
                    format!("; also at {} by {opening}", self.shared.join(" and "))
                }
                _ => String::new(),
            };
            format!("{} at {}{shared}", manifest.id, paths.join(" and "))
        };
        self.dialects.iter().map(line).collect()
    }

    /// The route of `path`; a slash at its end makes no difference.
    pub(crate) fn find(&self, path: &str) -> RouteMatch<'_> {
        let path = trimmed(path);
        let below = || {
            self.subtrees.iter().find(|(prefix, _)| {
                path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
            })
        };
        match self.exact.get(path).or_else(|| below().map(|(_, route)| route)) {
            Some((index, transport)) => RouteMatch::Dialect(&self.dialects[*index], *transport),
            None if self.shared.iter().any(|shared| shared == path) => RouteMatch::Shared,
            None => RouteMatch::NotFound,
        }
    }

    /// The one dialect that claims this handshake, and its revision. A frame that two of them claim
    /// is served by neither.
    pub(crate) fn recognise(
        &self,
        handshake: &Handshake<'_>,
    ) -> Option<(&Arc<ServedDialect>, Revision)> {
        let mut claims =
            self.shared_dialects().filter_map(|served| match served.dialect.recognise(handshake) {
                Recognition::Certain(revision) => Some((served, revision)),
                Recognition::No => None,
            });
        let (first, revision) = claims.next()?;
        match claims.next() {
            None => Some((first, revision)),
            Some((second, _)) => {
                tracing::warn!(
                    first = first.id(),
                    second = second.id(),
                    "two dialects claim one first frame"
                );
                None
            }
        }
    }

    /// True for a frame that is no request of a dialect of the shared paths, and decides nothing.
    pub(crate) fn ignores(&self, frame: &Frame) -> bool {
        self.shared_dialects().any(|served| served.dialect.ignores(frame))
    }

    /// The frame that answers a first frame that no dialect claims.
    pub(crate) fn unrecognised(&self) -> String {
        let expected: Vec<_> = self
            .shared_dialects()
            .map(|served| {
                let first_frame = served.manifest().opening;
                serde_json::json!({ "dialect": served.id(), "first_frame": first_frame })
            })
            .collect();
        serde_json::json!({ "error": "unrecognised dialect", "expected": expected }).to_string()
    }

    /// The largest WebSocket message of any dialect of the shared paths, in bytes.
    pub(crate) fn max_shared_frame_bytes(&self) -> usize {
        self.shared_dialects().map(|served| served.max_frame_bytes).max().unwrap_or_default()
    }

    /// All dialects.
    pub(crate) fn dialects(&self) -> &[Arc<ServedDialect>] {
        &self.dialects
    }

    /// The dialect of the raw TCP listener at this place in their order, and its revision.
    pub(crate) fn tcp(&self, listener: usize) -> Option<(&Arc<ServedDialect>, Option<Revision>)> {
        self.tcp.get(listener).map(|(dialect, revision)| (dialect, *revision))
    }

    /// The document at this path.
    pub(crate) fn document(&self, path: &str) -> Option<&'static Document> {
        let mut documents = self.dialects.iter().flat_map(|served| served.manifest().documents);
        documents.find(|document| document.path == path)
    }

    /// The dialects of the shared paths.
    pub(crate) fn shared_dialects(&self) -> impl Iterator<Item = &Arc<ServedDialect>> {
        self.dialects.iter().filter(|served| served.manifest().opening.is_some())
    }
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.describe()).finish()
    }
}

/// Checks that dialects can be served together: each has its own id and its own paths, which are
/// neither the server's nor shared, nor below a subtree of another one.
pub fn check_paths(manifests: &[&Manifest], shared_paths: &[String]) -> Result<(), RouteError> {
    let mut taken: Vec<(&'static str, &'static str)> = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let id = manifest.id;
        if manifests[..index].iter().any(|other| other.id == id) {
            return Err(RouteError::DuplicateDialect { id });
        }
        for Endpoint { path, .. } in manifest.endpoints.iter().copied() {
            if OWN_PATHS.contains(&trimmed(path)) {
                return Err(RouteError::ReservedPath { path, dialect: id });
            }
            if shared_paths.iter().any(|shared| trimmed(shared) == trimmed(path)) {
                return Err(RouteError::SharedPath { path, dialect: id });
            }
            let overlaps = |(other, first): &&(&str, &str)| {
                trimmed(path) == trimmed(other)
                    || *first != id && (is_below(path, other) || is_below(other, path))
            };
            if let Some((_, first)) = taken.iter().find(overlaps) {
                return Err(RouteError::DuplicatePath { path, first, second: id });
            }
            taken.push((path, id));
        }
    }
    Ok(())
}

/// True for a path within the subtree of another one, such as `/api/x` within `/api/**`.
fn is_below(path: &str, subtree: &str) -> bool {
    let rest = subtree.strip_suffix("/**").and_then(|prefix| path.strip_prefix(prefix));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// The dialect of a raw TCP listener, and its revision.
fn tcp_target(
    dialects: &[Arc<ServedDialect>],
    options: &TcpOptions,
) -> Result<(Arc<ServedDialect>, Option<Revision>), RouteError> {
    let served = dialects.iter().find(|served| served.id() == options.dialect);
    let unknown = || RouteError::TcpDialect { id: options.dialect.clone() };
    let served = served.ok_or_else(unknown)?;
    let known =
        |revision: &String| {
            let (dialect, existing) = (served.id(), served.manifest().revisions);
            existing.iter().copied().find(|known| known == revision).ok_or_else(|| {
                UnknownRevision { dialect, revision: revision.clone(), existing: existing.to_vec() }
            })
        };
    Ok((served.clone(), options.revision.as_ref().map(known).transpose()?))
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
    use crate::test_support::{served, toy};

    const REST: Manifest = Manifest::new("rest", "HTTP requests")
        .endpoints(&[Endpoint::http("/api/v1/**"), Endpoint::websocket("/rest/")]);

    fn routes(manifests: &[Manifest]) -> Result<Routes, RouteError> {
        let dialects = manifests.iter().cloned().map(served).collect();
        Routes::new(dialects, &["/".into(), "/ws".into()], &[])
    }

    #[test]
    fn a_path_finds_its_dialect_with_or_without_a_slash_at_the_end() {
        let routes = routes(&[toy(), REST]).unwrap();
        for (path, expected) in [
            ("/toy", "toy"),
            ("/toy/", "toy"),
            ("/rest", "rest"),
            ("/api/v1/user", "rest"),
            ("/api/v1/main/", "rest"),
            ("/api/v1", "not found"),
            ("/api/v10", "not found"),
            ("/", "shared"),
            ("/ws", "shared"),
            ("/ws/", "shared"),
            ("/ws/x", "not found"),
            ("/toys", "not found"),
        ] {
            let found = match routes.find(path) {
                RouteMatch::Dialect(dialect, _) => dialect.id(),
                RouteMatch::Shared => "shared",
                RouteMatch::NotFound => "not found",
            };
            assert_eq!(found, expected, "{path}");
        }
        assert_eq!(
            routes.describe(),
            ["toy at /toy; also at / and /ws by a command", "rest at /api/v1/** and /rest/"]
        );
    }

    #[test]
    fn a_shared_path_needs_a_dialect_that_is_recognised() {
        let routes = routes(&[REST]).unwrap();
        assert!(matches!(routes.find("/ws"), RouteMatch::NotFound));
    }

    #[test]
    fn dialects_that_cannot_be_served_together_are_rejected() {
        const OTHER: &[Endpoint] = &[Endpoint::websocket("/toy/")];
        const TREE: &[Endpoint] = &[Endpoint::http("/api/v1/**")];
        const OWN: &[Endpoint] = &[Endpoint::http("/metrics")];
        const BELOW: &[Endpoint] = &[Endpoint::websocket("/api/v1/chats")];
        const SHARED: &[Endpoint] = &[Endpoint::websocket("/ws")];
        let other = Manifest::new("other", "").endpoints(OTHER);
        let tree = Manifest::new("tree", "").endpoints(TREE);
        let own = Manifest::new("own", "").endpoints(OWN);
        let below = Manifest::new("below", "").endpoints(BELOW);
        let shared = Manifest::new("shared", "").endpoints(SHARED);
        for (manifests, expected) in [
            ([toy(), toy()], RouteError::DuplicateDialect { id: "toy" }),
            (
                [toy(), other],
                RouteError::DuplicatePath { path: "/toy/", first: "toy", second: "other" },
            ),
            (
                [REST, tree],
                RouteError::DuplicatePath { path: "/api/v1/**", first: "rest", second: "tree" },
            ),
            ([toy(), own], RouteError::ReservedPath { path: "/metrics", dialect: "own" }),
            (
                [REST, below],
                RouteError::DuplicatePath { path: "/api/v1/chats", first: "rest", second: "below" },
            ),
            ([toy(), shared], RouteError::SharedPath { path: "/ws", dialect: "shared" }),
        ] {
            assert_eq!(routes(&manifests).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_raw_tcp_listener_needs_a_dialect_and_a_revision_that_exist() {
        let listener = |dialect: &str, revision: Option<&str>| {
            let (dialect, revision) = (dialect.to_owned(), revision.map(str::to_owned));
            let tcp = [TcpOptions { dialect, revision, tls: false }];
            Routes::new(vec![served(toy())], &[], &tcp)
        };
        for revision in [None, Some("doc")] {
            let routes = listener("toy", revision).unwrap();
            let (dialect, found) = routes.tcp(0).unwrap();
            assert_eq!((dialect.id(), found), ("toy", revision));
        }
        for (dialect, revision, expected) in [
            ("toys", None, "there is no dialect \"toys\" for a raw TCP listener"),
            ("toy", Some("docs"), "toy has no revision \"docs\"; it has doc"),
        ] {
            assert_eq!(listener(dialect, revision).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_frame_that_two_dialects_claim_is_served_by_neither() {
        let second = Manifest::new("second", "").opening("a command");
        let frame = tolmach_dialect::Frame::text("whoami");
        let handshake = Handshake::new(tolmach_domain::ConnectionId(1)).first_frame(&frame);
        let id = |routes: Routes| routes.recognise(&handshake).map(|(dialect, _)| dialect.id());
        assert_eq!(id(routes(&[toy(), REST]).unwrap()), Some("toy"));
        assert_eq!(id(routes(&[toy(), second]).unwrap()), None);
    }
}
