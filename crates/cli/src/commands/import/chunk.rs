//! The records that are collected to be imported together.

use super::checks::{Checksum, checksum};
use super::convert;
use super::place::Place;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;
use tolmach_domain::{ExternalId, IdNamespace, Secret, Timestamp};
use tolmach_engine::ports::ImportChunk;
use tolmach_world::Record;

/// The fewest records imported in one transaction, and the most.
const RECORDS: RangeInclusive<usize> = 1_000..=32_000;

/// The size of their lines at which no further record is added, in bytes.
const BYTES: usize = 16 << 20;

/// The number of passwords in the clear at which no further record is added: hashing them takes
/// long, and has to be repeated if the import is interrupted before they are stored.
const PASSWORDS: usize = 1_000;

/// The time that a transaction is to take at most while others change the world too: their changes
/// wait for its end.
const SHARED: Duration = Duration::from_millis(300);

/// The time that a transaction is to take at most while no other process changes the world: the
/// first change of another one waits for its end.
const ALONE: Duration = Duration::from_secs(1);

/// The number of records that are imported in one transaction: as many as can be stored in a time,
/// because pages and flows that several of them change are written once.
pub(super) struct ChunkSize(usize);

impl Default for ChunkSize {
    fn default() -> Self {
        Self(*RECORDS.start())
    }
}

impl ChunkSize {
    /// Adapts the number to the time that storing a chunk took. `is_alone` is true if nobody else
    /// has changed the world since the chunk before.
    pub(super) fn adapt(&mut self, took: Duration, is_alone: bool) {
        let longest = if is_alone { ALONE } else { SHARED };
        let records = if took > longest {
            self.0 / 2
        } else if took < longest / 3 {
            self.0 * 2
        } else {
            self.0
        };
        self.0 = records.clamp(*RECORDS.start(), *RECORDS.end());
    }
}

/// The reading of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The only one.
    Only,
    /// The first one of a database that is followed: a record to which it refers may be read later.
    First,
    /// Another one, of a record that was counted.
    Again,
    /// Another one, because records to which some refer were missing.
    Retry,
}

impl Reading {
    /// True if the record was not counted before.
    pub(super) fn is_first(self) -> bool {
        matches!(self, Self::Only | Self::First)
    }
}

/// A line that a record was read from.
pub(super) struct Origin {
    pub(super) place: Place,
    pub(super) line: String,
    pub(super) reading: Reading,
}

/// Records to import together, and the lines that they come from.
pub(super) struct Collected {
    pub(super) chunk: ImportChunk,
    pub(super) passwords: HashMap<ExternalId, Secret>,
    pub(super) users: Vec<Origin>,
    pub(super) flows: Vec<Origin>,
    pub(super) messages: Vec<(Origin, Checksum)>,
    pub(super) members: Vec<Origin>,
    bytes: usize,
}

impl Collected {
    pub(super) fn new(source: IdNamespace) -> Self {
        Self {
            chunk: ImportChunk::new(source),
            passwords: HashMap::new(),
            users: Vec::new(),
            flows: Vec::new(),
            messages: Vec::new(),
            members: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn is_full(&self, size: &ChunkSize) -> bool {
        self.chunk.len() >= size.0 || self.bytes >= BYTES || self.passwords.len() >= PASSWORDS
    }

    /// Adds a record. A header has nothing to import.
    pub(super) fn add(&mut self, record: Record, origin: Origin, now: Timestamp) {
        self.bytes += origin.line.len();
        let chunk = &mut self.chunk;
        match record {
            Record::World(_) => {}
            Record::User(user) => {
                chunk.users.push(convert::user(*user, now, &mut self.passwords));
                self.users.push(origin);
            }
            Record::Flow(flow) => {
                chunk.flows.push(convert::flow(flow, now));
                self.flows.push(origin);
            }
            Record::Message(message) => {
                let message = convert::message(message);
                let checksum = match message.deleted_at {
                    Some(_) => checksum(&tolmach_domain::Content::default(), message.posted_at),
                    None => checksum(&message.content, message.posted_at),
                };
                chunk.messages.push(message);
                self.messages.push((origin, checksum));
            }
            Record::Member(member) => {
                let awaits_read = origin.reading == Reading::First;
                chunk.members.push(convert::member(member, awaits_read));
                self.members.push(origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_world::Header;

    #[test]
    fn a_chunk_has_as_many_records_as_are_stored_in_time() {
        let mut size = ChunkSize::default();
        for (millis, is_alone, records) in [
            (301, false, 1_000),
            (99, false, 2_000),
            (100, false, 2_000),
            (300, false, 2_000),
            (0, false, 4_000),
            (333, true, 8_000),
            (334, true, 8_000),
            (1_000, true, 8_000),
            (1_001, true, 4_000),
            (0, true, 8_000),
            (0, true, 16_000),
            (301, false, 8_000),
            (0, true, 16_000),
            (0, true, 32_000),
            (0, true, 32_000),
        ] {
            size.adapt(Duration::from_millis(millis), is_alone);
            assert_eq!(size.0, records, "{millis}");
        }
    }

    #[test]
    fn a_chunk_is_full_at_a_size() {
        for (bytes, is_full) in [(BYTES - 1, false), (BYTES, true)] {
            let mut collected = Collected::new("old".parse().unwrap());
            let place = Place { input: "old".into(), line: 1 };
            let origin = Origin { place, line: "x".repeat(bytes), reading: Reading::Only };
            collected.add(Record::World(Header::new("old")), origin, Timestamp::default());
            assert_eq!(collected.is_full(&ChunkSize::default()), is_full, "{bytes}");
        }
    }
}
