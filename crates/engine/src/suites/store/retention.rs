//! Trials of [`RetentionStore`](crate::ports::RetentionStore).

use super::fixture::{
    Fixture, ROOM, deletion, editing, message_and_repeated, new_message, new_user, refused,
    with_key,
};
use crate::ports::{
    CreateFlow, ExternalIdRow, FlowLimits, FlowRetention, NewUser, PruneCount, ReadMark, Retention,
};
use std::num::NonZeroU32;
use std::time::Duration;
use tolmach_domain::{
    ExternalId, Fault, Flow, FlowId, FlowKind, HistoryRange, IdNamespace, MessageId, ObjectId,
    PhotoKey, Timestamp, User, Version,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Every kind for as long.
fn for_days(days: u32) -> Retention {
    let period = Some(DAY * days);
    Retention { chats: period, groups: period, channels: period, ..Retention::default() }
}

/// Removes everything that is too old, and counts it.
async fn prune(fixture: &Fixture, retention: &Retention, now: Timestamp) -> Vec<PruneCount> {
    let (mut removed, mut after) = (Vec::new(), None);
    loop {
        let step = fixture.store.prune(retention, after, now).await.expect("the store answers");
        step.removed.into_iter().for_each(|count| count.add_to(&mut removed));
        if !step.more {
            return removed;
        }
        after = step.after;
    }
}

fn records(counts: &[PruneCount], kind: &str) -> u64 {
    counts.iter().find(|count| count.kind == kind).map_or(0, |count| count.records)
}

async fn chat(fixture: &mut Fixture, one: &User, other: &User) -> Flow {
    let now = fixture.tick();
    let chat = fixture.store.open_chat(one.id, other.id, FlowLimits::NONE, None, now).await;
    chat.expect("both exist").into_flow()
}

/// At the bound: one that is exactly as old goes, a younger one stays.
pub async fn old_messages_are_pruned_by_the_kind_of_their_flow(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let flows = [
        chat(fixture, &anna, &boris).await,
        fixture.group(&anna, &[&boris]).await,
        fixture.flow(FlowKind::Channel, &anna, &[&boris]).await,
    ];
    let mut times = Vec::new();
    for flow in &flows {
        let first = fixture.post(flow, &anna, "first").await;
        fixture.post(flow, &anna, "second").await;
        times.push(first.posted_at);
    }
    let day = Some(DAY);
    let keep = Retention::default;
    for (retention, flow) in [
        (Retention { chats: day, ..keep() }, 0),
        (Retention { groups: day, ..keep() }, 1),
        (Retention { channels: day, ..keep() }, 2),
    ] {
        let just_before = Timestamp::from_micros(times[flow].after(DAY).micros() - 1);
        assert_eq!(records(&prune(fixture, &retention, just_before).await, "messages"), 0);
        assert_eq!(fixture.history(&flows[flow], &anna, HistoryRange::All).await.len(), 2);
        let removed = prune(fixture, &retention, times[flow].after(DAY)).await;
        assert_eq!(records(&removed, "messages"), 1, "{retention:?}");
        assert_eq!(fixture.history(&flows[flow], &anna, HistoryRange::All).await, ["second"]);
    }
    for flow in &flows {
        assert_eq!(fixture.history(flow, &boris, HistoryRange::All).await, ["second"]);
    }
    let much_later = fixture.now.after(DAY * 10_000);
    assert_eq!(records(&prune(fixture, &keep(), much_later).await, "messages"), 0);
}

/// Longer or shorter than that of its kind, also where its kind has none.
pub async fn a_flow_may_have_a_retention_of_its_own(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let (short, long) = (fixture.group(&anna, &[]).await, fixture.group(&anna, &[]).await);
    let other = fixture.group(&anna, &[]).await;
    let days = |days| FlowRetention::Days(NonZeroU32::new(days).expect("not zero"));
    assert_eq!(fixture.store.flow_retention(short.id).await, Ok(FlowRetention::OfKind));
    for (flow, own) in [(&short, days(2)), (&long, FlowRetention::Forever), (&long, days(20))] {
        assert_eq!(fixture.store.set_flow_retention(flow.id, own).await, Ok(()));
        assert_eq!(fixture.store.flow_retention(flow.id).await, Ok(own));
    }
    let absent = FlowId::new(999).expect("an id");
    assert_eq!(fixture.store.flow_retention(absent).await, refused(Fault::NoSuchFlow));
    let unset = fixture.store.set_flow_retention(absent, days(1)).await;
    assert_eq!(unset, refused(Fault::NoSuchFlow));
    for flow in [&short, &long, &other] {
        fixture.post(flow, &anna, "text").await;
    }
    let posted = fixture.now;
    for (age, retention, left) in [
        (1, for_days(10), [1, 1, 1]),
        (2, for_days(10), [0, 1, 1]),
        (9, Retention::default(), [0, 1, 1]),
        (10, for_days(10), [0, 1, 0]),
        (20, Retention::default(), [0, 0, 0]),
    ] {
        prune(fixture, &retention, posted.after(DAY * age)).await;
        for (flow, left) in [&short, &long, &other].into_iter().zip(left) {
            let found = fixture.history(flow, &anna, HistoryRange::All).await.len();
            assert_eq!(found, left, "after {age} days");
        }
    }
    let own = fixture.store.set_flow_retention(short.id, FlowRetention::OfKind).await;
    assert_eq!(own, Ok(()));
    assert_eq!(fixture.store.flow_retention(short.id).await, Ok(FlowRetention::OfKind));
}

/// Its version, its read marks and its place in lists stay. A message that was pruned is not found
/// in any way, and nothing is published.
pub async fn a_flow_goes_on_after_its_messages_were_pruned(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let mut messages = Vec::new();
    for number in 0..3 {
        messages.push(fixture.post(&group, &anna, &number.to_string()).await);
    }
    let read = ReadMark { flow: group.id, viewer: boris.id, version: Version(3) };
    assert_eq!(fixture.store.move_read_mark(read).await, Ok(()));
    let before = fixture.store.flow(group.id).await.expect("the store answers");
    let times = fixture.store.last_commit_time().await.expect("the store answers");
    fixture.published();
    let now = fixture.now.after(DAY);
    assert_eq!(records(&prune(fixture, &for_days(1), now).await, "messages"), 3);
    assert!(fixture.published().is_empty(), "nothing is published");
    assert_eq!(fixture.store.flow(group.id).await.expect("the store answers"), before);
    for range in [
        HistoryRange::All,
        HistoryRange::Unread,
        HistoryRange::Newest { limit: 10, offset: 0 },
        HistoryRange::Newest { limit: 10, offset: 1 },
    ] {
        let none: [&str; 0] = [];
        assert_eq!(fixture.history(&group, &boris, range).await, none, "{range:?}");
    }
    let store = fixture.store.clone();
    let after = store.messages_after(group.id, Version(0), 10).await;
    assert_eq!(after, Ok(vec![]));
    let changes = store.changes(boris.id, Timestamp::default(), None, 10, ROOM).await;
    let changes = changes.expect("the store answers");
    assert!(changes.messages.is_empty() && !changes.more, "{changes:?}");
    assert!(changes.until >= times);
    let summary = store.flow_summary(group.id, Some(boris.id), false, ROOM).await;
    let summary = summary.expect("the store answers").expect("it exists");
    assert_eq!((summary.first, summary.last), (None, None));
    assert_eq!((summary.read, summary.flow.version), (Version(3), Version(3)));
    // Changing what is gone fails as for what never was.
    let gone = messages[0].id;
    let edited = store.edit(editing(&anna, gone, "new"), now).await;
    assert_eq!(edited, refused(Fault::NoSuchMessage));
    let deleted = store.delete(deletion(&anna, &[&messages[1]]), now).await;
    assert_eq!(deleted.expect("the store answers").absent, [messages[1].id]);
    let mut reply = new_message(group.id, &anna, "reply");
    reply.content.reply_to = Some(gone);
    assert_eq!(store.post(reply, now).await.map(drop), refused(Fault::NoSuchMessage));
    // The next message has the next version and a new id, and is unread.
    let next = store.post(new_message(group.id, &anna, "next"), now).await;
    let next = next.expect("she is a member").into_message();
    assert_eq!((next.posted, next.version), (Version(4), Version(4)));
    assert!(next.id > messages[2].id);
    assert_eq!(fixture.history(&group, &boris, HistoryRange::Unread).await, ["next"]);
}

/// At the bound, after the deletion and not after the posting.
pub async fn the_records_of_deleted_messages_are_pruned_after_their_own_period(
    fixture: &mut Fixture,
) {
    let anna = fixture.user("anna").await;
    let group = fixture.group(&anna, &[]).await;
    let (one, other) =
        (fixture.post(&group, &anna, "one").await, fixture.post(&group, &anna, "other").await);
    fixture.now = fixture.now.after(DAY * 5);
    fixture.delete(&anna, &[&one]).await;
    let deleted = fixture.now;
    let retention = Retention { deleted_messages: Some(DAY), ..Retention::default() };
    let just_before = Timestamp::from_micros(deleted.after(DAY).micros() - 1);
    for (now, records_removed, left) in
        [(just_before, 0, vec![other.id, one.id]), (deleted.after(DAY), 1, vec![other.id])]
    {
        let removed = prune(fixture, &retention, now).await;
        assert_eq!(records(&removed, "deleted messages"), records_removed);
        assert_eq!(records(&removed, "messages"), 0);
        let found = fixture.store.messages_after(group.id, Version(0), 10).await;
        let found: Vec<MessageId> =
            found.expect("the store answers").iter().map(|message| message.id).collect();
        assert_eq!(found, left);
    }
    let version = fixture.store.flow(group.id).await.expect("the store answers");
    assert_eq!(version.expect("it exists").version, Version(3));
}

/// A retry finds the message; once its key has expired, both are gone.
pub async fn a_message_whose_key_may_be_used_again_is_kept(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let group = fixture.group(&anna, &[]).await;
    let post = with_key(group.id, &anna, "text", "key");
    let now = fixture.tick();
    let first = fixture.store.post(post.clone(), now).await.expect("she is a member");
    let first = first.into_message();
    let hour = Duration::from_secs(60 * 60);
    let retention = Retention { groups: Some(hour), ..Retention::default() };
    let soon = now.after(hour * 23);
    assert_eq!(records(&prune(fixture, &retention, soon).await, "messages"), 0);
    let again = fixture.store.post(post.clone(), soon).await.expect("she is a member");
    assert_eq!(message_and_repeated(again), (first.clone(), true));
    let late = now.after(DAY * 3);
    assert_eq!(records(&prune(fixture, &retention, late).await, "messages"), 1);
    let again = fixture.store.post(post, late).await.expect("she is a member");
    let (second, repeated) = message_and_repeated(again);
    assert!(!repeated && second.id > first.id, "{second:?}");
}

/// A client that knows it reaches no other message.
pub async fn a_pruned_message_keeps_its_external_id(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let group = fixture.group(&anna, &[]).await;
    let message = fixture.post(&group, &anna, "text").await;
    let namespace: IdNamespace = "other".parse().expect("a namespace");
    let row = ExternalIdRow { object: ObjectId::Message(message.id), external: ExternalId(1_000) };
    fixture.store.add_external_ids(&namespace, &[row]).await.expect("both are free");
    let now = fixture.now.after(DAY);
    assert_eq!(records(&prune(fixture, &for_days(1), now).await, "messages"), 1);
    let found = fixture.store.external_ids_of_objects(&namespace, &[row.object]).await;
    assert_eq!(found, Ok(vec![row]));
    let next = fixture.post(&group, &anna, "next").await;
    assert!(next.id.get() > 1_000, "the number of the external id is not given out");
    let stored = fixture.store.stored_messages(&[message.id]).await;
    assert_eq!(stored, Ok(vec![]));
}

/// Each step removes a bounded number, over many flows and in one long one.
pub async fn a_prune_in_steps_removes_what_was_counted(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let mut last = fixture.group(&anna, &[]).await;
    for number in 0..1_300 {
        if number % 3 == 0 && number < 750 {
            last = fixture.group(&anna, &[]).await;
        }
        fixture.post(&last, &anna, "text").await;
    }
    let (retention, now) = (for_days(1), fixture.now.after(DAY));
    let counted = fixture.store.prunable(&retention, now).await.expect("the store answers");
    assert_eq!(records(&counted, "messages"), 1_300);
    let step = fixture.store.prune(&retention, None, now).await.expect("the store answers");
    assert!(step.more && records(&step.removed, "messages") <= 500, "{step:?}");
    let mut removed = step.removed;
    for count in prune(fixture, &retention, now).await {
        count.add_to(&mut removed);
    }
    assert_eq!(removed, counted);
    assert_eq!(fixture.store.prunable(&retention, now).await, Ok(vec![]));
}

/// Those of users and of flows are named.
pub async fn photos_that_nothing_names_are_told_apart(fixture: &mut Fixture) {
    let photo = |key: &str| Some(PhotoKey { key: key.into(), media_type: "image/png".into() });
    let now = fixture.tick();
    let user = NewUser { photo: photo("ab/user"), ..new_user("anna") };
    let anna = fixture.store.create_user(user, now).await.expect("the login is free");
    let group = CreateFlow {
        kind: FlowKind::Group,
        title: "title".into(),
        info: String::new(),
        owner: anna.id,
        photo: photo("ab/flow"),
        members: Vec::new(),
        key: None,
    };
    fixture.store.create_flow(group, FlowLimits::NONE, None, now).await.expect("it is her group");
    let keys = ["ab/none", "ab/user", "ab/flow", "ab/other"].map(str::to_owned);
    let unnamed = fixture.store.unnamed_photos(&keys).await.expect("the store answers");
    assert_eq!(unnamed, ["ab/none", "ab/other"]);
    assert_eq!(fixture.store.unnamed_photos(&[]).await, Ok(vec![]));
}
