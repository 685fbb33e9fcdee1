//! Trials of [`ExternalIdStore`](crate::ports::ExternalIdStore).

use super::fixture::Fixture;
use crate::ports::{ExternalIdBounds, ExternalIdRow, KindBounds, StoreError};
use tolmach_domain::{ExternalId, Fault, FlowId, IdNamespace, MessageId, ObjectId, ObjectKind};

fn namespace(name: &str) -> IdNamespace {
    name.parse().expect("a namespace")
}

fn flow(number: i64, external: u128) -> ExternalIdRow {
    let object = ObjectId::Flow(FlowId::new(number).expect("an id"));
    ExternalIdRow { object, external: ExternalId(external) }
}

/// The external id of a group with this number.
fn of_group(number: i64) -> u128 {
    ExternalId::of_group(number).expect("a number").0
}

fn message(number: i64, external: u128) -> ExternalIdRow {
    let object = ObjectId::Message(MessageId::new(number).expect("an id"));
    ExternalIdRow { object, external: ExternalId(external) }
}

fn sorted(rows: Result<Vec<ExternalIdRow>, StoreError>) -> Vec<ExternalIdRow> {
    let mut rows = rows.expect("the store answers");
    rows.sort_unstable();
    rows
}

/// The rows of a namespace that these name, found by their objects, after the same were found by
/// their external ids.
async fn found(
    fixture: &Fixture,
    namespace: &IdNamespace,
    rows: &[ExternalIdRow],
) -> Vec<ExternalIdRow> {
    let keys: Vec<_> = rows.iter().map(|row| (row.object.kind(), row.external)).collect();
    let objects: Vec<_> = rows.iter().map(|row| row.object).collect();
    let by_key = sorted(fixture.store.objects_of_external_ids(namespace, &keys).await);
    let by_object = sorted(fixture.store.external_ids_of_objects(namespace, &objects).await);
    assert_eq!(by_key, by_object);
    by_object
}

/// Numbers, values of 128 bits, and more of them than a statement takes.
pub async fn external_ids_are_found_both_ways(fixture: &mut Fixture) {
    let (old, other) = (namespace("old"), namespace("other"));
    let store = fixture.store.clone();
    assert_eq!(store.external_id_bounds(&old).await, Ok(ExternalIdBounds::default()));
    let mut rows = vec![flow(1, u128::MAX), flow(2, 7), flow(7, 1 << 100), message(7, u128::MAX)];
    rows.extend([flow(3, of_group(7)), flow(4, of_group(9)), flow(5, (1 << 64) - 1)]);
    let wide = rows.len();
    rows.extend((0..1_200).map(|number| message(1_000 + number, 1 << 90)));
    for (index, row) in rows.iter_mut().enumerate().skip(wide) {
        row.external.0 += index as u128;
    }
    assert_eq!(store.add_external_ids(&old, &rows).await, Ok(()));
    rows.sort_unstable();
    let mut asked = rows.clone();
    asked.push(flow(99, 99));
    assert_eq!(found(fixture, &old, &asked).await, rows);
    assert_eq!(found(fixture, &old, &[]).await, []);
    // Neither another namespace nor another kind has them.
    assert_eq!(found(fixture, &other, &rows).await, []);
    let as_user = (ObjectKind::User, ExternalId(7));
    assert_eq!(store.objects_of_external_ids(&old, &[as_user]).await, Ok(Vec::new()));
    let bounds = ExternalIdBounds {
        additions: 1,
        users: KindBounds::default(),
        flows: KindBounds { highest_object: 7, highest_number: 7, highest_group_number: 9 },
        messages: KindBounds { highest_object: 2_199, ..KindBounds::default() },
    };
    assert_eq!(store.external_id_bounds(&old).await, Ok(bounds));
    assert_eq!(store.external_id_bounds(&other).await, Ok(ExternalIdBounds::default()));
}

/// The same row again changes nothing; another for either side is refused with all beside it.
pub async fn an_external_id_and_an_object_have_one_row(fixture: &mut Fixture) {
    let (old, other) = (namespace("old"), namespace("other"));
    let store = fixture.store.clone();
    for _ in 0..2 {
        assert_eq!(store.add_external_ids(&old, &[flow(1, 10), flow(2, 20)]).await, Ok(()));
    }
    assert_eq!(store.add_external_ids(&old, &[]).await, Ok(()));
    for rows in [
        [flow(3, 30), flow(4, 10)],
        [flow(3, 30), flow(2, 40)],
        [flow(3, 30), flow(1, 20)],
        [flow(3, 30), flow(3, 40)],
        [flow(3, 30), flow(4, 30)],
        [flow(3, 30), flow(4, 0)],
        [flow(3, 30), flow(4, 1 << 52)],
        [flow(3, 30), flow(4, (1 << 53) - 1)],
    ] {
        let outcome = store.add_external_ids(&old, &rows).await;
        let is_refused = matches!(
            outcome,
            Err(StoreError::Refused(Fault::Invalid { field: "external_id", .. }))
        );
        assert!(is_refused, "{rows:?}: {outcome:?}");
        assert_eq!(found(fixture, &old, &[flow(3, 30), flow(4, 40)]).await, []);
    }
    let bounds = [flow(2, 10), flow(5, (1 << 52) - 1), flow(6, 1 << 53)];
    assert_eq!(store.add_external_ids(&other, &bounds).await, Ok(()));
    assert_eq!(store.add_external_ids(&old, &[message(1, 10), flow(3, 30)]).await, Ok(()));
    let all = [flow(1, 10), flow(2, 20), flow(3, 30), message(1, 10)];
    assert_eq!(found(fixture, &old, &all).await, all);
}

/// A new object can be written by its own id where others have external numbers.
pub async fn new_objects_have_ids_above_external_numbers(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let first = fixture.post(&group, &anna, "first").await;
    let user = |number, external| ExternalIdRow {
        object: ObjectId::new(ObjectKind::User, number).expect("an id"),
        external: ExternalId(external),
    };
    let rows = [
        user(anna.id.get(), 500),
        user(boris.id.get(), 1 << 60),
        flow(group.id.get(), 600),
        message(first.id.get(), of_group(700)),
    ];
    let store = fixture.store.clone();
    assert_eq!(store.add_external_ids(&namespace("old"), &rows).await, Ok(()));
    let lower = [flow(group.id.get(), 6)];
    assert_eq!(store.add_external_ids(&namespace("older"), &lower).await, Ok(()));
    let clara = fixture.user("clara").await;
    let second = fixture.group(&clara, &[&anna]).await;
    let message = fixture.post(&second, &clara, "second").await;
    assert_eq!((clara.id.get(), second.id.get(), message.id.get()), (501, 601, 701));
}
