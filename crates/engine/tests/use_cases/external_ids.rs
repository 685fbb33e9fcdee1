//! The numbers that objects have on a wire, by external ids.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tolmach_domain::{
    EXTERNAL_NUMBER_LIMIT, ExternalId, FlowKindFilter, ID_LIMIT, IdNamespace, ObjectId, ObjectKind,
    Timestamp,
};
use tolmach_engine::memory::{
    ManualClock, MemoryBlobs, MemoryBus, MemoryMailer, MemoryStore, PlainPasswords, PlainSigner,
    SeededEntropy,
};
use tolmach_engine::ports::{ExternalIdRow, ExternalIdStore, Store};
use tolmach_engine::{Engine, ExternalIds, Policy, Ports, WireId};

const WIDE: ExternalId = ExternalId(1 << 100);

struct World {
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    ids: Arc<ExternalIds>,
}

fn namespace() -> IdNamespace {
    "old".parse().expect("a namespace")
}

fn world() -> World {
    let bus = Arc::new(MemoryBus::new());
    let store = Arc::new(MemoryStore::new(bus.clone()));
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
    let ports = Ports {
        store: store.clone(),
        bus,
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(1)),
        mailer: Arc::new(MemoryMailer::new()),
        blobs: Arc::new(MemoryBlobs::new()),
        passwords: Arc::new(PlainPasswords),
        signer: Arc::new(PlainSigner),
    };
    let engine = Engine::new(ports, Policy::default());
    let ids = engine.external_ids(namespace());
    assert!(Arc::ptr_eq(&ids, &engine.external_ids(namespace())), "one cache for all");
    World { store, clock, ids }
}

fn flow(number: i64) -> ObjectId {
    ObjectId::new(ObjectKind::Flow, number).expect("the id of a flow")
}

async fn add(world: &World, rows: &[(i64, u128)]) {
    let rows: Vec<_> = rows
        .iter()
        .map(|(number, external)| ExternalIdRow {
            object: flow(*number),
            external: ExternalId(*external),
        })
        .collect();
    world.store.add_external_ids(&namespace(), &rows).await.expect("rows without a conflict");
}

#[tokio::test]
async fn every_object_has_one_number_and_every_number_one_object() {
    let world = world();
    // 1 has the number 5, 2 the number 1, 3 a value of 128 bits, 4 its own number; 5 and 6 have no
    // row, and the number of 5 is that of 1.
    add(&world, &[(1, 5), (2, 1), (3, WIDE.0), (4, 4)]).await;
    let moved = 5 + EXTERNAL_NUMBER_LIMIT;
    let cases = [(1, 5), (2, 1), (3, 3), (4, 4), (5, moved), (6, 6), (1_000, 1_000)];
    let objects: BTreeSet<_> = cases.iter().map(|(object, _)| flow(*object)).collect();
    assert_eq!(world.ids.cached_on_wire(&objects), None, "nothing was read yet");
    let map = world.ids.on_wire(&objects).await.unwrap();
    assert_eq!(world.ids.cached_on_wire(&objects), Some(map.clone()));
    let numbers: Vec<_> = cases.iter().map(|(_, number)| flow(*number)).collect();
    let (back, _) = world.ids.in_world(&numbers, &[], FlowKindFilter::Any).await.unwrap();
    for ((object, number), back) in cases.into_iter().zip(back) {
        let wide = (object == 3).then_some(WIDE);
        assert_eq!(map.get(flow(object)), WireId { number: flow(number), wide }, "{object}");
        assert_eq!(back, flow(object), "{number}");
    }
}

#[tokio::test]
async fn a_chat_and_a_group_may_have_one_number() {
    let world = world();
    let of_group = |number| ExternalId::of_group(number).expect("a number").0;
    // 1 is the chat 7, 2 the group 7, 3 the group 8, 4 the chat 9; 7 and 8 have no rows.
    add(&world, &[(1, 7), (2, of_group(7)), (3, of_group(8)), (4, 9)]).await;
    let moved = |number: i64| number + EXTERNAL_NUMBER_LIMIT;
    let cases = [(1, 7), (2, 7), (3, 8), (4, 9), (7, moved(7)), (8, moved(8)), (10, 10)];
    let objects: BTreeSet<_> = cases.iter().map(|(object, _)| flow(*object)).collect();
    let map = world.ids.on_wire(&objects).await.unwrap();
    assert_eq!(world.ids.cached_on_wire(&objects), Some(map.clone()));
    for (object, number) in cases {
        let expected = WireId { number: flow(number), wide: None };
        assert_eq!(map.get(flow(object)), expected, "{object}");
    }
    let numbers = [7, 8, 9, moved(7), moved(8), 10, 1].map(flow);
    for (kinds, expected) in [
        (FlowKindFilter::Any, [1, 3, 4, 7, 8, 10, ID_LIMIT - 1]),
        (FlowKindFilter::Chat, [1, 3, 4, 7, 8, 10, ID_LIMIT - 1]),
        (FlowKindFilter::Shared, [2, 3, 4, 7, 8, 10, ID_LIMIT - 1]),
    ] {
        let (found, _) = world.ids.in_world(&numbers, &[], kinds).await.unwrap();
        assert_eq!(found, expected.map(flow), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_number_that_nothing_has_is_that_of_an_absent_object() {
    let world = world();
    add(&world, &[(1, 5), (2, 1), (3, WIDE.0)]).await;
    // 2 is known by another number.
    let (objects, wide) = world
        .ids
        .in_world(
            &[flow(2), flow(7)],
            &[
                (ObjectKind::Flow, WIDE),
                (ObjectKind::User, WIDE),
                (ObjectKind::Flow, ExternalId(WIDE.0 + 1)),
            ],
            FlowKindFilter::Any,
        )
        .await
        .unwrap();
    assert_eq!(objects, [flow(ID_LIMIT - 1), flow(7)]);
    let absent_user = ObjectId::new(ObjectKind::User, ID_LIMIT - 1).unwrap();
    assert_eq!(wide, [flow(3), absent_user, flow(ID_LIMIT - 1)]);
}

#[tokio::test]
async fn rows_that_are_added_are_noticed_within_two_seconds() {
    let world = world();
    let objects = BTreeSet::from([flow(1)]);
    assert!(world.ids.on_wire(&objects).await.unwrap().is_empty());
    add(&world, &[(2, 20)]).await;
    world.clock.advance(Duration::from_secs(2));
    assert!(world.ids.on_wire(&objects).await.unwrap().is_empty());
    add(&world, &[(1, 10)]).await;
    assert!(world.ids.on_wire(&objects).await.unwrap().is_empty(), "as it was read");
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(world.ids.on_wire(&objects).await.unwrap().get(flow(1)).number, flow(10));
    let numbers = [flow(10), flow(20)];
    let (objects, _) = world.ids.in_world(&numbers, &[], FlowKindFilter::Any).await.unwrap();
    assert_eq!(objects, [flow(1), flow(2)]);
}

#[tokio::test]
async fn an_empty_namespace_reads_nothing_from_its_table() {
    let world = world();
    let objects = BTreeSet::from([flow(1)]);
    assert!(world.ids.on_wire(&objects).await.unwrap().is_empty());
    // The store is asked for the bounds only, and those are known for two seconds.
    world.store.close().await;
    assert!(world.ids.on_wire(&objects).await.unwrap().is_empty());
    let found = world.ids.in_world(&[flow(9)], &[], FlowKindFilter::Any).await.unwrap();
    assert_eq!(found.0, [flow(9)]);
}
