//! Trials of [`Store`](crate::ports::Store) as a whole.

use super::fixture::{
    Fixture, ROOM, all_flows, deletion, editing, message_and_repeated, new_message, new_user,
    page_of, refused, with_key,
};
use crate::ports::{AccountKey, PostMessage, StoreError};
use crate::suites::support::Task;
use std::collections::BTreeMap;
use tolmach_domain::{
    Attachment, AttachmentKind, Content, ContentType, EventKind, Fault, HistoryRange, MessageId,
    User, Version,
};

/// Posts, edits and deletions of many tasks take versions without gaps, published in order.
pub async fn concurrent_writers_agree_on_one_order_per_flow(fixture: &mut Fixture) {
    const WRITERS: usize = 12;
    const FLOWS: usize = 3;
    const ROUNDS: usize = 15;
    let mut users = Vec::new();
    for number in 0..WRITERS {
        users.push(fixture.user(&format!("writer {number}")).await);
    }
    let members: Vec<&User> = users.iter().collect();
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        flows.push(fixture.group(&users[0], &members).await);
    }
    fixture.events();
    let now = fixture.tick();
    let tasks = users.iter().map(|user| {
        let (store, user, flows) = (fixture.store.clone(), user.clone(), flows.clone());
        Box::pin(async move {
            for round in 0..ROUNDS {
                let flow = flows[round % FLOWS].id;
                let text = format!("{} {round}", user.login);
                let (message, repeated) = message_and_repeated(
                    store.post(new_message(flow, &user, &text), now).await.expect("a member"),
                );
                assert!(!repeated && message.content.text == text && message.author.id == user.id);
                if round % 4 == 0 {
                    store
                        .edit(editing(&user, message.id, &format!("{text}!")), now)
                        .await
                        .expect("the author");
                }
                if round % 7 == 0 {
                    let done =
                        store.delete(deletion(&user, &[&message]), now).await.expect("the author");
                    assert_eq!(done.deleted, [message.id]);
                }
            }
        }) as Task
    });
    fixture.together(tasks.collect::<Vec<_>>()).await;

    let events = fixture.events();
    for flow in &flows {
        let mut next = 1;
        let mut model: BTreeMap<Version, (MessageId, String)> = BTreeMap::new();
        for event in events.iter().filter(|event| event.flow() == Some(flow.id)) {
            let (first, last) = event.versions().expect("only messages changed");
            assert_eq!(first, Version(next), "{event:?}");
            next = last.0 + 1;
            match &event.kind {
                EventKind::Posted(message) | EventKind::Edited(message) => {
                    model.insert(message.posted, (message.id, message.content.text.clone()));
                }
                EventKind::Deleted { messages, .. } => {
                    model.retain(|_, (id, _)| messages.iter().all(|(deleted, _)| deleted != id))
                }
                other => panic!("{other:?} was not expected"),
            }
        }
        assert!(
            model.values().map(|(id, _)| id).is_sorted(),
            "ids ascend with the order of the flow"
        );
        let stored =
            fixture.store.flow(flow.id).await.expect("the store answers").expect("it exists");
        assert_eq!(stored.version, Version(next - 1));
        let expected: Vec<String> = model.into_values().map(|(_, text)| text).collect();
        for viewer in &users {
            assert_eq!(fixture.history(flow, viewer, HistoryRange::All).await, expected);
        }
    }
}

/// Refused and granted changes of every kind at the same time.
pub async fn a_refused_change_does_not_affect_concurrent_ones(fixture: &mut Fixture) {
    const ROUNDS: usize = 40;
    let [anna, clara] = fixture.users(["anna", "clara"]).await;
    let group = fixture.group(&anna, &[]).await;
    fixture.events();
    let now = fixture.tick();
    let tasks = (0..ROUNDS).map(|number| {
        let (store, anna, clara, flow) =
            (fixture.store.clone(), anna.clone(), clara.clone(), group.id);
        Box::pin(async move {
            match number % 4 {
                0 => assert!(store.post(new_message(flow, &anna, "granted"), now).await.is_ok()),
                1 => assert_eq!(
                    store.post(new_message(flow, &clara, "refused"), now).await,
                    refused(Fault::NoSuchFlow)
                ),
                2 => assert_eq!(
                    store.create_user(new_user("ANNA"), now).await,
                    refused(Fault::LoginTaken)
                ),
                _ => assert!(
                    store.create_user(new_user(&format!("user {number}")), now).await.is_ok()
                ),
            }
        }) as Task
    });
    fixture.together(tasks.collect::<Vec<_>>()).await;
    assert_eq!(fixture.published().len(), ROUNDS / 4);
    assert_eq!(fixture.history(&group, &anna, HistoryRange::All).await.len(), ROUNDS / 4);
    assert_eq!(
        fixture.store.search_users("user ", 1000).await.map(|users| users.len()),
        Ok(ROUNDS / 4)
    );
    let flow = fixture.store.flow(group.id).await.expect("the store answers").expect("it exists");
    assert_eq!(flow.version, Version((ROUNDS / 4) as i64));
}

/// In every text of a message, also in a batch with valid messages.
pub async fn the_character_nul_is_refused_and_finds_nothing(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let group = fixture.group(&anna, &[]).await;
    let kept = fixture.post(&group, &anna, "kept").await;
    fixture.events();
    let attachments = vec![Attachment { kind: AttachmentKind::Picture, data: "a\0b".into() }];
    let now = fixture.tick();
    for (part, message) in [
        ("text", new_message(group.id, &anna, "a\0b")),
        ("key", with_key(group.id, &anna, "text", "a\0b")),
        (
            "file",
            PostMessage {
                content: Content { attachments, ..Content::text("text") },
                ..new_message(group.id, &anna, "")
            },
        ),
        (
            "file",
            PostMessage {
                content: Content { emoji: Some("a\0b".into()), ..Content::text("text") },
                ..new_message(group.id, &anna, "")
            },
        ),
        (
            "content_type",
            PostMessage {
                content: Content {
                    content_type: ContentType::Other("a\0b".into()),
                    ..Content::text("text")
                },
                ..new_message(group.id, &anna, "")
            },
        ),
    ] {
        let store = fixture.store.clone();
        let neighbour = new_message(group.id, &anna, part);
        let accepted = Box::pin(async move {
            drop(store.post(neighbour, now).await.expect("nothing is wrong with it"))
        }) as Task;
        let store = fixture.store.clone();
        let refused = Box::pin(async move {
            let outcome = store.post(message, now).await;
            let Err(StoreError::Refused(Fault::Invalid { field, .. })) = outcome else {
                panic!("{part}: {outcome:?}")
            };
            assert_eq!(field, part);
        }) as Task;
        fixture.together([accepted, refused]).await;
    }
    let outcome = fixture.store.edit(editing(&anna, kept.id, "a\0b"), now).await;
    assert!(matches!(outcome, Err(StoreError::Refused(Fault::Invalid { .. }))), "{outcome:?}");
    assert_eq!(fixture.events().len(), 5);
    assert_eq!(fixture.history(&group, &anna, HistoryRange::All).await.len(), 6);
    for key in [AccountKey::Login("anna\0"), AccountKey::Email("\0"), AccountKey::Either("a\0nna")]
    {
        assert!(matches!(fixture.store.account(key).await, Ok(None)), "{key:?}");
    }
    assert_eq!(fixture.store.search_users("a\0", 10).await, Ok(vec![]));
}

/// It answers until then; closing it again succeeds.
pub async fn a_closed_store_is_unavailable(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let group = fixture.group(&anna, &[]).await;
    fixture.events();
    assert_eq!(fixture.store.ping().await, Ok(()));
    fixture.store.close().await;
    fixture.store.close().await;
    fn unavailable<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    let (store, now) = (fixture.store.clone(), fixture.tick());
    unavailable(store.ping().await);
    unavailable(store.user(anna.id).await);
    unavailable(store.create_user(new_user("boris"), now).await);
    unavailable(store.post(new_message(group.id, &anna, "late"), now).await);
    unavailable(store.history(page_of(group.id, anna.id, HistoryRange::Unread, 10)).await);
    unavailable(store.flow_summaries(all_flows(&anna)).await);
    unavailable(store.changes(anna.id, now, None, 10, ROOM).await);
    assert_eq!(fixture.published(), []);
}
