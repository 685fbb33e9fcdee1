//! Trials of [`FlowStore::leave`](crate::ports::FlowStore::leave).

use super::fixture::{Fixture, new_message, origin, refused};
use crate::ports::{CreateFlow, FlowLimits};
use tolmach_domain::{EventKind, Fault, FlowId, FlowKind, PhotoKey};

/// Of a group or channel, the owner too; not of a chat.
pub async fn each_member_may_leave(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let chat = fixture
        .store
        .open_chat(anna.id, boris.id, FlowLimits::NONE, None, fixture.now)
        .await
        .expect("both users exist")
        .into_flow();
    for kind in [FlowKind::Group, FlowKind::Channel] {
        let flow = fixture.flow(kind, &anna, &[&boris]).await;
        fixture.events();
        let (store, now) = (fixture.store.clone(), fixture.tick());
        for (flow, user, fault) in [
            (FlowId::new(999).expect("an id"), &boris, Fault::NoSuchFlow),
            (flow.id, &clara, Fault::NoSuchFlow),
            (chat.id, &boris, Fault::WrongKind),
        ] {
            assert_eq!(store.leave(flow, user.id, None, now).await, refused(fault));
        }
        assert_eq!(fixture.published(), []);

        assert_eq!(store.leave(flow.id, boris.id, origin("4"), now).await, Ok(None));
        let events = fixture.events();
        let expected = EventKind::MembersRemoved { flow: flow.id, users: vec![boris.id] };
        assert_eq!(
            events.iter().map(|event| (&event.origin, &event.kind)).collect::<Vec<_>>(),
            [(&origin("4"), &expected)]
        );
        assert_eq!(store.is_member(flow.id, boris.id).await, Ok(false));
        let left = store.flow(flow.id).await.expect("the store answers").expect("it exists");
        assert_eq!(left.owner, Some(anna.id));
        assert!(left.changed_at > flow.changed_at);
        let late = store.post(new_message(flow.id, &boris, "late"), now).await;
        assert_eq!(late, refused(Fault::NoSuchFlow));
        assert_eq!(store.leave(flow.id, boris.id, None, now).await, refused(Fault::NoSuchFlow));
    }
}

/// Of several who joined at once it is the one with the lowest id.
pub async fn the_flow_of_an_owner_who_leaves_passes_to_the_longest_member(fixture: &mut Fixture) {
    let [anna, boris, clara, dora] = fixture.users(["anna", "boris", "clara", "dora"]).await;
    let group = fixture.group(&dora, &[&clara]).await;
    // At the same time by the clock: the order of the commits decides.
    let (store, now) = (fixture.store.clone(), fixture.tick());
    for added in [[boris.id].as_slice(), &[anna.id]] {
        let limits = FlowLimits::NONE;
        store.add_members(group.id, dora.id, added, limits, None, now).await.expect("she owns it");
    }
    for (owner, next) in [(&dora, &clara), (&clara, &boris), (&boris, &anna)] {
        let now = fixture.tick();
        assert_eq!(store.leave(group.id, owner.id, None, now).await, Ok(None));
        let flow = store.flow(group.id).await.expect("the store answers").expect("it exists");
        assert_eq!(flow.owner, Some(next.id));
    }
    let channel = fixture.flow(FlowKind::Channel, &dora, &[&clara, &boris]).await;
    let now = fixture.tick();
    assert_eq!(store.leave(channel.id, dora.id, None, now).await, Ok(None));
    assert!(store.post(new_message(channel.id, &boris, "news"), now).await.is_ok());
    let other = store.post(new_message(channel.id, &clara, "news"), now).await;
    assert_eq!(other, refused(Fault::NotOwner));
}

/// With its messages; it is returned with its photo.
pub async fn a_flow_is_deleted_when_the_last_member_leaves(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let now = fixture.tick();
    let new = CreateFlow {
        kind: FlowKind::Group,
        title: "title".into(),
        info: String::new(),
        owner: anna.id,
        photo: Some(PhotoKey { key: "ab".into(), media_type: "image/png".into() }),
        members: vec![],
        key: None,
    };
    let created = fixture.store.create_flow(new, FlowLimits::NONE, None, now).await;
    let group = created.expect("she exists").into_flow();
    fixture.post(&group, &anna, "alone").await;
    fixture.events();
    let (store, now) = (fixture.store.clone(), fixture.tick());
    let left = store.leave(group.id, anna.id, None, now).await.expect("she is a member");
    assert_eq!(left.map(|flow| (flow.id, flow.photo)), Some((group.id, group.photo)));
    assert_eq!(fixture.published(), [EventKind::FlowDeleted { flow: group.id, by: anna.id }]);
    assert_eq!(store.flow(group.id).await, Ok(None));
    assert_eq!(store.flow_versions(anna.id).await, Ok(vec![]));
    assert_eq!(store.leave(group.id, anna.id, None, now).await, refused(Fault::NoSuchFlow));
}
