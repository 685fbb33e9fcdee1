//! Events that arrive on several topics.

use crate::channels::destinations;
use crate::envelope::Envelope;
use std::collections::{HashSet, VecDeque};

/// The number of events that are remembered.
const REMEMBERED: usize = 4_096;

/// A filter of events that arrive a second time, on another topic.
#[derive(Default)]
pub(crate) struct Duplicates {
    known: HashSet<EventId>,
    order: VecDeque<EventId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct EventId {
    node: u64,
    sequence: u64,
}

impl Duplicates {
    /// True if the event arrived before. Events with one destination are not remembered.
    pub(crate) fn contains(&mut self, envelope: &Envelope) -> bool {
        if destinations(&envelope.event).len() < 2 {
            return false;
        }
        let id = EventId { node: envelope.node, sequence: envelope.sequence };
        if !self.known.insert(id) {
            return true;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }
}
