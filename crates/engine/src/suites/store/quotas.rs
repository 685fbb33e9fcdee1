//! Trials of quotas, and of the bounds on sessions and refresh tokens.

use super::fixture::{Fixture, HOUR, hash, refused, session_of};
use crate::ports::{CreateFlow, FlowLimits, IdempotencyKey, NewSession, Rotation, StoreError};
use crate::suites::support::Task;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tolmach_domain::{EventKind, Fault, FlowKind, Timestamp, User, UserId};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn group_of(owner: &User, members: &[&User]) -> CreateFlow {
    CreateFlow {
        kind: FlowKind::Group,
        title: "title".into(),
        info: String::new(),
        owner: owner.id,
        photo: None,
        members: members.iter().map(|member| member.id).collect(),
        key: None,
    }
}

fn too_many<T>(expires_at: Timestamp, now: Timestamp) -> Result<T, StoreError> {
    refused(Fault::TooMany { retry_after: expires_at.since(now) })
}

/// From the first one on; refused and repeated requests do not count, and each user has a count.
pub async fn groups_are_counted_for_a_day(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let limits = FlowLimits { groups_per_day: 2, ..FlowLimits::NONE };
    let store = fixture.store.clone();
    let start = fixture.tick();
    let absent =
        CreateFlow { members: vec![UserId::new(999).expect("an id")], ..group_of(&anna, &[]) };
    for _ in 0..3 {
        let outcome = store.create_flow(absent.clone(), limits, None, start).await;
        assert_eq!(outcome, refused(Fault::NoSuchUser));
    }
    let key = Some(IdempotencyKey { key: "key".into(), fingerprint: [1; 32] });
    for _ in 0..3 {
        let new = CreateFlow { key: key.clone(), ..group_of(&anna, &[&boris]) };
        assert!(store.create_flow(new, limits, None, start).await.is_ok());
    }
    let later = start.after(HOUR);
    let channel = CreateFlow { kind: FlowKind::Channel, ..group_of(&anna, &[]) };
    assert!(store.create_flow(channel, limits, None, later).await.is_ok());
    fixture.events();
    let end = start.after(DAY);
    for now in [later, Timestamp::from_micros(end.micros() - 1)] {
        let outcome = store.create_flow(group_of(&anna, &[]), limits, None, now).await;
        assert_eq!(outcome, too_many(end, now));
    }
    assert_eq!(fixture.published(), []);
    assert!(store.create_flow(group_of(&boris, &[]), limits, None, later).await.is_ok());
    let exempt = FlowLimits::NONE;
    assert!(store.create_flow(group_of(&anna, &[]), exempt, None, later).await.is_ok());
    for _ in 0..2 {
        assert!(store.create_flow(group_of(&anna, &[]), limits, None, end).await.is_ok());
    }
    let outcome = store.create_flow(group_of(&anna, &[]), limits, None, end).await;
    assert_eq!(outcome, too_many(end.after(DAY), end));
}

/// Those of new flows too, without their creator; as many at once as are left.
pub async fn added_members_are_counted_for_a_day(fixture: &mut Fixture) {
    let [anna, boris, clara, dora, elena] =
        fixture.users(["anna", "boris", "clara", "dora", "elena"]).await;
    let limits = FlowLimits { members_per_day: 3, ..FlowLimits::NONE };
    let (store, now) = (fixture.store.clone(), fixture.tick());
    let created = store.create_flow(group_of(&anna, &[&anna, &boris, &boris]), limits, None, now);
    let group = created.await.expect("all live").into_flow();
    let add = async |users: &[UserId]| {
        store.add_members(group.id, anna.id, users, limits, None, now).await
    };
    let end = now.after(DAY);
    assert_eq!(add(&[clara.id, dora.id, elena.id]).await, too_many(end, now));
    assert_eq!(add(&[boris.id]).await, refused(Fault::AlreadyMember));
    assert_eq!(add(&[clara.id, dora.id]).await, Ok(()));
    assert_eq!(add(&[elena.id]).await, too_many(end, now));
    let another = store.create_flow(group_of(&anna, &[&boris]), limits, None, now).await;
    assert_eq!(another, too_many(end, now));
    assert!(store.create_flow(group_of(&anna, &[]), limits, None, now).await.is_ok());
    assert_eq!(store.is_member(group.id, elena.id).await, Ok(false));
}

/// Acquaintances are none; a chat that exists does not count.
pub async fn strangers_are_counted_for_an_hour(fixture: &mut Fixture) {
    let [anna, boris, clara, dora, elena] =
        fixture.users(["anna", "boris", "clara", "dora", "elena"]).await;
    let limits = FlowLimits { strangers_per_hour: 2, ..FlowLimits::NONE };
    let group = fixture.group(&anna, &[&boris, &elena]).await;
    fixture.post(&group, &boris, "hello").await;
    let (store, now) = (fixture.store.clone(), fixture.tick());
    let open = async |by: &User, with: &User, now: Timestamp| {
        store.open_chat(by.id, with.id, limits, None, now).await.map(drop)
    };
    // Boris has written in the group; Elena was only added.
    for with in [&boris, &clara, &elena, &clara, &elena] {
        assert_eq!(open(&anna, with, now).await, Ok(()));
    }
    let end = now.after(HOUR);
    let just_before = Timestamp::from_micros(end.micros() - 1);
    assert_eq!(open(&anna, &dora, just_before).await, too_many(end, just_before));
    assert_eq!(open(&dora, &boris, now).await, Ok(()), "each user has a count");
    assert_eq!(open(&anna, &dora, end).await, Ok(()));
}

/// A request by another user than the owner learns nothing of the members.
pub async fn rights_come_before_limits(fixture: &mut Fixture) {
    let [anna, boris, clara, dora] = fixture.users(["anna", "boris", "clara", "dora"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let (store, now) = (fixture.store.clone(), fixture.tick());
    let limits = FlowLimits { max_members: 3, members_per_day: 2, ..FlowLimits::NONE };
    let add = async |by: &User, users: &[UserId]| {
        store.add_members(group.id, by.id, users, limits, None, now).await
    };
    let all = [anna.id, boris.id, clara.id, dora.id];
    assert_eq!(add(&dora, &all).await, refused(Fault::NoSuchFlow));
    assert_eq!(add(&boris, &all).await, refused(Fault::NotOwner));
    let over = add(&anna, &[clara.id, dora.id]).await;
    assert!(
        matches!(over, Err(StoreError::Refused(Fault::Invalid { field: "users", .. }))),
        "{over:?}"
    );
    assert_eq!(add(&anna, &[clara.id]).await, Ok(()));
    let full = add(&anna, &[dora.id]).await;
    assert!(
        matches!(full, Err(StoreError::Refused(Fault::Invalid { field: "users", .. }))),
        "{full:?}"
    );
}

/// A place that a member leaves, in whichever way, is free for another one, and no more than that.
pub async fn each_departure_makes_room_for_one_member(fixture: &mut Fixture) {
    let [anna, boris, clara, dora, elena] =
        fixture.users(["anna", "boris", "clara", "dora", "elena"]).await;
    let group = fixture.group(&anna, &[&boris, &clara]).await;
    let (store, now) = (fixture.store.clone(), fixture.tick());
    let limits = FlowLimits { max_members: 4, ..FlowLimits::NONE };
    let add = async |user: &User| {
        store.add_members(group.id, anna.id, &[user.id], limits, None, now).await
    };
    let is_full = async |user: &User| {
        let over = add(user).await;
        matches!(over, Err(StoreError::Refused(Fault::Invalid { field: "users", .. })))
    };
    assert_eq!(add(&dora).await, Ok(()));
    assert!(is_full(&elena).await);
    let removed = store.remove_members(group.id, anna.id, &[boris.id, dora.id], None, now).await;
    assert_eq!(removed, Ok(()));
    assert_eq!(add(&elena).await, Ok(()));
    assert_eq!(add(&dora).await, Ok(()));
    assert!(is_full(&boris).await);
    assert_eq!(store.leave(group.id, dora.id, None, now).await, Ok(None));
    assert_eq!(add(&boris).await, Ok(()));
    assert!(is_full(&dora).await);
    assert_eq!(store.delete_user(boris.id, now).await, Ok(()));
    assert_eq!(add(&dora).await, Ok(()));
    let frida = fixture.user("frida").await;
    assert!(is_full(&frida).await);
}

/// As many succeed as the quota has.
pub async fn concurrent_requests_share_a_quota(fixture: &mut Fixture) {
    const LIMIT: u32 = 5;
    let anna = fixture.user("anna").await;
    let (now, created) = (fixture.tick(), Arc::new(AtomicU32::new(0)));
    let limits = FlowLimits { groups_per_day: LIMIT, ..FlowLimits::NONE };
    let tasks = (0..20).map(|_| {
        let (store, created, new) = (fixture.store.clone(), created.clone(), group_of(&anna, &[]));
        Box::pin(async move {
            match store.create_flow(new, limits, None, now).await {
                Ok(_) => drop(created.fetch_add(1, Ordering::Relaxed)),
                Err(StoreError::Refused(Fault::TooMany { retry_after })) => {
                    assert_eq!(retry_after, DAY);
                }
                Err(error) => panic!("{error:?}"),
            }
        }) as Task
    });
    fixture.together(tasks.collect::<Vec<_>>()).await;
    assert_eq!(created.load(Ordering::Relaxed), LIMIT);
    assert_eq!(fixture.published().len(), LIMIT as usize);
}

/// With their tokens; ended ones do not count, nor do those of other users.
pub async fn sessions_beyond_the_limit_end_the_oldest(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let store = fixture.store.clone();
    let now = fixture.tick();
    let other = store.open_session(session_of(&boris, Some(99), None, now)).await;
    let mut sessions = Vec::new();
    for number in 1..=3 {
        let now = fixture.tick();
        let new = session_of(&anna, Some(number), Some(100 + number), now);
        let new = NewSession { max_sessions: 3, ..new };
        sessions.push(store.open_session(new).await.expect("she exists"));
    }
    assert_eq!(fixture.published(), []);
    let now = fixture.tick();
    store.end_session(sessions[1], now).await.expect("it is open");
    fixture.events();
    let open = async |number: u8| {
        let new = session_of(&anna, Some(number), None, now);
        store.open_session(NewSession { max_sessions: 3, ..new }).await.expect("she exists")
    };
    let fourth = open(4).await;
    assert_eq!(fixture.published(), [], "three are open");
    let fifth = open(5).await;
    let ended = EventKind::SessionsEnded { user: anna.id, session: Some(sessions[0]) };
    assert_eq!(fixture.published(), [ended]);
    assert_eq!(store.session(sessions[0]).await, Ok(None));
    assert_eq!(store.session_by_token(hash(1)).await, Ok(None));
    let rotation = store.rotate_refresh(hash(101), hash(200), u32::MAX, now, now.after(HOUR)).await;
    assert_eq!(rotation, Ok(Rotation::Unknown));
    for id in [sessions[2], fourth, fifth, other.expect("he exists")] {
        let found = store.session(id).await.expect("the store answers");
        assert_eq!(found.map(|(session, _)| session.ended_at), Some(None));
    }
}

/// The newest ones are kept: the reuse of an older one is not noticed, and still refused.
pub async fn old_spent_refresh_tokens_are_removed(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let store = fixture.store.clone();
    let now = fixture.tick();
    let session = store.open_session(session_of(&anna, None, Some(1), now)).await;
    let session = session.expect("she exists");
    let mut rotate = async |spent: u8| {
        let now = fixture.tick();
        store.rotate_refresh(hash(spent), hash(spent + 1), 2, now, now.after(HOUR)).await
    };
    let rotated = Rotation::Rotated { user: anna.id, session };
    for spent in 1..=4 {
        assert_eq!(rotate(spent).await, Ok(rotated));
    }
    assert_eq!(rotate(2).await, Ok(Rotation::Unknown));
    assert_eq!(rotate(5).await, Ok(rotated), "the session goes on");
    assert_eq!(rotate(4).await, Ok(Rotation::Reused));
}
