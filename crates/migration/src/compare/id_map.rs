//! The ids of one server, and those of another for the same objects.

use crate::fields::Id;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::collections::HashMap;
use std::hash::BuildHasher;
use tolmach_dialect::FieldRole;

/// The most ids of both servers that are known at a time. Beyond it the oldest are forgotten, and
/// are learned anew where they stand again.
const MAX_IDS: usize = 1 << 20;

/// Pairs of ids: each id of A has one of B for each kind of object, and the other way round.
///
/// Each pair is kept once, in the order in which it was learned, and found by places in that order:
/// a million of them take some 100 MiB.
#[derive(Debug)]
pub(crate) struct IdMap {
    max: usize,
    pairs: Vec<IdPair>,
    /// The place of the oldest pair, once there are as many as may be.
    oldest: usize,
    /// The places of pairs, by the ids of A.
    by_a: HashTable<usize>,
    /// The places of pairs, by the ids of B.
    by_b: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

/// The ids of one object.
#[derive(Debug)]
struct IdPair {
    role: FieldRole,
    a: Box<str>,
    b: Box<str>,
}

impl IdPair {
    fn is_of_a(&self, role: FieldRole, a: &str) -> bool {
        self.role == role && *self.a == *a
    }

    fn is_of_b(&self, role: FieldRole, b: &str) -> bool {
        self.role == role && *self.b == *b
    }
}

/// The relation of an id of A to one of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pair {
    /// They are of one object.
    Same,
    /// Neither was met before.
    Unknown,
    /// One of them is of another object.
    Other,
}

impl Default for IdMap {
    fn default() -> Self {
        Self::bounded(MAX_IDS)
    }
}

impl IdMap {
    /// No ids are known, and at most so many will be.
    fn bounded(max: usize) -> Self {
        Self {
            max,
            pairs: Vec::new(),
            oldest: 0,
            by_a: HashTable::new(),
            by_b: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    fn place_of_a(&self, role: FieldRole, a: &str) -> Option<usize> {
        let hash = self.hasher.hash_one((role, a));
        self.by_a.find(hash, |place| self.pairs[*place].is_of_a(role, a)).copied()
    }

    fn place_of_b(&self, role: FieldRole, b: &str) -> Option<usize> {
        let hash = self.hasher.hash_one((role, b));
        self.by_b.find(hash, |place| self.pairs[*place].is_of_b(role, b)).copied()
    }

    /// The relation of two ids.
    pub(crate) fn pair(&self, a: &Id, b: &Id) -> Pair {
        if a.0 != b.0 {
            return Pair::Other;
        }
        match (self.place_of_a(a.0, &a.1), self.place_of_b(b.0, &b.1)) {
            (None, None) => Pair::Unknown,
            (of_a, of_b) if of_a == of_b => Pair::Same,
            _ => Pair::Other,
        }
    }

    /// True if the ids of two frames can be of the same objects, each of A with the one of B beside
    /// it.
    pub(crate) fn agree(&self, a: &[Id], b: &[Id]) -> bool {
        let mut frame = IdsOfFrame::new(self);
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| frame.agree(a, b))
    }

    /// The number of ids that are known to be of one object.
    pub(crate) fn known(&self, a: &[Id], b: &[Id]) -> usize {
        a.iter().zip(b).filter(|(a, b)| self.pair(a, b) == Pair::Same).count()
    }

    /// Notes that two ids are of one object, unless one of them is known to be of another.
    pub(crate) fn learn(&mut self, a: &Id, b: &Id) {
        if self.pair(a, b) != Pair::Unknown {
            return;
        }
        let pair = IdPair { role: a.0, a: a.1.clone(), b: b.1.clone() };
        let place = if self.pairs.len() < self.max {
            self.pairs.push(pair);
            self.pairs.len() - 1
        } else {
            let place = self.oldest;
            self.forget(place);
            self.pairs[place] = pair;
            self.oldest = (place + 1) % self.max;
            place
        };
        let Self { pairs, by_a, by_b, hasher, .. } = self;
        let hash_of_a = |place: &usize| {
            let pair = &pairs[*place];
            hasher.hash_one((pair.role, &*pair.a))
        };
        let hash_of_b = |place: &usize| {
            let pair = &pairs[*place];
            hasher.hash_one((pair.role, &*pair.b))
        };
        by_a.insert_unique(hash_of_a(&place), place, hash_of_a);
        by_b.insert_unique(hash_of_b(&place), place, hash_of_b);
    }

    /// Removes the pair at a place from the tables.
    fn forget(&mut self, place: usize) {
        let IdPair { role, a, b } = &self.pairs[place];
        for (table, id) in [(&mut self.by_a, a), (&mut self.by_b, b)] {
            let hash = self.hasher.hash_one((*role, &**id));
            if let Ok(entry) = table.find_entry(hash, |of| *of == place) {
                entry.remove();
            }
        }
    }

    /// The id of A for the object of an id of B.
    pub(crate) fn of_b(&self, b: &Id) -> Option<&str> {
        self.place_of_b(b.0, &b.1).map(|place| &*self.pairs[place].a)
    }

    /// True if a number of A and one of B are ids of one object of some kind.
    pub(crate) fn is_pair_of_any_kind(&self, a: &str, b: &str) -> bool {
        [FieldRole::User, FieldRole::Flow, FieldRole::Message]
            .into_iter()
            .any(|role| self.place_of_a(role, a).is_some_and(|place| *self.pairs[place].b == *b))
    }
}

/// The ids of two frames that are compared. Those that are new have one counterpart each within the
/// frames too.
#[derive(Debug)]
pub(crate) struct IdsOfFrame<'m> {
    known: &'m IdMap,
    new_by_a: HashMap<Id, Box<str>>,
    new_by_b: HashMap<Id, Box<str>>,
}

impl<'m> IdsOfFrame<'m> {
    /// No id of the frames was met yet.
    pub(crate) fn new(known: &'m IdMap) -> Self {
        Self { known, new_by_a: HashMap::new(), new_by_b: HashMap::new() }
    }

    /// The ids that were known before the frames.
    pub(crate) fn known(&self) -> &'m IdMap {
        self.known
    }

    /// True if the two ids can be of one object.
    pub(crate) fn agree(&mut self, a: &Id, b: &Id) -> bool {
        match self.known.pair(a, b) {
            Pair::Same => true,
            Pair::Other => false,
            Pair::Unknown => {
                let of_a = self.new_by_a.entry(a.clone()).or_insert_with(|| b.1.clone());
                let of_b = self.new_by_b.entry(b.clone()).or_insert_with(|| a.1.clone());
                *of_a == b.1 && *of_b == a.1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(role: FieldRole, id: &str) -> Id {
        (role, id.into())
    }

    #[test]
    fn an_id_has_one_counterpart_for_each_kind_of_object() {
        let mut ids = IdMap::default();
        let (user, flow) = (FieldRole::User, FieldRole::Flow);
        assert_eq!(ids.pair(&id(user, "5"), &id(user, "7")), Pair::Unknown);
        ids.learn(&id(user, "5"), &id(user, "7"));
        for (a, b, pair) in [
            (id(user, "5"), id(user, "7"), Pair::Same),
            (id(user, "5"), id(user, "8"), Pair::Other),
            (id(user, "6"), id(user, "7"), Pair::Other),
            (id(user, "6"), id(user, "8"), Pair::Unknown),
            (id(flow, "5"), id(flow, "9"), Pair::Unknown),
            (id(user, "5"), id(flow, "7"), Pair::Other),
        ] {
            assert_eq!(ids.pair(&a, &b), pair, "{a:?} {b:?}");
        }
        for (a, b, agree) in [
            ([(user, "5"), (user, "6")], [(user, "7"), (user, "8")], true),
            ([(user, "6"), (user, "6")], [(user, "8"), (user, "8")], true),
            ([(user, "6"), (flow, "6")], [(user, "8"), (flow, "8")], true),
            ([(user, "6"), (user, "9")], [(user, "8"), (user, "8")], false),
            ([(user, "6"), (user, "6")], [(user, "8"), (user, "9")], false),
            ([(user, "6"), (user, "9")], [(user, "8"), (user, "7")], false),
        ] {
            let [a, b] = [a, b].map(|ids| ids.map(|(role, text)| id(role, text)));
            assert_eq!(ids.agree(&a, &b), agree, "{a:?} {b:?}");
        }
        ids.learn(&id(user, "5"), &id(user, "8"));
        assert_eq!(ids.of_b(&id(user, "7")), Some("5"));
        assert_eq!(ids.of_b(&id(user, "8")), None);
        assert!(ids.is_pair_of_any_kind("5", "7") && !ids.is_pair_of_any_kind("7", "5"));
    }

    #[test]
    fn the_oldest_ids_are_forgotten() {
        let mut ids = IdMap::bounded(5);
        let number = |number: usize| id(FieldRole::Message, &number.to_string());
        let known = |ids: &IdMap| -> Vec<usize> {
            let is_known = |next: &usize| ids.pair(&number(*next), &number(*next)) == Pair::Same;
            (0..20).filter(is_known).collect()
        };
        for next in 0..12 {
            ids.learn(&number(next), &number(next));
            let expected: Vec<usize> = (next.saturating_sub(4)..=next).collect();
            assert_eq!(known(&ids), expected);
        }
        assert_eq!(ids.pair(&number(0), &number(0)), Pair::Unknown);
        assert_eq!((ids.by_a.len(), ids.by_b.len(), ids.pairs.len()), (5, 5, 5));
    }
}
