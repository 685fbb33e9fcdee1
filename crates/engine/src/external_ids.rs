//! The external ids of one namespace, cached.
//!
//! The numbers of a wire are made of them by three rules, which are each other's inverse:
//!
//! 1. An object whose external id is a number has that number. Where groups were numbered apart
//!    from chats ([`ExternalId::of_group`]), one number may be that of a chat and of a group: a
//!    request says which of the two it means.
//! 2. Any other object has the number of its own id, and its external id, if there is one, beside
//!    it, for wires that can write 128 bits.
//! 3. If that number is another object's by rule 1, [`EXTERNAL_NUMBER_LIMIT`] is added to it.

use crate::faults::store_fault;
use crate::ports::{Clock, ExternalIdBounds, ExternalIdRow, Store};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tolmach_domain::{
    EXTERNAL_NUMBER_LIMIT, ExternalId, Fault, FlowKindFilter, ID_LIMIT, IdNamespace, ObjectId,
    ObjectKind, Timestamp,
};

/// The number of an object that no object has: the engine answers that it does not exist.
const ABSENT: i64 = ID_LIMIT - 1;

/// The time for which bounds are used without being read again.
const BOUNDS_LIFETIME: Duration = Duration::from_secs(2);

/// Entries of each cache.
const CACHE_CAPACITY: u64 = 100_000;

type Key = (ObjectKind, ExternalId);

/// The external ids of one namespace, cached. Rows that are added are noticed within two seconds.
pub struct ExternalIds {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    namespace: IdNamespace,
    bounds: Mutex<Option<ReadBounds>>,
    by_object: Cache<ObjectId, Cached<ExternalId>>,
    by_external: Cache<Key, Cached<ObjectId>>,
}

/// Bounds, and the time at which they were read.
#[derive(Clone, Copy)]
struct ReadBounds {
    bounds: ExternalIdBounds,
    read_at: Timestamp,
}

/// One side of a row, or that there is none, which is true until rows are added.
#[derive(Clone, Copy)]
struct Cached<T> {
    side: Option<T>,
    additions: u64,
}

/// The rows of some keys, with those that have none.
type Rows<K, V> = HashMap<K, Option<V>>;

/// The id of an object on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireId {
    /// The object, with the number that it has on the wire.
    pub number: ObjectId,
    /// The external id that is no number.
    pub wide: Option<ExternalId>,
}

/// The ids of objects on a wire. Objects that are not in it have their own number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WireIdMap(HashMap<ObjectId, WireId>);

impl WireIdMap {
    /// The id of an object.
    pub fn get(&self, object: ObjectId) -> WireId {
        self.0.get(&object).copied().unwrap_or(WireId { number: object, wide: None })
    }

    /// True if every object has its own number and nothing else.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The namespaces that are in use, each with its cache.
#[derive(Default)]
pub(crate) struct Namespaces(RwLock<Vec<Arc<ExternalIds>>>);

impl Namespaces {
    /// The external ids of a namespace.
    pub(crate) fn get(
        &self,
        namespace: IdNamespace,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
    ) -> Arc<ExternalIds> {
        let mut namespaces = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = namespaces.iter().find(|known| known.namespace == namespace) {
            return known.clone();
        }
        let added = Arc::new(ExternalIds {
            store: store.clone(),
            clock: clock.clone(),
            namespace,
            bounds: Mutex::default(),
            by_object: cache(),
            by_external: cache(),
        });
        namespaces.push(added.clone());
        added
    }

    /// All namespaces; without any, nothing is allocated.
    pub(crate) fn all(&self) -> Vec<Arc<ExternalIds>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The least recently used entry makes room, so that what was read last is still there when an
/// event is rendered.
fn cache<K, V>() -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let builder = Cache::builder().max_capacity(CACHE_CAPACITY);
    builder.eviction_policy(EvictionPolicy::lru()).build()
}

impl ExternalIds {
    /// The namespace.
    pub fn namespace(&self) -> &IdNamespace {
        &self.namespace
    }

    /// The ids of objects on a wire.
    pub async fn on_wire(&self, objects: &BTreeSet<ObjectId>) -> Result<WireIdMap, Fault> {
        let bounds = self.current_bounds().await?;
        if bounds.additions == 0 {
            return Ok(WireIdMap::default());
        }
        let rows = self.load_objects(&bounds, objects.iter().copied()).await?;
        let claims = self.load_externals(&bounds, own_numbers(&bounds, objects, &rows)).await?;
        Ok(wire_ids(objects, &rows, &claims))
    }

    /// The same from the cache alone; `None` if something has to be read.
    pub fn cached_on_wire(&self, objects: &BTreeSet<ObjectId>) -> Option<WireIdMap> {
        let bounds = self.read_bounds()?.bounds;
        let rows = objects.iter().filter(|object| has_room(&bounds, **object));
        let rows: Option<Rows<_, _>> =
            rows.map(|object| Some((*object, self.by_object.get(object)?.side))).collect();
        let rows = rows?;
        let claims = own_numbers(&bounds, objects, &rows).into_iter();
        let claims: Option<Rows<_, _>> =
            claims.map(|key| Some((key, self.by_external.get(&key)?.side))).collect();
        Some(wire_ids(objects, &rows, &claims?))
    }

    /// The objects with these numbers on a wire, in the same order, and those with these external
    /// ids. A number or an external id of nothing is that of an object which does not exist.
    ///
    /// Of a chat and a group with one number, `kinds` decides: the group for
    /// [`FlowKindFilter::Shared`], or else the chat. Of messages, it means the flow that they are
    /// in.
    pub async fn in_world(
        &self,
        numbers: &[ObjectId],
        wide: &[Key],
        kinds: FlowKindFilter,
    ) -> Result<(Vec<ObjectId>, Vec<ObjectId>), Fault> {
        let bounds = self.current_bounds().await?;
        let narrow = numbers.iter().flat_map(|number| [*number, moved_down(*number)]);
        let keys = narrow.flat_map(|number| claims_of(&bounds, number));
        let claims =
            self.load_externals(&bounds, keys.chain(wide.iter().copied()).collect()).await?;
        let claimant = |number: ObjectId| {
            let claimant = |key: Option<Key>| claims.get(&key?).copied().flatten();
            let (own, of_group) = (claimant(Some(key_of(number))), claimant(group_key_of(number)));
            if kinds == FlowKindFilter::Shared { of_group.or(own) } else { own.or(of_group) }
        };
        let own = |number: ObjectId| {
            let lower = moved_down(number);
            if lower != number && claimant(lower).is_some() { lower } else { number }
        };
        let rows = numbers.iter().filter(|number| claimant(**number).is_none());
        let rows = self.load_objects(&bounds, rows.map(|number| own(*number))).await?;
        let object = |number: &ObjectId| {
            claimant(*number).unwrap_or_else(|| {
                let object = own(*number);
                let row = rows.get(&object).copied().flatten();
                if row.and_then(ExternalId::wire_number).is_some() {
                    absent(number.kind())
                } else {
                    object
                }
            })
        };
        let of_wide =
            |key: &Key| claims.get(key).copied().flatten().unwrap_or_else(|| absent(key.0));
        Ok((numbers.iter().map(object).collect(), wide.iter().map(of_wide).collect()))
    }

    fn read_bounds(&self) -> Option<ReadBounds> {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bounds, read again when they are older than a cache entry may be. While the store cannot
    /// be read, the last ones are used.
    async fn current_bounds(&self) -> Result<ExternalIdBounds, Fault> {
        let now = self.clock.now();
        let known = {
            let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *bounds {
                Some(known) if now < known.read_at.after(BOUNDS_LIFETIME) => {
                    return Ok(known.bounds);
                }
                Some(known) => {
                    // Others use the last ones while this call reads.
                    known.read_at = now;
                    Some(known.bounds)
                }
                None => None,
            }
        };
        match (self.store.external_id_bounds(&self.namespace).await, known) {
            (Ok(bounds), _) => {
                let read = Some(ReadBounds { bounds, read_at: now });
                *self.bounds.lock().unwrap_or_else(PoisonError::into_inner) = read;
                Ok(bounds)
            }
            (Err(_), Some(known)) => Ok(known),
            (Err(error), None) => Err(store_fault(error)),
        }
    }

    /// The external ids of those objects that may have one.
    async fn load_objects(
        &self,
        bounds: &ExternalIdBounds,
        objects: impl Iterator<Item = ObjectId>,
    ) -> Result<Rows<ObjectId, ExternalId>, Fault> {
        let objects = objects.filter(|object| has_room(bounds, *object)).collect();
        let (mut rows, missing) = find(&self.by_object, &objects, bounds.additions);
        if !missing.is_empty() {
            let read = self.store.external_ids_of_objects(&self.namespace, &missing).await;
            let read = read.map_err(store_fault)?;
            self.add(&read, bounds.additions);
            rows.extend(read.iter().map(|row| (row.object, Some(row.external))));
            note_absent(&self.by_object, &missing, bounds.additions, &mut rows);
        }
        Ok(rows)
    }

    /// The objects of external ids.
    async fn load_externals(
        &self,
        bounds: &ExternalIdBounds,
        keys: BTreeSet<Key>,
    ) -> Result<Rows<Key, ObjectId>, Fault> {
        let (mut rows, missing) = find(&self.by_external, &keys, bounds.additions);
        if !missing.is_empty() {
            let read = self.store.objects_of_external_ids(&self.namespace, &missing).await;
            let read = read.map_err(store_fault)?;
            self.add(&read, bounds.additions);
            let key = |row: &ExternalIdRow| (row.object.kind(), row.external);
            rows.extend(read.iter().map(|row| (key(row), Some(row.object))));
            note_absent(&self.by_external, &missing, bounds.additions, &mut rows);
        }
        Ok(rows)
    }

    fn add(&self, rows: &[ExternalIdRow], additions: u64) {
        for &ExternalIdRow { object, external } in rows {
            self.by_object.insert(object, Cached { side: Some(external), additions });
            let key = (object.kind(), external);
            self.by_external.insert(key, Cached { side: Some(object), additions });
        }
    }
}

/// The rows of these keys that a cache has, and the keys whose rows have to be read.
fn find<K, V>(
    cache: &Cache<K, Cached<V>>,
    keys: &BTreeSet<K>,
    additions: u64,
) -> (Rows<K, V>, Vec<K>)
where
    K: Hash + Ord + Copy + Send + Sync + 'static,
    V: Copy + Send + Sync + 'static,
{
    let (mut rows, mut missing) = (HashMap::new(), Vec::new());
    for key in keys {
        match cache.get(key) {
            Some(Cached { side, additions: then }) if side.is_some() || then == additions => {
                rows.insert(*key, side);
            }
            _ => missing.push(*key),
        }
    }
    (rows, missing)
}

/// Notes that those of the keys which were not found have no row.
fn note_absent<K, V>(cache: &Cache<K, Cached<V>>, keys: &[K], additions: u64, rows: &mut Rows<K, V>)
where
    K: Hash + Eq + Copy + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    for key in keys {
        rows.entry(*key).or_insert_with(|| {
            cache.insert(*key, Cached { side: None, additions });
            None
        });
    }
}

/// True if the object may have a row.
fn has_room(bounds: &ExternalIdBounds, object: ObjectId) -> bool {
    object.get() <= bounds.of(object.kind()).highest_object
}

/// The external ids that a number may be.
fn claims_of(bounds: &ExternalIdBounds, number: ObjectId) -> impl Iterator<Item = Key> + use<> {
    let bounds = bounds.of(number.kind());
    let own = (number.get() <= bounds.highest_number).then(|| key_of(number));
    let is_group = number.get() <= bounds.highest_group_number;
    own.into_iter().chain(group_key_of(number).filter(move |_| is_group))
}

/// The numbers that objects have by their own ids, and that may be the external ids of others.
fn own_numbers(
    bounds: &ExternalIdBounds,
    objects: &BTreeSet<ObjectId>,
    rows: &Rows<ObjectId, ExternalId>,
) -> BTreeSet<Key> {
    let own = objects.iter().filter(|object| external_number(rows, **object).is_none());
    own.flat_map(|object| claims_of(bounds, *object)).collect()
}

fn wire_ids(
    objects: &BTreeSet<ObjectId>,
    rows: &Rows<ObjectId, ExternalId>,
    claims: &Rows<Key, ObjectId>,
) -> WireIdMap {
    let wire_id = |object: &ObjectId| {
        let number = match external_number(rows, *object) {
            Some(number) => number,
            None if is_claimed(claims, *object) => moved_up(*object),
            None => *object,
        };
        let external = rows.get(object).copied().flatten();
        let wide = external.filter(|external| external.wire_number().is_none());
        (number != *object || wide.is_some()).then_some((*object, WireId { number, wide }))
    };
    WireIdMap(objects.iter().filter_map(wire_id).collect())
}

/// The number that an object has by its external id.
fn external_number(rows: &Rows<ObjectId, ExternalId>, object: ObjectId) -> Option<ObjectId> {
    let number = rows.get(&object).copied().flatten()?.wire_number()?;
    ObjectId::new(object.kind(), number)
}

/// True if the number of an object's own id is another object's external number.
fn is_claimed(claims: &Rows<Key, ObjectId>, object: ObjectId) -> bool {
    let keys = [Some(key_of(object)), group_key_of(object)];
    keys.into_iter().flatten().any(|key| claims.get(&key).copied().flatten().is_some())
}

fn key_of(number: ObjectId) -> Key {
    (number.kind(), ExternalId(number.get().unsigned_abs().into()))
}

/// The key of the group with this number, or of a message in one.
fn group_key_of(number: ObjectId) -> Option<Key> {
    Some((number.kind(), ExternalId::of_group(number.get())?))
}

/// The number by the third rule; that of no object if the id is too high for it.
fn moved_up(object: ObjectId) -> ObjectId {
    let number = object.get() + EXTERNAL_NUMBER_LIMIT;
    ObjectId::new(object.kind(), number).unwrap_or_else(|| absent(object.kind()))
}

/// The object of a number by the third rule, or the number itself.
fn moved_down(number: ObjectId) -> ObjectId {
    ObjectId::new(number.kind(), number.get() - EXTERNAL_NUMBER_LIMIT).unwrap_or(number)
}

fn absent(kind: ObjectKind) -> ObjectId {
    ObjectId::new(kind, ABSENT).expect("2^53 - 1 is an id")
}
