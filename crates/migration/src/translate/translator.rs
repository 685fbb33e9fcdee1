//! All connections of a capture.

use super::connection::{Connection, Route};
use super::opening::Opening;
use super::translated::Translated;
use http::request::Parts;
use std::collections::BTreeMap;
use std::sync::Arc;
use tolmach_dialect::{DOC, Dialect, Frame, Sender};
use tolmach_domain::Timestamp;

/// The most connections that are open at once. When one more begins, the one that was silent the
/// longest is forgotten.
pub const MAX_CONNECTIONS: usize = 4096;

/// The numbers of connections of the target for each connection of the source. More than a client
/// opens; ids of connections stay below 2^53.
const TARGET_CONNECTIONS: u64 = 1 << 20;

/// A dialect without a client's side, which translation needs of both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the dialect {0} has no client's side: its frames cannot be translated")]
pub struct NoClientSide(pub String);

/// Translates the connections of a capture from one dialect to another.
///
/// Memory is bounded: by [`MAX_CONNECTIONS`], and for each connection by bounds on what waits.
pub struct Translator {
    route: Route,
    connections: BTreeMap<u64, Open>,
    /// Counts frames: the age of connections.
    clock: u64,
    /// The number of connections that began.
    begun: u64,
}

struct Open {
    connection: Connection,
    used: u64,
}

impl Translator {
    /// A translator of frames of `source` to frames of `target`. Each speaks its default revision.
    pub fn new(source: Arc<dyn Dialect>, target: Arc<dyn Dialect>) -> Result<Self, NoClientSide> {
        for dialect in [&source, &target] {
            if dialect.client().is_none() {
                return Err(NoClientSide(name_of(&**dialect)));
            }
        }
        let (target_name, wide_ids) = (name_of(&*target), Arc::default());
        let route = Route { source, target, target_name, wide_ids };
        Ok(Self { route, connections: BTreeMap::new(), clock: 0, begun: 0 })
    }

    /// A connection begins: a WebSocket by this request, raw TCP or HTTP without one. Its handshake
    /// may make requests.
    pub fn open(&mut self, number: u64, now: Timestamp, websocket: Option<Parts>) -> Translated {
        let mut out = Translated::default();
        let opening = websocket.map(|request| Opening { request, websocket: true });
        self.begin(number, opening);
        if let Some(open) = self.connections.get_mut(&number) {
            open.connection.open(now, &mut out);
        }
        out
    }

    /// A side of a connection sends a frame. The connection begins with it, if it has not yet.
    pub fn frame(
        &mut self,
        number: u64,
        now: Timestamp,
        sender: Sender,
        frame: &Frame,
    ) -> Translated {
        let mut out = Translated::default();
        if !self.connections.contains_key(&number) {
            self.begin(number, None);
        }
        self.clock += 1;
        let clock = self.clock;
        let Some(open) = self.connections.get_mut(&number) else { return out };
        open.used = clock;
        match sender {
            Sender::Client => open.connection.client_frame(now, frame, &mut out),
            Sender::Server => open.connection.server_frame(now, frame, &mut out),
        }
        out
    }

    /// A connection ends, and is forgotten. Gives what was still to be answered.
    pub fn close(&mut self, number: u64, now: Timestamp) -> Translated {
        let mut out = Translated::default();
        if let Some(mut open) = self.connections.remove(&number) {
            open.connection.finish_extras(now, &mut out);
        }
        out
    }

    /// The numbers of the connections that have not ended.
    pub fn open_connections(&self) -> Vec<u64> {
        self.connections.keys().copied().collect()
    }

    fn begin(&mut self, number: u64, opening: Option<Opening>) {
        if self.connections.len() >= MAX_CONNECTIONS {
            let oldest = self.connections.iter().min_by_key(|(_, open)| open.used);
            if let Some(oldest) = oldest.map(|(number, _)| *number) {
                self.connections.remove(&oldest);
            }
        }
        self.clock += 1;
        self.begun += 1;
        let first = (self.begun.saturating_sub(1)).saturating_mul(TARGET_CONNECTIONS) + 1;
        let connection = Connection::new(&self.route, number, first, opening);
        self.connections.insert(number, Open { connection, used: self.clock });
    }
}

/// The name of a dialect, with its revision unless that is the document's.
fn name_of(dialect: &dyn Dialect) -> String {
    let manifest = dialect.manifest();
    match manifest.revisions.first() {
        Some(revision) if *revision != DOC => format!("{}/{revision}", manifest.id),
        _ => manifest.id.to_owned(),
    }
}
