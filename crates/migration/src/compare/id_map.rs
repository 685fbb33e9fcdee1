//! The ids of one server, and those of another for the same objects.

use crate::fields::Id;
use std::collections::{HashMap, VecDeque};
use tolmach_dialect::FieldRole;

/// The most ids of both servers that are known at a time. Beyond it the oldest are forgotten, and
/// are learned anew where they stand again.
const MAX_IDS: usize = 1 << 20;

/// Pairs of ids: each id of A has one of B for each kind of object, and the other way round.
#[derive(Debug)]
pub(crate) struct IdMap {
    max: usize,
    by_a: HashMap<Id, Box<str>>,
    by_b: HashMap<Id, Box<str>>,
    /// The ids of A, the oldest first.
    ages: VecDeque<Id>,
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
        Self { max, by_a: HashMap::new(), by_b: HashMap::new(), ages: VecDeque::new() }
    }

    /// The relation of two ids.
    pub(crate) fn pair(&self, a: &Id, b: &Id) -> Pair {
        match (self.by_a.get(a), self.by_b.get(b)) {
            _ if a.0 != b.0 => Pair::Other,
            (Some(known), _) if **known == *b.1 => Pair::Same,
            (None, None) => Pair::Unknown,
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
        self.by_a.insert(a.clone(), b.1.clone());
        self.by_b.insert(b.clone(), a.1.clone());
        self.ages.push_back(a.clone());
        if self.ages.len() > self.max
            && let Some(oldest) = self.ages.pop_front()
            && let Some(b) = self.by_a.remove(&oldest)
        {
            self.by_b.remove(&(oldest.0, b));
        }
    }

    /// The id of A for the object of an id of B.
    pub(crate) fn of_b(&self, b: &Id) -> Option<&str> {
        self.by_b.get(b).map(|a| &**a)
    }

    /// True if a number of A and one of B are ids of one object of some kind.
    pub(crate) fn is_pair_of_any_kind(&self, a: &str, b: &str) -> bool {
        [FieldRole::User, FieldRole::Flow, FieldRole::Message]
            .into_iter()
            .any(|role| self.by_a.get(&(role, a.into())).is_some_and(|known| **known == *b))
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
        (0..=5).for_each(|next| ids.learn(&number(next), &number(next)));
        assert_eq!(ids.pair(&number(0), &number(0)), Pair::Unknown);
        assert_eq!(ids.pair(&number(1), &number(1)), Pair::Same);
        assert_eq!((ids.by_a.len(), ids.by_b.len()), (5, 5));
    }
}
