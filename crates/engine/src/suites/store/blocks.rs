//! Trials of [`BlockStore`](crate::ports::BlockStore).

use super::fixture::{Fixture, editing, new_message, refused};
use crate::ports::{CreateFlow, DeleteMessages, EditMessage, FlowLimits, PostMessage, StoreError};
use tolmach_domain::{EventKind, Fault, FlowKind, User, UserId};

const LIMIT: u32 = 3;

/// Opening the first chat and adding to a flow are refused as for an absent user.
pub async fn a_blocked_user_cannot_begin_to_reach_the_blocker(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let group = fixture.group(&boris, &[]).await;
    let (store, now) = (fixture.store.clone(), fixture.tick());
    assert_eq!(store.block(anna.id, boris.id, LIMIT, now).await, Ok(()));
    fixture.events();
    let none = FlowLimits::NONE;
    let new = |owner: &User, members: &[UserId]| CreateFlow {
        kind: FlowKind::Group,
        title: "title".into(),
        info: String::new(),
        owner: owner.id,
        photo: None,
        members: members.to_vec(),
        key: None,
    };
    assert_eq!(
        store.open_chat(boris.id, anna.id, none, None, now).await,
        refused(Fault::NoSuchUser)
    );
    assert_eq!(
        store.create_flow(new(&boris, &[clara.id, anna.id]), none, None, now).await,
        refused(Fault::NoSuchUser)
    );
    assert_eq!(
        store.add_members(group.id, boris.id, &[clara.id, anna.id], none, None, now).await,
        refused(Fault::NoSuchUser)
    );
    assert_eq!(fixture.published(), []);
    assert_eq!(store.is_member(group.id, clara.id).await, Ok(false));

    // Neither other users nor the blocker are affected.
    assert!(store.open_chat(clara.id, anna.id, none, None, now).await.is_ok());
    assert!(store.create_flow(new(&anna, &[boris.id]), none, None, now).await.is_ok());
    assert!(store.open_chat(anna.id, boris.id, none, None, now).await.is_ok());
    assert_eq!(store.unblock(anna.id, boris.id).await, Ok(()));
    assert_eq!(store.add_members(group.id, boris.id, &[anna.id], none, None, now).await, Ok(()));
}

/// Not in groups, not as administrator; reading and deleting stay possible.
pub async fn a_blocked_user_cannot_write_in_the_chat_with_the_blocker(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let none = FlowLimits::NONE;
    let now = fixture.tick();
    let chat = fixture.store.open_chat(boris.id, anna.id, none, None, now).await;
    let chat = chat.expect("both users exist").into_flow();
    let group = fixture.group(&anna, &[&boris]).await;
    let before = fixture.post(&chat, &boris, "before").await;
    let (store, now) = (fixture.store.clone(), fixture.tick());
    assert_eq!(store.is_blocked_in(chat.id, boris.id).await, Ok(false));
    assert_eq!(store.block(anna.id, boris.id, LIMIT, now).await, Ok(()));
    for (flow, user, blocked) in [
        (&chat, &boris, true),
        (&chat, &anna, false),
        (&group, &boris, false),
        (&group, &anna, false),
    ] {
        assert_eq!(store.is_blocked_in(flow.id, user.id).await, Ok(blocked));
    }
    fixture.events();
    let post = || new_message(chat.id, &boris, "hello?");
    assert_eq!(store.post(post(), now).await, refused(Fault::NoSuchFlow));
    assert_eq!(
        store.edit(editing(&boris, before.id, "hello?"), now).await,
        refused(Fault::NoSuchMessage)
    );
    assert_eq!(fixture.published(), []);
    let existing = store.open_chat(boris.id, anna.id, none, None, now).await;
    assert_eq!(existing.map(|chat| chat.into_flow().id), Ok(chat.id));

    assert!(store.post(PostMessage { administrator: true, ..post() }, now).await.is_ok());
    let edit = EditMessage { administrator: true, ..editing(&boris, before.id, "edited") };
    assert!(store.edit(edit, now).await.is_ok());
    assert!(store.post(new_message(chat.id, &anna, "the blocker writes"), now).await.is_ok());
    assert!(store.post(new_message(group.id, &boris, "to all"), now).await.is_ok());
    let deletion = DeleteMessages {
        messages: vec![before.id],
        flow: None,
        all_or_none: false,
        by: boris.id,
        administrator: false,
        origin: None,
    };
    assert_eq!(store.delete(deletion, now).await.map(|done| done.deleted), Ok(vec![before.id]));
    assert_eq!(store.unblock(anna.id, boris.id).await, Ok(()));
    assert!(store.post(post(), now).await.is_ok());
}

/// Each once; the number is limited.
pub async fn blocks_are_listed_until_they_end(fixture: &mut Fixture) {
    let [anna, boris, clara, dora, elena] =
        fixture.users(["anna", "boris", "clara", "dora", "elena"]).await;
    let (store, now) = (fixture.store.clone(), fixture.tick());
    let absent = UserId::new(999).expect("an id");
    for (blocker, blocked) in [(anna.id, absent), (absent, anna.id)] {
        let outcome = store.block(blocker, blocked, LIMIT, now).await;
        assert_eq!(outcome, refused(Fault::NoSuchUser));
    }
    let oneself = store.block(anna.id, anna.id, LIMIT, now).await;
    assert!(matches!(oneself, Err(StoreError::Refused(Fault::Invalid { field: "user", .. }))));
    for user in [&dora, &boris, &dora, &clara, &clara] {
        assert_eq!(store.block(anna.id, user.id, LIMIT, now).await, Ok(()));
    }
    let over = store.block(anna.id, elena.id, LIMIT, now).await;
    assert!(matches!(over, Err(StoreError::Refused(Fault::Invalid { field: "user", .. }))));
    let listed = async |user: UserId| {
        let users = store.blocked_users(user).await.expect("the store answers");
        users.into_iter().map(|user| user.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(anna.id).await, [boris.id, clara.id, dora.id]);
    assert_eq!(listed(boris.id).await, []);
    for _ in 0..2 {
        assert_eq!(store.unblock(anna.id, boris.id).await, Ok(()));
    }
    store.delete_user(clara.id, now).await.expect("she exists");
    assert_eq!(listed(anna.id).await, [dora.id]);
    assert_eq!(store.block(anna.id, elena.id, LIMIT, now).await, Ok(()));
    let events = fixture.published();
    let is_block = |event: &EventKind| !matches!(event, EventKind::SessionsEnded { .. });
    assert!(!events.iter().any(is_block), "blocks are no events: {events:?}");
}
