//! Numbers in the place of ids that are too wide for the id types.

use crate::placeholders::placeholder_number;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tolmach_domain::{ExternalId, ID_LIMIT};

/// The most numbers that are remembered.
const MAX_NUMBERS: usize = 1 << 18;

/// Numbers in the place of wide ids, where no namespace of external ids gives them one: on the
/// client's side of a wire, and for tools that read captured frames.
///
/// A number is a hash of its id, from 2^52 on, and so the same after a restart. Sessions that share
/// a value of this type can also write the ids of numbers that any of them has read. The last
/// 131,072 numbers that were used are remembered, and at most twice as many.
#[derive(Debug)]
pub struct WideIdNumbers {
    /// Half of the numbers that are remembered.
    half: usize,
    generations: Mutex<Generations>,
}

/// The ids by their numbers: those since one generation was full, and those of the one before.
#[derive(Debug, Default)]
struct Generations {
    newer: HashMap<i64, ExternalId>,
    older: HashMap<i64, ExternalId>,
}

impl Default for WideIdNumbers {
    fn default() -> Self {
        Self::of_at_most(MAX_NUMBERS)
    }
}

impl WideIdNumbers {
    fn of_at_most(numbers: usize) -> Self {
        Self { half: numbers / 2, generations: Mutex::default() }
    }

    /// The number of an id.
    pub fn number(&self, id: ExternalId) -> i64 {
        let mut generations = self.lock();
        let mut number = placeholder_number(&id.0.to_string());
        // The next one that is free, where another id has the same hash.
        while generations.get(number).is_some_and(|known| known != id) {
            number = if number + 1 < ID_LIMIT { number + 1 } else { ID_LIMIT / 2 };
        }
        generations.keep(number, id, self.half);
        number
    }

    /// The id of a number, if it is remembered.
    pub fn id(&self, number: i64) -> Option<ExternalId> {
        let mut generations = self.lock();
        let id = generations.get(number)?;
        generations.keep(number, id, self.half);
        Some(id)
    }

    /// A panic of another thread leaves both generations whole.
    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&self, number: i64) -> Option<ExternalId> {
        self.newer.get(&number).or_else(|| self.older.get(&number)).copied()
    }

    /// Keeps a number among the newer ones. The older ones are forgotten when those are full.
    fn keep(&mut self, number: i64, id: ExternalId, half: usize) {
        if self.newer.contains_key(&number) {
            return;
        }
        if self.newer.len() >= half {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(number, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_number_in_every_process_and_is_found_by_it() {
        let [one, other] = [WideIdNumbers::default(), WideIdNumbers::default()];
        let ids = [ID_LIMIT.unsigned_abs().into(), u128::MAX, 1 << 64].map(ExternalId);
        for id in ids {
            let number = one.number(id);
            assert!((ID_LIMIT / 2..ID_LIMIT).contains(&number), "{number}");
            assert_eq!(one.id(number), Some(id));
            assert_eq!((one.number(id), other.number(id)), (number, number));
        }
        assert_eq!(one.id(7), None);
    }

    #[test]
    fn two_ids_never_share_a_number() {
        let numbers = WideIdNumbers::default();
        let [first, second, third] = [1_u128 << 100, 1 << 101, 1 << 102].map(ExternalId);
        let taken = placeholder_number(&second.0.to_string());
        numbers.lock().newer.insert(taken, first);
        assert_eq!(numbers.number(second), taken + 1);
        numbers.lock().newer.insert(ID_LIMIT - 1, first);
        numbers.lock().newer.insert(placeholder_number(&third.0.to_string()), first);
        assert_ne!(numbers.id(numbers.number(third)), Some(first));
    }

    #[test]
    fn those_that_were_not_used_for_long_are_forgotten() {
        let numbers = WideIdNumbers::of_at_most(8);
        let id = |index: u128| ExternalId(1 << 100 | index);
        let kept = numbers.number(id(0));
        let unused = numbers.number(id(1));
        for index in 2..100 {
            numbers.number(id(index));
            assert_eq!(numbers.id(kept), Some(id(0)));
            let generations = numbers.lock();
            assert!(generations.newer.len() + generations.older.len() <= 8);
        }
        assert_eq!(numbers.id(unused), None);
    }
}
