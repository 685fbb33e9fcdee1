//! Ids of a wire that are too wide for the id types.

use std::collections::BTreeMap;
use tolmach_domain::{ExternalId, ID_LIMIT, ObjectId};

/// The external ids of 128 bits that belong to the ids of a response or an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WideIds {
    ids: BTreeMap<ObjectId, ExternalId>,
    requested: Vec<i64>,
}

impl WideIds {
    /// The wide ids of objects. `requested` are the ids that stood for
    /// [`Request::wide_ids`](crate::Request::wide_ids), in their order.
    pub fn new(ids: impl IntoIterator<Item = (ObjectId, ExternalId)>, requested: Vec<i64>) -> Self {
        Self { ids: ids.into_iter().collect(), requested }
    }

    /// The id to write for an object, where it has a wide one.
    pub fn get(&self, object: ObjectId) -> Option<ExternalId> {
        self.ids.get(&object).copied()
    }

    /// The number for a stand-in of the request; any other number stays as it is.
    pub fn resolved(&self, number: i64) -> i64 {
        stand_in_index(number)
            .and_then(|index| self.requested.get(index).copied())
            .unwrap_or(number)
    }
}

/// The number that stands for a wide id of a request: higher than that of any object.
pub fn stand_in(index: usize) -> i64 {
    // The highest id of all is that of no object.
    ID_LIMIT - 2 - i64::try_from(index).unwrap_or_default()
}

/// The index of the wide id that a number may stand for.
pub fn stand_in_index(number: i64) -> Option<usize> {
    usize::try_from(ID_LIMIT - 2 - number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_has_the_number_that_the_request_turned_out_to_name() {
        let wide = WideIds::new([], vec![7, 8]);
        assert_eq!([stand_in(0), stand_in(1)].map(|number| wide.resolved(number)), [7, 8]);
        for number in [1, 42, stand_in(2), ID_LIMIT - 1] {
            assert_eq!(wide.resolved(number), number);
        }
    }
}
