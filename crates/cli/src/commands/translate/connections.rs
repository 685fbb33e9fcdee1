//! The connections of a capture that are open.

use super::wire::Wire;
use std::collections::BTreeMap;

/// The most connections that are known at a time, which is more than are translated at a time: a
/// connection that was silent for long is still read in its own dialect. Beyond it the one that was
/// silent the longest is forgotten.
const MAX_KNOWN: usize = 1 << 16;

/// A connection of a capture.
#[derive(Default)]
pub(super) struct Begun {
    /// The time when it was opened, in microseconds since the capture began.
    pub(super) at: i64,
    /// The request of a WebSocket's handshake, until it is translated.
    pub(super) request: Option<http::request::Parts>,
    /// The dialect and the revision.
    pub(super) wire: Wire,
    /// The name of its translator, once it has one.
    pub(super) translator: Option<String>,
    /// The number of its latest use.
    used: u64,
}

impl Begun {
    /// A connection that was opened at this time.
    pub(super) fn new(at: i64, request: Option<http::request::Parts>, wire: Wire) -> Self {
        Self { at, request, wire, translator: None, used: 0 }
    }
}

/// Connections by their numbers.
pub(super) struct Connections {
    max: usize,
    known: BTreeMap<u64, Begun>,
    /// The numbers of the connections by their latest uses, the oldest first.
    by_use: BTreeMap<u64, u64>,
    uses: u64,
}

impl Connections {
    /// None is known, and at most 65,536 will be.
    pub(super) fn new() -> Self {
        Self::bounded(MAX_KNOWN)
    }

    fn bounded(max: usize) -> Self {
        Self { max, known: BTreeMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    /// Adds a connection, in place of one with its number.
    pub(super) fn add(&mut self, number: u64, begun: Begun) {
        self.remove(number);
        if self.known.len() >= self.max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.known.remove(&oldest);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, number);
        self.known.insert(number, Begun { used: self.uses, ..begun });
    }

    /// A connection that is used now; a new one if it was not opened.
    pub(super) fn used(&mut self, number: u64) -> &mut Begun {
        let begun = self.remove(number).unwrap_or_default();
        self.add(number, begun);
        self.known.get_mut(&number).expect("it was added above")
    }

    /// Forgets a connection.
    pub(super) fn remove(&mut self, number: u64) -> Option<Begun> {
        let begun = self.known.remove(&number)?;
        self.by_use.remove(&begun.used);
        Some(begun)
    }

    /// All connections with their numbers.
    pub(super) fn into_all(self) -> impl Iterator<Item = (u64, Begun)> {
        self.known.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_that_was_silent_the_longest_is_forgotten() {
        let mut connections = Connections::bounded(2);
        let wire = || Wire { dialect: Some("mode".to_owned()), revision: None };
        for number in [1, 2] {
            connections.add(number, Begun::new(5, None, wire()));
        }
        assert_eq!(connections.used(1).wire, wire());
        // It was not opened.
        assert_eq!(connections.used(3).wire, Wire::default());
        let all: Vec<_> =
            connections.into_all().map(|(number, begun)| (number, begun.at)).collect();
        assert_eq!(all, [(1, 5), (3, 0)]);
    }
}
