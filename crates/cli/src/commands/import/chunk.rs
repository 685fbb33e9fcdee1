//! The records that are collected to be imported together.

use super::checks::{Checksum, checksum};
use super::convert;
use super::place::Place;
use std::collections::HashMap;
use tolmach_domain::{ExternalId, IdNamespace, Secret, Timestamp};
use tolmach_engine::ports::ImportChunk;
use tolmach_world::Record;

/// Records imported in one transaction: few enough that others need not wait long.
const RECORDS: usize = 1_000;

/// The size of their lines at which no further record is added, in bytes.
const BYTES: usize = 2 << 20;

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

    pub(super) fn is_full(&self) -> bool {
        self.chunk.len() >= RECORDS || self.bytes >= BYTES
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
                chunk.members.push(convert::member(member));
                self.members.push(origin);
            }
        }
    }
}
