//! Trials of [`FlowStore`](crate::ports::FlowStore): creation, members and deletion.

use super::fixture::{
    Fixture, ROOM, all_flows, deletion, editing, flow_and_created, flow_and_repeated, mark_of,
    message_and_repeated, new_message, origin, page_of, refused, with_key,
};
use crate::ports::{
    CreateFlow, DeleteMessages, Deleted, EditMessage, FlowCreation, FlowLimits, FlowSummaryQuery,
    IDEMPOTENCY_WINDOW, IdempotencyKey, PostMessage, StoreError,
};
use crate::suites::support::Task;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tolmach_domain::{
    Content, EventKind, Fault, FlowId, FlowKind, FlowKindFilter, HistoryRange, PhotoKey, Timestamp,
    User, UserId, Version,
};

/// Opened by either member; the first one owns it.
pub async fn a_pair_has_one_chat(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let now = fixture.tick();
    let (chat, created) = flow_and_created(
        fixture
            .store
            .open_chat(boris.id, anna.id, FlowLimits::NONE, origin("1"), now)
            .await
            .expect("both users exist"),
    );
    assert!(created);
    assert_eq!(
        (chat.kind, chat.owner, chat.title.as_str(), chat.version),
        (FlowKind::Chat, Some(boris.id), "", Version(0))
    );
    assert_eq!(chat.created_at, now);
    let events = fixture.events();
    let expected = EventKind::FlowCreated {
        flow: chat.clone(),
        members: vec![anna.summary(), boris.summary()],
    };
    assert_eq!(
        events.iter().map(|event| (&event.origin, &event.kind)).collect::<Vec<_>>(),
        [(&origin("1"), &expected)]
    );
    for (by, with) in [(boris.id, anna.id), (anna.id, boris.id)] {
        let now = fixture.tick();
        assert_eq!(
            fixture.store.open_chat(by, with, FlowLimits::NONE, None, now).await,
            Ok(FlowCreation::Existing(chat.clone()))
        );
    }
    let (other, created) = flow_and_created(
        fixture
            .store
            .open_chat(anna.id, clara.id, FlowLimits::NONE, None, now)
            .await
            .expect("both users exist"),
    );
    assert!(created && other.id > chat.id);
    fixture.events();
    let absent = UserId::new(999).expect("an id");
    for (by, with) in [(anna.id, absent), (absent, anna.id)] {
        assert_eq!(
            fixture.store.open_chat(by, with, FlowLimits::NONE, None, now).await,
            refused(Fault::NoSuchUser)
        );
    }
    fixture.store.delete_user(clara.id, now).await.expect("the user exists");
    fixture.events();
    assert_eq!(
        fixture.store.open_chat(anna.id, clara.id, FlowLimits::NONE, None, now).await,
        refused(Fault::NoSuchUser)
    );
    assert!(matches!(
        fixture.store.open_chat(anna.id, anna.id, FlowLimits::NONE, None, now).await,
        Err(StoreError::Refused(Fault::Invalid { .. }))
    ));
    assert_eq!(fixture.published(), []);
}

/// Requests of both members.
pub async fn concurrent_requests_for_a_chat_create_one(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let now = fixture.tick();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let tasks = (0..20).map(|number| {
        let (store, answers) = (fixture.store.clone(), answers.clone());
        let (by, with) = if number % 2 == 0 { (anna.id, boris.id) } else { (boris.id, anna.id) };
        Box::pin(async move {
            let (flow, created) = flow_and_created(
                store
                    .open_chat(by, with, FlowLimits::NONE, None, now)
                    .await
                    .expect("both users exist"),
            );
            answers.lock().expect("no task panicked").push((flow.id, created));
        }) as Task
    });
    fixture.together(tasks.collect::<Vec<_>>()).await;
    let answers = answers.lock().expect("no task panicked").clone();
    assert_eq!(
        answers.iter().map(|(flow, _)| flow).collect::<BTreeSet<_>>().len(),
        1,
        "{answers:?}"
    );
    assert_eq!(answers.iter().filter(|(_, created)| *created).count(), 1, "{answers:?}");
    assert_eq!(fixture.published().len(), 1);
}

/// With the owner, each once, ordered by id.
pub async fn a_flow_is_created_with_its_members(fixture: &mut Fixture) {
    let [anna, boris, clara, deleted] = fixture.users(["anna", "boris", "clara", "deleted"]).await;
    let now = fixture.tick();
    fixture.store.delete_user(deleted.id, now).await.expect("the user exists");
    fixture.events();
    let photo = Some(PhotoKey { key: "ab".into(), media_type: "image/png".into() });
    let new = |kind, members: &[&User]| CreateFlow {
        kind,
        title: "Тема".into(),
        info: "info".into(),
        owner: boris.id,
        photo: photo.clone(),
        members: members.iter().map(|member| member.id).collect(),
        key: None,
    };
    for (kind, named, members) in [
        (FlowKind::Group, vec![&clara, &anna, &clara, &boris], vec![&anna, &boris, &clara]),
        (FlowKind::Channel, vec![], vec![&boris]),
    ] {
        let now = fixture.tick();
        let (flow, repeated) = flow_and_repeated(
            fixture
                .store
                .create_flow(new(kind, &named), FlowLimits::NONE, origin("2"), now)
                .await
                .expect("all live"),
        );
        assert!(!repeated);
        assert_eq!(
            (flow.kind, flow.title.as_str(), flow.info.as_str(), flow.owner),
            (kind, "Тема", "info", Some(boris.id))
        );
        assert_eq!((&flow.photo, flow.version, flow.created_at), (&photo, Version(0), now));
        let summaries = members.iter().map(|member| member.summary()).collect();
        assert_eq!(
            fixture.published(),
            [EventKind::FlowCreated { flow: flow.clone(), members: summaries }]
        );
        assert_eq!(
            fixture.members(flow.id).await,
            members.into_iter().cloned().collect::<Vec<_>>()
        );
        assert_eq!(fixture.store.flow(flow.id).await, Ok(Some(flow.clone())));
        assert_eq!(fixture.store.is_member(flow.id, deleted.id).await, Ok(false));
    }
    let before =
        fixture.store.flow_summaries(all_flows(&boris)).await.expect("the store answers").len();
    for (new, fault) in [
        (new(FlowKind::Group, &[&anna, &deleted]), Fault::NoSuchUser),
        (CreateFlow { owner: deleted.id, ..new(FlowKind::Group, &[&anna]) }, Fault::NoSuchUser),
        (
            CreateFlow {
                members: vec![UserId::new(999).expect("an id")],
                ..new(FlowKind::Channel, &[])
            },
            Fault::NoSuchUser,
        ),
        (new(FlowKind::Chat, &[&anna]), Fault::WrongKind),
    ] {
        assert_eq!(
            fixture.store.create_flow(new, FlowLimits::NONE, None, now).await,
            refused(fault)
        );
    }
    assert_eq!(
        fixture.store.flow_summaries(all_flows(&boris)).await.map(|flows| flows.len()),
        Ok(before)
    );
    assert_eq!(fixture.published(), []);
    let absent = FlowId::new(999).expect("an id");
    assert_eq!(fixture.store.flow(absent).await, Ok(None));
    assert_eq!(fixture.members(absent).await, []);
    assert_eq!(fixture.store.is_member(absent, boris.id).await, Ok(false));
    assert_eq!(fixture.store.flow_summary(absent, Some(boris.id), true, ROOM).await, Ok(None));
}

/// The flow is returned as it is now; another request with the key is refused; after the
/// deletion of the flow the key is free.
pub async fn a_repeated_key_creates_no_second_flow(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let new = |owner: &User, key: &str, fingerprint: u8| CreateFlow {
        kind: FlowKind::Group,
        title: key.into(),
        info: String::new(),
        owner: owner.id,
        photo: None,
        members: vec![boris.id],
        key: Some(IdempotencyKey { key: key.into(), fingerprint: [fingerprint; 32] }),
    };
    let now = fixture.tick();
    // A refused flow uses no key.
    let absent =
        CreateFlow { members: vec![UserId::new(999).expect("an id")], ..new(&anna, "key", 9) };
    assert_eq!(
        fixture.store.create_flow(absent, FlowLimits::NONE, None, now).await,
        refused(Fault::NoSuchUser)
    );
    let (first, repeated) = flow_and_repeated(
        fixture
            .store
            .create_flow(new(&anna, "key", 1), FlowLimits::NONE, None, now)
            .await
            .expect("all live"),
    );
    assert!(!repeated);
    fixture.post(&first, &boris, "hello").await;
    let as_it_stands = fixture
        .store
        .flow(first.id)
        .await
        .expect("the store answers")
        .expect("it was just created");
    fixture.events();
    let now = fixture.tick();
    assert_eq!(
        fixture.store.create_flow(new(&anna, "key", 1), FlowLimits::NONE, None, now).await,
        Ok(FlowCreation::Existing(as_it_stands))
    );
    assert_eq!(
        fixture.store.create_flow(new(&anna, "key", 2), FlowLimits::NONE, None, now).await,
        refused(Fault::KeyReused)
    );
    assert_eq!(fixture.published(), []);
    let mut left = Vec::new();
    for other in [new(&boris, "key", 2), new(&anna, "KEY", 2), new(&anna, "key2", 2)] {
        let (flow, repeated) = flow_and_repeated(
            fixture
                .store
                .create_flow(other.clone(), FlowLimits::NONE, None, now)
                .await
                .expect("all live"),
        );
        assert!(!repeated, "{other:?}");
        left.push(flow.id);
    }
    fixture
        .store
        .delete_flow(first.id, anna.id, FlowKindFilter::Any, None, now)
        .await
        .expect("it is hers");
    let (second, repeated) = flow_and_repeated(
        fixture
            .store
            .create_flow(new(&anna, "key", 3), FlowLimits::NONE, None, now)
            .await
            .expect("all live"),
    );
    assert!(!repeated && second.id != first.id);
    let end = now.after(IDEMPOTENCY_WINDOW);
    let just_before = Timestamp::from_micros(end.micros() - 1);
    assert_eq!(
        fixture.store.create_flow(new(&anna, "key", 3), FlowLimits::NONE, None, just_before).await,
        Ok(FlowCreation::Existing(second.clone()))
    );
    let (third, repeated) = flow_and_repeated(
        fixture
            .store
            .create_flow(new(&anna, "key", 4), FlowLimits::NONE, None, end)
            .await
            .expect("all live"),
    );
    assert!(!repeated && third.id > second.id);
    left.extend([second.id, third.id]);
    let positions = fixture.store.flow_versions(boris.id).await.expect("the store answers");
    assert_eq!(positions.into_iter().map(|(flow, _)| flow).collect::<Vec<_>>(), left);
}

/// One flow and one event.
pub async fn concurrent_requests_with_a_key_create_one_flow(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let answers = Arc::new(Mutex::new(Vec::new()));
    let now = fixture.tick();
    let tasks = (0..20).map(|_| {
        let (store, answers, owner) = (fixture.store.clone(), answers.clone(), anna.id);
        Box::pin(async move {
            let key = Some(IdempotencyKey { key: "key".into(), fingerprint: [1; 32] });
            let (title, info) = ("title".into(), String::new());
            let new = CreateFlow {
                kind: FlowKind::Channel,
                title,
                info,
                owner,
                photo: None,
                members: vec![],
                key,
            };
            let (flow, repeated) = flow_and_repeated(
                store.create_flow(new, FlowLimits::NONE, None, now).await.expect("the user exists"),
            );
            answers.lock().expect("no task panicked").push((flow.id, repeated));
        }) as Task
    });
    fixture.together(tasks.collect::<Vec<_>>()).await;
    let answers = answers.lock().expect("no task panicked").clone();
    assert_eq!(answers.iter().filter(|(_, repeated)| !repeated).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|(flow, _)| *flow == answers[0].0), "{answers:?}");
    assert_eq!(fixture.published().len(), 1);
}

/// By the owner only.
pub async fn members_are_added_and_removed_all_or_none(fixture: &mut Fixture) {
    let [anna, boris, clara, dora, deleted] =
        fixture.users(["anna", "boris", "clara", "dora", "deleted"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let chat = fixture
        .store
        .open_chat(anna.id, boris.id, FlowLimits::NONE, None, fixture.now)
        .await
        .expect("both users exist")
        .into_flow();
    fixture.store.delete_user(deleted.id, fixture.now).await.expect("the user exists");
    fixture.events();
    let (store, now) = (fixture.store.clone(), fixture.tick());
    let absent = FlowId::new(999).expect("an id");
    for (flow, by, users, fault) in [
        (absent, &anna, vec![clara.id], Fault::NoSuchFlow),
        (group.id, &dora, vec![clara.id], Fault::NoSuchFlow),
        (chat.id, &anna, vec![clara.id], Fault::WrongKind),
        (group.id, &boris, vec![clara.id], Fault::NotOwner),
        (group.id, &anna, vec![clara.id, deleted.id], Fault::NoSuchUser),
        (group.id, &anna, vec![clara.id, UserId::new(999).expect("an id")], Fault::NoSuchUser),
        (group.id, &anna, vec![clara.id, boris.id], Fault::AlreadyMember),
    ] {
        assert_eq!(
            store.add_members(flow, by.id, &users, FlowLimits::NONE, None, now).await,
            refused(fault.clone()),
            "{fault:?}"
        );
    }
    assert_eq!(fixture.members(group.id).await, [anna.clone(), boris.clone()]);
    assert_eq!(fixture.published(), []);

    assert_eq!(
        store
            .add_members(
                group.id,
                anna.id,
                &[dora.id, clara.id, dora.id],
                FlowLimits::NONE,
                origin("3"),
                now
            )
            .await,
        Ok(())
    );
    assert_eq!(
        fixture.published(),
        [EventKind::MembersAdded {
            flow: group.id,
            users: vec![dora.summary(), clara.summary()],
            version: Version(0)
        }]
    );
    assert_eq!(
        fixture.members(group.id).await,
        [anna.clone(), boris.clone(), clara.clone(), dora.clone()]
    );
    let changed = store.flow(group.id).await.expect("the store answers").expect("the flow exists");
    assert!(changed.changed_at >= now && changed.changed_at > group.changed_at);

    for (flow, by, users, fault) in [
        (absent, &anna, vec![clara.id], Fault::NoSuchFlow),
        (group.id, &deleted, vec![clara.id], Fault::NoSuchFlow),
        (chat.id, &anna, vec![boris.id], Fault::WrongKind),
        (group.id, &boris, vec![clara.id], Fault::NotOwner),
        (group.id, &anna, vec![clara.id, deleted.id], Fault::NotMember),
    ] {
        assert_eq!(
            store.remove_members(flow, by.id, &users, None, now).await,
            refused(fault.clone()),
            "{fault:?}"
        );
    }
    let owner = store.remove_members(group.id, anna.id, &[clara.id, anna.id], None, now).await;
    assert!(
        matches!(owner, Err(StoreError::Refused(Fault::Invalid { field: "users", .. }))),
        "{owner:?}"
    );
    assert_eq!(fixture.members(group.id).await.len(), 4);
    assert_eq!(fixture.published(), []);

    assert_eq!(
        store.remove_members(group.id, anna.id, &[clara.id, boris.id, clara.id], None, now).await,
        Ok(())
    );
    assert_eq!(
        fixture.published(),
        [EventKind::MembersRemoved { flow: group.id, users: vec![clara.id, boris.id] }]
    );
    assert_eq!(fixture.members(group.id).await, [anna, dora]);
    assert_eq!(store.flow_versions(boris.id).await, Ok(vec![(chat.id, Version(0))]));
}

/// A flow of the kinds that the request accepts.
pub async fn only_the_owner_deletes_a_flow(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let chat = fixture
        .store
        .open_chat(anna.id, boris.id, FlowLimits::NONE, None, fixture.now)
        .await
        .expect("both users exist")
        .into_flow();
    fixture.events();
    let (store, now) = (fixture.store.clone(), fixture.tick());
    for (flow, by, kinds, fault) in [
        (FlowId::new(999).expect("an id"), &anna, FlowKindFilter::Any, Fault::NoSuchFlow),
        (group.id, &clara, FlowKindFilter::Any, Fault::NoSuchFlow),
        (group.id, &anna, FlowKindFilter::Chat, Fault::WrongKind),
        (chat.id, &anna, FlowKindFilter::Shared, Fault::WrongKind),
        (group.id, &boris, FlowKindFilter::Shared, Fault::NotOwner),
        (chat.id, &boris, FlowKindFilter::Any, Fault::NotOwner),
    ] {
        assert_eq!(
            store.delete_flow(flow, by.id, kinds, None, now).await,
            refused(fault.clone()),
            "{fault:?}"
        );
    }
    assert_eq!(
        store.flow_versions(boris.id).await,
        Ok(vec![(group.id, Version(0)), (chat.id, Version(0))])
    );
    assert_eq!(fixture.published(), []);
    assert_eq!(
        store.delete_flow(group.id, anna.id, FlowKindFilter::Shared, None, now).await,
        Ok(())
    );
    assert_eq!(store.delete_flow(chat.id, anna.id, FlowKindFilter::Chat, None, now).await, Ok(()));
    let deleted = |flow| EventKind::FlowDeleted { flow, by: anna.id };
    assert_eq!(fixture.published(), [deleted(group.id), deleted(chat.id)]);
}

/// By any method; a pair may open a new chat.
pub async fn a_deleted_flow_is_not_found_and_its_id_is_not_reused(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let chat = fixture
        .store
        .open_chat(anna.id, boris.id, FlowLimits::NONE, None, fixture.now)
        .await
        .expect("both users exist")
        .into_flow();
    let other = fixture.group(&anna, &[&boris]).await;
    let mut messages = Vec::new();
    for number in 0..30 {
        messages.push(fixture.post(&chat, &anna, &format!("{number}")).await);
    }
    let now = fixture.tick();
    let keyed = fixture
        .store
        .post(with_key(chat.id, &anna, "keyed", "key"), now)
        .await
        .expect("she is a member")
        .into_message();
    fixture
        .store
        .delete_flow(chat.id, anna.id, FlowKindFilter::Any, None, now)
        .await
        .expect("she owns it");
    fixture.events();

    let (store, now) = (fixture.store.clone(), fixture.tick());
    assert_eq!(store.flow(chat.id).await, Ok(None));
    assert_eq!(fixture.members(chat.id).await, []);
    assert_eq!(store.is_member(chat.id, anna.id).await, Ok(false));
    assert_eq!(store.flow_summary(chat.id, Some(anna.id), true, ROOM).await, Ok(None));
    assert_eq!(store.flow_versions(anna.id).await, Ok(vec![(other.id, Version(0))]));
    for all in [false, true] {
        let flows = store
            .flow_summaries(FlowSummaryQuery { all, ..all_flows(&anna) })
            .await
            .expect("the store answers");
        assert_eq!(
            flows.into_iter().map(|flow_summary| flow_summary.flow.id).collect::<Vec<_>>(),
            [other.id]
        );
    }
    for range in
        [HistoryRange::All, HistoryRange::Unread, HistoryRange::Newest { limit: 5, offset: 1 }]
    {
        assert_eq!(
            store.history(page_of(chat.id, boris.id, range, 10)).await,
            refused(Fault::NoSuchFlow)
        );
    }
    assert_eq!(store.messages_after(chat.id, Version(0), 10).await, Ok(vec![]));
    let changes = store
        .changes(boris.id, Timestamp::default(), None, 100, ROOM)
        .await
        .expect("the store answers");
    assert_eq!((changes.messages, changes.flows.len()), (vec![], 1));
    for administrator in [false, true] {
        let post = PostMessage { administrator, ..new_message(chat.id, &anna, "late") };
        assert_eq!(store.post(post, now).await, refused(Fault::NoSuchFlow));
        let edit = EditMessage { administrator, ..editing(&anna, messages[0].id, "late") };
        assert_eq!(store.edit(edit, now).await, refused(Fault::NoSuchMessage));
        let left = store
            .delete(DeleteMessages { administrator, ..deletion(&anna, &[&messages[0]]) }, now)
            .await;
        assert_eq!(left, Ok(Deleted { absent: vec![messages[0].id], ..Deleted::default() }));
    }
    for (by, users) in [(anna.id, [boris.id])] {
        assert_eq!(
            store.add_members(chat.id, by, &users, FlowLimits::NONE, None, now).await,
            refused(Fault::NoSuchFlow)
        );
        assert_eq!(
            store.remove_members(chat.id, by, &users, None, now).await,
            refused(Fault::NoSuchFlow)
        );
        assert_eq!(
            store.delete_flow(chat.id, by, FlowKindFilter::Any, None, now).await,
            refused(Fault::NoSuchFlow)
        );
    }
    assert_eq!(fixture.published(), []);

    let reply = Content { reply_to: Some(messages[0].id), ..Content::text("reply") };
    let reply = PostMessage { content: reply, ..new_message(other.id, &anna, "") };
    assert_eq!(store.post(reply, now).await, refused(Fault::NoSuchMessage));
    let (again, created) = flow_and_created(
        store
            .open_chat(boris.id, anna.id, FlowLimits::NONE, None, now)
            .await
            .expect("both users exist"),
    );
    assert!(created && again.id > chat.id && again.id > other.id);
    // The key's first message was deleted with its flow, so the key is free.
    let (message, repeated) = message_and_repeated(
        store.post(with_key(again.id, &anna, "keyed", "key"), now).await.expect("she is a member"),
    );
    assert!(!repeated && message.id > keyed.id);
    assert_eq!(
        (message.posted, fixture.history(&again, &boris, HistoryRange::All).await),
        (Version(1), vec!["keyed".to_owned()])
    );
}

/// Of a member, of another user, and none of a flow that is deleted or was never there.
pub async fn a_flow_is_found_with_a_membership(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[]).await;
    let deleted = fixture.group(&anna, &[]).await;
    let now = fixture.tick();
    let store = fixture.store.clone();
    let delete = store.delete_flow(deleted.id, anna.id, FlowKindFilter::Any, None, now).await;
    delete.expect("she owns it");
    let absent = FlowId::new(999).expect("an id");
    for (flow, user, expected) in [
        (group.id, &anna, Some((group.clone(), Some(Version(0))))),
        (group.id, &boris, Some((group.clone(), None))),
        (deleted.id, &anna, None),
        (absent, &anna, None),
    ] {
        assert_eq!(store.flow_and_membership(flow, user.id).await, Ok(expected));
    }
    let message = fixture.post(&group, &anna, "read").await;
    let mark = mark_of(anna.id, std::slice::from_ref(&message)).expect("there is a message");
    store.move_read_mark(mark).await.expect("the store answers");
    let found = store.flow_and_membership(group.id, anna.id).await.expect("the store answers");
    let found = found.map(|(flow, read)| (flow.version, read));
    assert_eq!(found, Some((message.version, Some(message.posted))));
}
