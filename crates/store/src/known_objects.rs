//! The users and flows that an import has met, by their ids at the source.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tolmach_domain::{ExternalId, IdNamespace, ObjectKind};

/// The most users that are kept, and the most flows: both tables take some 70 MB then.
const LIMIT: usize = 900_000;

/// The users and flows of one source. An external id never names another object later, so that its
/// row is read once, though nearly each message of a large world has another author and another
/// flow than the one before.
#[derive(Default)]
pub(crate) struct KnownObjects(Mutex<OfSource>);

#[derive(Default)]
struct OfSource {
    source: Option<IdNamespace>,
    users: HashMap<ExternalId, i64>,
    flows: HashMap<ExternalId, i64>,
}

/// An object that a transaction has met: its kind, its external id and its number.
pub(crate) type Met = (ObjectKind, ExternalId, i64);

impl KnownObjects {
    /// Takes those of these ids whose objects are known out of the list, and returns them with
    /// their objects.
    pub(crate) fn take_known(
        &self,
        source: &IdNamespace,
        kind: ObjectKind,
        ids: &mut Vec<ExternalId>,
    ) -> HashMap<ExternalId, i64> {
        let mut found = HashMap::with_capacity(ids.len());
        let mut known = self.lock();
        if known.source.as_ref() == Some(source)
            && let Some(objects) = known.of(kind)
        {
            ids.retain(|id| {
                let object = objects.get(id);
                found.extend(object.map(|object| (*id, *object)));
                object.is_none()
            });
        }
        found
    }

    /// Adds objects of a committed transaction. Those of another source are forgotten.
    pub(crate) fn add(&self, source: &IdNamespace, met: Vec<Met>) {
        let mut known = self.lock();
        if known.source.as_ref() != Some(source) {
            *known = OfSource { source: Some(source.clone()), ..OfSource::default() };
        }
        for (kind, id, object) in met {
            if let Some(objects) = known.of(kind)
                && objects.len() < LIMIT
            {
                objects.insert(id, object);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, OfSource> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfSource {
    /// The objects of a kind. Messages are not kept: few are referred to.
    fn of(&mut self, kind: ObjectKind) -> Option<&mut HashMap<ExternalId, i64>> {
        match kind {
            ObjectKind::User => Some(&mut self.users),
            ObjectKind::Flow => Some(&mut self.flows),
            ObjectKind::Message => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_known_by_kind_for_one_source() {
        let source = |name: &str| name.parse::<IdNamespace>().unwrap();
        let (one, other) = (source("one"), source("other"));
        let known = KnownObjects::default();
        let met = [ObjectKind::User, ObjectKind::Flow, ObjectKind::Message].into_iter().zip(1..);
        known.add(&one, met.map(|(kind, object)| (kind, ExternalId(7), object)).collect());
        let found = |source, kind| {
            let mut ids = vec![ExternalId(7), ExternalId(8)];
            let found = known.take_known(source, kind, &mut ids);
            (found.get(&ExternalId(7)).copied(), ids.len())
        };
        assert_eq!(found(&one, ObjectKind::User), (Some(1), 1));
        assert_eq!(found(&one, ObjectKind::Flow), (Some(2), 1));
        assert_eq!(found(&one, ObjectKind::Message), (None, 2));
        assert_eq!(found(&other, ObjectKind::User), (None, 2));
        known.add(&other, vec![(ObjectKind::User, ExternalId(7), 9)]);
        assert_eq!(found(&other, ObjectKind::User), (Some(9), 1));
        assert_eq!(found(&other, ObjectKind::Flow), (None, 2));
        assert_eq!(found(&one, ObjectKind::User), (None, 2));
    }

    #[test]
    fn no_more_objects_are_kept_than_the_limit() {
        let source = "large".parse::<IdNamespace>().unwrap();
        let known = KnownObjects::default();
        let met = (0..LIMIT + 10).map(|id| (ObjectKind::User, ExternalId(id as u128), 1));
        known.add(&source, met.collect());
        let mut ids: Vec<ExternalId> = (0..LIMIT + 10).map(|id| ExternalId(id as u128)).collect();
        known.take_known(&source, ObjectKind::User, &mut ids);
        assert_eq!(ids.len(), 10);
    }
}
