//! Trials of [`MessageStore`](crate::ports::MessageStore): pending, editing and deleting.

use super::fixture::{
    Fixture, HOUR, deletion, editing, ids, message_and_repeated, new_message, origin, page_of,
    refused, with_key,
};
use crate::ports::{
    DeleteMessages, Deleted, EditMessage, FlowLimits, IDEMPOTENCY_WINDOW, PostMessage, Posted,
    UserChange,
};
use crate::suites::support::Task;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tolmach_domain::{
    Attachment, AttachmentKind, Content, ContentType, Event, EventKind, Fault, Flow, FlowId,
    FlowKind, FlowKindFilter, HistoryRange, Message, MessageId, Timestamp, User, Version,
};

/// Byte for byte; the event and the result are the stored message.
pub async fn a_message_is_stored_as_posted(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let first = fixture.post(&group, &anna, "first").await;
    fixture.events();
    let files = [
        AttachmentKind::Picture,
        AttachmentKind::Video,
        AttachmentKind::Audio,
        AttachmentKind::Document,
    ];
    let files =
        files.into_iter().map(|kind| Attachment { kind, data: format!("{kind:?}\"\\=") }).collect();
    let contents = [
        Content::text(""),
        Content::text("quote ' \" \\ \u{1}\r\n\t \u{1F600} \u{202e} %_?$1"),
        Content { content_type: ContentType::Image, ..Content::text("aW1hZ2U=") },
        Content { content_type: ContentType::File, ..Content::default() },
        Content { content_type: ContentType::Sticker, ..Content::default() },
        Content { content_type: ContentType::Other("image".into()), ..Content::default() },
        Content { content_type: ContentType::Other("other:x".into()), ..Content::default() },
        Content {
            attachments: files,
            emoji: Some("8J+YgA==".into()),
            reply_to: Some(first.id),
            ..Content::text("all")
        },
        Content { emoji: Some(String::new()), ..Content::text("x".repeat(100_000)) },
    ];
    for (content, version) in contents.into_iter().zip(2..) {
        let now = fixture.tick();
        let new = PostMessage {
            content: content.clone(),
            origin: origin("4"),
            ..new_message(group.id, &boris, "")
        };
        let (message, repeated) =
            message_and_repeated(fixture.store.post(new, now).await.expect("he is a member"));
        assert!(!repeated);
        assert_eq!(
            (message.flow, message.flow_kind, &message.author),
            (group.id, FlowKind::Group, &boris.summary())
        );
        assert_eq!(
            (&message.content, message.posted, message.version),
            (&content, Version(version), Version(version))
        );
        assert_eq!((message.posted_at, message.edited_at, message.deleted_at), (now, None, None));
        let events = fixture.events();
        assert_eq!(
            *events[0],
            Event {
                occurred_at: now,
                committed_at: Some(message.changed_at),
                origin: origin("4"),
                kind: EventKind::Posted(message.clone())
            }
        );
        assert_eq!(events.len(), 1);
        let newest = HistoryRange::Newest { limit: 1, offset: 0 };
        let page = fixture
            .store
            .history(page_of(group.id, anna.id, newest, 10))
            .await
            .expect("the flow exists");
        assert_eq!((page.messages, page.version), (vec![message.clone()], Version(version)));
        let flow =
            fixture.store.flow(group.id).await.expect("the store answers").expect("it exists");
        assert_eq!((flow.version, flow.changed_at), (Version(version), message.changed_at));
    }
    // The author has the current name.
    let now = fixture.tick();
    let renamed = UserChange { username: Some("Bo".into()), ..UserChange::default() };
    let renamed = fixture.store.update_user(boris.id, renamed, now).await.expect("the user exists");
    let page = fixture
        .store
        .history(page_of(group.id, anna.id, HistoryRange::Newest { limit: 1, offset: 0 }, 10))
        .await
        .expect("the flow exists");
    assert_eq!(page.messages[0].author, renamed.summary());
}

/// Nothing of it is stored, published or counted.
pub async fn a_message_that_must_not_be_posted_is_refused(fixture: &mut Fixture) {
    let [anna, boris, clara, admin, deleted] =
        fixture.users(["anna", "boris", "clara", "admin", "deleted"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let channel = fixture.flow(FlowKind::Channel, &anna, &[&boris]).await;
    let chat = fixture
        .store
        .open_chat(anna.id, boris.id, FlowLimits::NONE, None, fixture.now)
        .await
        .expect("both users exist")
        .into_flow();
    let elsewhere = fixture.post(&channel, &anna, "elsewhere").await;
    fixture.store.delete_user(deleted.id, fixture.now).await.expect("the user exists");
    fixture.events();
    let reply = |to: MessageId| Content { reply_to: Some(to), ..Content::text("reply") };
    let absent_message = MessageId::new(999).expect("an id");
    for (new, fault) in [
        (new_message(FlowId::new(999).expect("an id"), &anna, "x"), Fault::NoSuchFlow),
        (new_message(group.id, &clara, "x"), Fault::NoSuchFlow),
        (
            PostMessage { kinds: FlowKindFilter::Chat, ..new_message(group.id, &clara, "x") },
            Fault::NoSuchFlow,
        ),
        (
            PostMessage {
                administrator: true,
                ..new_message(FlowId::new(999).expect("an id"), &admin, "x")
            },
            Fault::NoSuchFlow,
        ),
        (
            PostMessage { kinds: FlowKindFilter::Chat, ..new_message(group.id, &anna, "x") },
            Fault::WrongKind,
        ),
        (
            PostMessage { kinds: FlowKindFilter::Shared, ..new_message(chat.id, &anna, "x") },
            Fault::WrongKind,
        ),
        (new_message(channel.id, &boris, "x"), Fault::NotOwner),
        (
            PostMessage { content: reply(elsewhere.id), ..new_message(group.id, &anna, "") },
            Fault::NoSuchMessage,
        ),
        (
            PostMessage { content: reply(absent_message), ..new_message(group.id, &anna, "") },
            Fault::NoSuchMessage,
        ),
        (
            PostMessage { administrator: true, ..new_message(group.id, &deleted, "x") },
            Fault::NoSuchUser,
        ),
    ] {
        let now = fixture.tick();
        assert_eq!(fixture.store.post(new.clone(), now).await, refused(fault), "{new:?}");
    }
    assert_eq!(fixture.published(), []);
    assert_eq!(fixture.post(&group, &boris, "first").await.version, Version(1));
    assert_eq!(fixture.post(&channel, &anna, "second").await.version, Version(2));
    // An administrator need not be a member.
    let now = fixture.tick();
    let posted = fixture
        .store
        .post(PostMessage { administrator: true, ..new_message(chat.id, &admin, "by admin") }, now)
        .await;
    assert_eq!(
        posted
            .map(message_and_repeated)
            .map(|(message, repeated)| { (message.author, message.posted, repeated) }),
        Ok((admin.summary(), Version(1), false))
    );
}

/// The order of waiting for their commits makes no difference.
pub async fn messages_are_ordered_by_submission(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let group = fixture.group(&anna, &[]).await;
    let mut submitted = Vec::new();
    for number in 1..=20 {
        let now = fixture.tick();
        let pending = fixture
            .store
            .submit_message(new_message(group.id, &anna, &number.to_string()), now)
            .await
            .expect("the queue has space");
        submitted.push((number, pending));
    }
    while let Some((number, pending)) = submitted.pop() {
        let (message, repeated) = message_and_repeated(pending.await.expect("she is a member"));
        assert_eq!(
            (message.content.text, message.version, repeated),
            (number.to_string(), Version(number), false)
        );
    }
    assert_eq!(fixture.history(&group, &anna, HistoryRange::All).await.len(), 20);
}

/// Within the window, for the same author, with any content.
pub async fn a_repeated_key_stores_no_second_message(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let channel = fixture.flow(FlowKind::Channel, &anna, &[&boris]).await;
    // A refused message uses no key.
    let now = fixture.tick();
    assert_eq!(
        fixture.store.post(with_key(channel.id, &boris, "refused", "key"), now).await,
        refused(Fault::NotOwner)
    );
    let (first, repeated) = message_and_repeated(
        fixture
            .store
            .post(with_key(group.id, &boris, "first", "key"), now)
            .await
            .expect("he is a member"),
    );
    assert!(!repeated);
    fixture.events();
    for again in
        [with_key(group.id, &boris, "first", "key"), with_key(channel.id, &boris, "other", "key")]
    {
        assert_eq!(
            fixture.store.post(again, now.after(Duration::from_secs(60))).await,
            Ok(Posted::Repeated(first.clone()))
        );
    }
    assert_eq!(fixture.published(), []);
    // The message is returned as it is now.
    let edited = fixture
        .store
        .edit(editing(&boris, first.id, "edited"), now)
        .await
        .expect("he is the author");
    fixture.events();
    assert_eq!(
        fixture.store.post(with_key(group.id, &boris, "first", "key"), now).await,
        Ok(Posted::Repeated(edited))
    );
    assert_eq!(fixture.published(), []);
    // Another author, another key, another case: other messages.
    for other in [
        with_key(group.id, &anna, "2", "key"),
        with_key(group.id, &boris, "3", "key2"),
        with_key(group.id, &boris, "4", "KEY"),
    ] {
        let (_, repeated) = message_and_repeated(
            fixture.store.post(other.clone(), now).await.expect("both are members"),
        );
        assert!(!repeated, "{other:?}");
    }
    let end = now.after(IDEMPOTENCY_WINDOW);
    let just_before = Timestamp::from_micros(end.micros() - 1);
    let (within, repeated) = message_and_repeated(
        fixture
            .store
            .post(with_key(group.id, &boris, "5", "key"), just_before)
            .await
            .expect("he is a member"),
    );
    assert_eq!((within.id, repeated), (first.id, true));
    let (after, repeated) = message_and_repeated(
        fixture
            .store
            .post(with_key(group.id, &boris, "6", "key"), end)
            .await
            .expect("he is a member"),
    );
    assert!(!repeated && after.id > first.id);
    // The window begins again with the new message.
    let (again, repeated) = message_and_repeated(
        fixture
            .store
            .post(with_key(group.id, &boris, "7", "key"), end.after(HOUR))
            .await
            .expect("he is a member"),
    );
    assert_eq!((again.id, repeated), (after.id, true));
    assert_eq!(
        fixture.history(&group, &anna, HistoryRange::All).await,
        ["edited", "2", "3", "4", "6"]
    );
}

/// One row, one event, one id for all.
pub async fn concurrent_messages_with_a_key_store_one(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let group = fixture.group(&anna, &[]).await;
    fixture.events();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let now = fixture.tick();
    let tasks = (0..40).map(|number| {
        let (store, answers, anna, group) =
            (fixture.store.clone(), answers.clone(), anna.clone(), group.id);
        Box::pin(async move {
            let key = format!("key {}", number % 4);
            let (message, repeated) = message_and_repeated(
                store.post(with_key(group, &anna, &key, &key), now).await.expect("she is a member"),
            );
            answers.lock().expect("no task panicked").push((key, message.id, repeated));
        }) as Task
    });
    fixture.together(tasks.collect::<Vec<_>>()).await;
    let answers = answers.lock().expect("no task panicked").clone();
    let mut by_key: BTreeMap<&str, (BTreeSet<MessageId>, usize)> = BTreeMap::new();
    for (key, id, repeated) in &answers {
        let entry = by_key.entry(key).or_default();
        entry.0.insert(*id);
        entry.1 += usize::from(!repeated);
    }
    assert!(
        by_key.len() == 4 && by_key.values().all(|(ids, stored)| ids.len() == 1 && *stored == 1),
        "{answers:?}"
    );
    assert_eq!(fixture.published().len(), 4);
    assert_eq!(fixture.history(&group, &anna, HistoryRange::All).await.len(), 4);
}

/// The message keeps its place in the history.
pub async fn an_edit_takes_the_next_version(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let first = fixture.post(&group, &anna, "first").await;
    let second = fixture.post(&group, &boris, "second").await;
    fixture.events();
    for (number, version) in (3..6).enumerate() {
        let now = fixture.tick();
        let text = format!("edit {number}");
        let edit = EditMessage {
            flow: Some(group.id),
            origin: origin("5"),
            ..editing(&anna, first.id, &text)
        };
        let edited = fixture.store.edit(edit, now).await.expect("it is hers");
        let expected = Message {
            content: Content::text(text),
            version: Version(version),
            edited_at: Some(now),
            changed_at: edited.changed_at,
            ..first.clone()
        };
        assert_eq!(edited, expected);
        assert!(edited.changed_at >= now);
        let events = fixture.events();
        assert_eq!(
            events.iter().map(|event| (**event).clone()).collect::<Vec<_>>(),
            [Event {
                occurred_at: now,
                committed_at: Some(edited.changed_at),
                origin: origin("5"),
                kind: EventKind::Edited(edited.clone())
            }]
        );
        let page = fixture
            .store
            .history(page_of(group.id, boris.id, HistoryRange::All, 10))
            .await
            .expect("the flow exists");
        assert_eq!((page.messages, page.version), (vec![edited, second.clone()], Version(version)));
    }
}

/// A user who is not a member does not learn that the message exists.
pub async fn an_edit_that_must_not_be_made_is_refused(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let other = fixture.group(&anna, &[]).await;
    let message = fixture.post(&group, &anna, "text").await;
    let deleted = fixture.post(&group, &anna, "deleted").await;
    fixture.delete(&anna, &[&deleted]).await;
    fixture.events();
    let edit = |by: &User, id| editing(by, id, "changed");
    for (edit, fault) in [
        (edit(&anna, MessageId::new(999).expect("an id")), Fault::NoSuchMessage),
        (edit(&anna, deleted.id), Fault::NoSuchMessage),
        (EditMessage { flow: Some(other.id), ..edit(&anna, message.id) }, Fault::NoSuchMessage),
        (edit(&clara, message.id), Fault::NoSuchMessage),
        (edit(&boris, message.id), Fault::NotAuthor),
        (EditMessage { administrator: true, ..edit(&clara, message.id) }, Fault::NotAuthor),
    ] {
        let now = fixture.tick();
        assert_eq!(fixture.store.edit(edit.clone(), now).await, refused(fault), "{edit:?}");
    }
    // A former member may not change their messages, except as administrator.
    let his = fixture.post(&group, &boris, "his").await;
    let now = fixture.tick();
    fixture
        .store
        .remove_members(group.id, anna.id, &[boris.id], None, now)
        .await
        .expect("she owns it");
    fixture.events();
    assert_eq!(fixture.store.edit(edit(&boris, his.id), now).await, refused(Fault::NoSuchMessage));
    assert_eq!(fixture.published(), []);
    assert_eq!(fixture.history(&group, &anna, HistoryRange::All).await, ["text", "his"]);
    let edited =
        fixture.store.edit(EditMessage { administrator: true, ..edit(&boris, his.id) }, now).await;
    assert_eq!(edited.map(|message| message.content.text), Ok("changed".into()));
}

/// Deleted, of another author, or absent; one event for each flow.
pub async fn a_deletion_reports_what_became_of_each_message(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let other = fixture.group(&anna, &[]).await;
    let foreign = fixture.group(&clara, &[]).await;
    let (a1, b1) =
        (fixture.post(&group, &anna, "a1").await, fixture.post(&group, &boris, "b1").await);
    let (a2, o1) =
        (fixture.post(&group, &anna, "a2").await, fixture.post(&other, &anna, "o1").await);
    let (c1, a3) =
        (fixture.post(&foreign, &clara, "c1").await, fixture.post(&group, &anna, "a3").await);
    fixture.events();
    let absent = MessageId::new(999).expect("an id");
    let now = fixture.tick();
    let messages = vec![a2.id, absent, b1.id, o1.id, a2.id, c1.id, a1.id];
    let request = DeleteMessages { origin: origin("6"), messages, ..deletion(&anna, &[]) };
    let done = fixture.store.delete(request, now).await;
    let expected = Deleted {
        deleted: vec![a2.id, o1.id, a1.id],
        not_author: vec![b1.id],
        absent: vec![absent, c1.id],
    };
    assert_eq!(done, Ok(expected));
    let events = fixture.events();
    assert!(
        events.iter().all(|event| event.occurred_at == now && event.origin == origin("6")),
        "{events:?}"
    );
    let mut kinds: Vec<EventKind> = events.iter().map(|event| event.kind.clone()).collect();
    kinds.sort_by_key(
        |kind| if let EventKind::Deleted { flow, .. } = kind { Some(*flow) } else { None },
    );
    let deleted =
        |flow: &Flow, messages| EventKind::Deleted { flow: flow.id, by: anna.id, messages };
    assert_eq!(
        kinds,
        [
            deleted(&group, vec![(a2.id, Version(5)), (a1.id, Version(6))]),
            deleted(&other, vec![(o1.id, Version(2))]),
        ]
    );
    assert_eq!(fixture.history(&group, &anna, HistoryRange::All).await, ["b1", "a3"]);
    let flow = fixture.store.flow(group.id).await.expect("the store answers").expect("it exists");
    assert_eq!(flow.version, Version(6));

    // A deleted message has no content.
    let left =
        fixture.store.messages_after(group.id, Version(4), 10).await.expect("the store answers");
    assert_eq!(ids(&left), [a2.id, a1.id]);
    for message in left {
        assert_eq!((message.content, message.deleted_at), (Content::default(), Some(now)));
        assert!(message.changed_at >= now);
    }

    // Deleted before, in another flow, absent.
    assert_eq!(
        fixture.delete(&anna, &[&a1]).await,
        Deleted { absent: vec![a1.id], ..Deleted::default() }
    );
    let elsewhere = DeleteMessages { flow: Some(other.id), ..deletion(&anna, &[&a3]) };
    assert_eq!(
        fixture.store.delete(elsewhere, now).await,
        Ok(Deleted { absent: vec![a3.id], ..Deleted::default() })
    );
    assert_eq!(
        fixture.delete(&clara, &[&a3]).await,
        Deleted { absent: vec![a3.id], ..Deleted::default() }
    );
    assert_eq!(
        fixture.delete(&boris, &[&a3]).await,
        Deleted { not_author: vec![a3.id], ..Deleted::default() }
    );
    assert_eq!(fixture.delete(&anna, &[]).await, Deleted::default());
    assert_eq!(fixture.published(), []);

    let as_administrator = DeleteMessages { administrator: true, ..deletion(&clara, &[&a3, &b1]) };
    let done = fixture.store.delete(as_administrator, now).await;
    assert_eq!(done, Ok(Deleted { deleted: vec![a3.id, b1.id], ..Deleted::default() }));
    let deleted = EventKind::Deleted {
        flow: group.id,
        by: clara.id,
        messages: vec![(a3.id, Version(7)), (b1.id, Version(8))],
    };
    assert_eq!(fixture.published(), [deleted]);
}

/// One message of another author or an absent one keeps all others, in their versions too.
pub async fn a_deletion_of_all_or_none_deletes_nothing_unless_it_can_delete_all(
    fixture: &mut Fixture,
) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let (a1, b1, a2) = (
        fixture.post(&group, &anna, "a1").await,
        fixture.post(&group, &boris, "b1").await,
        fixture.post(&group, &anna, "a2").await,
    );
    let absent = MessageId::new(999).expect("an id");
    fixture.events();
    let all = |messages: &[MessageId]| DeleteMessages {
        messages: messages.to_vec(),
        all_or_none: true,
        ..deletion(&anna, &[])
    };
    let now = fixture.tick();
    for (messages, expected) in [
        (vec![a1.id, b1.id, a2.id], Deleted { not_author: vec![b1.id], ..Deleted::default() }),
        (vec![a1.id, a2.id, absent], Deleted { absent: vec![absent], ..Deleted::default() }),
    ] {
        assert_eq!(fixture.store.delete(all(&messages), now).await, Ok(expected));
        assert_eq!(fixture.published(), []);
        let texts = fixture.history(&group, &anna, HistoryRange::All).await;
        assert_eq!(texts, ["a1", "b1", "a2"]);
    }
    let done = fixture.store.delete(all(&[a2.id, a1.id, a2.id]), now).await;
    assert_eq!(done, Ok(Deleted { deleted: vec![a2.id, a1.id], ..Deleted::default() }));
    let deleted = EventKind::Deleted {
        flow: group.id,
        by: anna.id,
        messages: vec![(a2.id, Version(4)), (a1.id, Version(5))],
    };
    assert_eq!(fixture.published(), [deleted]);
}
