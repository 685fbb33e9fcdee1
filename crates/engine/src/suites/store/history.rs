//! Trials of [`MessageStore`](crate::ports::MessageStore): history, read marks and changes.

use super::fixture::{
    Fixture, ROOM, deletion, editing, ids, mark_of, new_message, page_of, refused, texts,
};
use crate::ports::{FlowLimits, MAX_CHANGED_FLOWS, UserChange};
use crate::suites::support::{Task, turn};
use std::collections::{BTreeMap, BTreeSet};
use tolmach_domain::{
    Content, Fault, Flow, FlowId, HistoryRange, Message, MessageId, Timestamp, User, Version,
};

/// From either end, beyond any offset.
pub async fn history_leaves_out_deleted_messages(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let empty = fixture.group(&anna, &[]).await;
    let mut messages = Vec::new();
    for number in 0..10 {
        messages.push(fixture.post(&group, &anna, &number.to_string()).await);
    }
    fixture.delete(&anna, &[&messages[2], &messages[8], &messages[9]]).await;
    let now = fixture.tick();
    fixture.store.edit(editing(&anna, messages[3].id, "3!"), now).await.expect("it is hers");
    let newest = |limit, offset| HistoryRange::Newest { limit, offset };
    for (range, limit, expected) in [
        (HistoryRange::All, 1000, vec!["0", "1", "3!", "4", "5", "6", "7"]),
        (HistoryRange::All, 3, vec!["5", "6", "7"]),
        (newest(1000, 0), 1000, vec!["0", "1", "3!", "4", "5", "6", "7"]),
        (newest(2, 0), 1000, vec!["6", "7"]),
        (newest(5, 0), 2, vec!["6", "7"]),
        (newest(2, 1), 1000, vec!["5", "6"]),
        (newest(2, 3), 1000, vec!["3!", "4"]),
        (newest(3, 5), 1000, vec!["0", "1"]),
        (newest(3, 7), 1000, vec![]),
        (newest(3, u32::MAX), 1000, vec![]),
        (newest(0, 0), 1000, vec![]),
        (newest(u32::MAX, 0), u32::MAX, vec!["0", "1", "3!", "4", "5", "6", "7"]),
    ] {
        // The viewer makes no difference: the caller checks the membership.
        for viewer in [&anna, &boris] {
            let page = fixture
                .store
                .history(page_of(group.id, viewer.id, range, limit))
                .await
                .expect("the flow exists");
            assert_eq!(texts(&page.messages), expected, "{range:?}, {limit}");
            assert_eq!((page.flow, page.version), (group.id, Version(14)));
        }
    }
    let page = fixture
        .store
        .history(page_of(empty.id, boris.id, HistoryRange::All, 10))
        .await
        .expect("the flow exists");
    assert_eq!((page.messages, page.version), (vec![], Version(0)));
    let absent = FlowId::new(999).expect("an id");
    let absent = fixture.store.history(page_of(absent, anna.id, HistoryRange::All, 10)).await;
    assert_eq!(absent, refused(Fault::NoSuchFlow));
}

/// Also in a flow whose first message is posted while the page is read: a subscriber is sent only
/// what is newer than the page's version.
pub async fn a_page_has_every_message_up_to_its_version(fixture: &mut Fixture) {
    const FLOWS: usize = 40;
    let anna = fixture.user("anna").await;
    for _ in 0..FLOWS {
        let group = fixture.group(&anna, &[]).await;
        let now = fixture.tick();
        let (flow, author) = (group.id, anna.id);
        let (store, message) = (fixture.store.clone(), new_message(flow, &anna, "first"));
        let posting: Task = Box::pin(async move {
            store.post(message, now).await.expect("she is a member");
        });
        let store = fixture.store.clone();
        let reading: Task = Box::pin(async move {
            loop {
                let newest = HistoryRange::Newest { limit: 10, offset: 0 };
                let page = store
                    .history(page_of(flow, author, newest, 10))
                    .await
                    .expect("the flow exists");
                let last = page.messages.last().map_or(Version(0), |message| message.version);
                assert_eq!(page.version, last, "the page lacks a message");
                if !page.messages.is_empty() {
                    return;
                }
                turn().await;
            }
        });
        fixture.together(vec![reading, posting]).await;
    }
}

/// Each member has a mark; one's own messages are never unread. Reading moves no mark.
pub async fn messages_after_the_mark_are_unread(fixture: &mut Fixture) {
    let [anna, boris, clara, dora] = fixture.users(["anna", "boris", "clara", "dora"]).await;
    let group = fixture.group(&anna, &[&boris, &clara]).await;
    for number in 0..3 {
        fixture.post(&group, &anna, &format!("a{number}")).await;
        fixture.post(&group, &boris, &format!("b{number}")).await;
    }
    let read_by = async |fixture: &Fixture, user: &User, limit| {
        let unread = page_of(group.id, user.id, HistoryRange::Unread, limit);
        let page = fixture.store.history(unread).await.expect("the flow exists");
        assert_eq!(fixture.store.history(unread).await.as_ref(), Ok(&page), "no mark has moved");
        if let Some(mark) = mark_of(user.id, &page.messages) {
            fixture.store.move_read_mark(mark).await.expect("the store answers");
        }
        let mark = fixture
            .store
            .flow_summary(group.id, Some(user.id), false, ROOM)
            .await
            .expect("the store answers")
            .expect("it exists")
            .read;
        (texts(&page.messages), mark.0)
    };
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(read_by(fixture, &boris, 2).await, (strings(&["a0", "a1"]), 3));
    assert_eq!(read_by(fixture, &boris, 10).await, (strings(&["a2"]), 5));
    assert_eq!(read_by(fixture, &boris, 10).await, (vec![], 5));
    assert_eq!(
        read_by(fixture, &clara, 10).await,
        (strings(&["a0", "b0", "a1", "b1", "a2", "b2"]), 6)
    );
    assert_eq!(read_by(fixture, &anna, 0).await, (vec![], 0));
    // Other ranges leave the mark.
    fixture.history(&group, &anna, HistoryRange::All).await;
    fixture.history(&group, &anna, HistoryRange::Newest { limit: 5, offset: 0 }).await;
    assert_eq!(read_by(fixture, &anna, 1).await, (strings(&["b0"]), 2));
    // A viewer who is not a member has no mark.
    for _ in 0..2 {
        assert_eq!(read_by(fixture, &dora, 1).await, (strings(&["a0"]), 0));
    }
    // Deleted messages are left out; an edit does not make a message unread.
    let page = fixture
        .store
        .history(page_of(group.id, anna.id, HistoryRange::All, 10))
        .await
        .expect("the flow exists")
        .messages;
    fixture.delete(&boris, &[&page[3]]).await;
    let now = fixture.tick();
    fixture.store.edit(editing(&boris, page[1].id, "b0!"), now).await.expect("he is the author");
    assert_eq!(read_by(fixture, &anna, 10).await, (strings(&["b2"]), 6));
    fixture.post(&group, &boris, "b3").await;
    assert_eq!(read_by(fixture, &anna, 10).await, (strings(&["b3"]), 9));
}

/// Publishes nothing.
pub async fn a_read_mark_moves_forward_only(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    for number in 1..=5 {
        fixture.post(&group, &anna, &format!("a{number}")).await;
    }
    fixture.post(&group, &boris, "b6").await;
    fixture.published();
    let read_by = async |fixture: &Fixture, user: &User, range, mark_read| {
        let query = page_of(group.id, user.id, range, 10);
        let page = fixture.store.history(query).await.expect("the flow exists");
        if let Some(mark) = mark_of(user.id, &page.messages).filter(|_| mark_read) {
            fixture.store.move_read_mark(mark).await.expect("the store answers");
        }
        let summary = fixture.store.flow_summary(group.id, Some(user.id), false, ROOM).await;
        let mark = summary.expect("the store answers").expect("the flow exists").read;
        (page.messages.len(), mark.0)
    };
    let newest = |limit, offset| HistoryRange::Newest { limit, offset };
    assert_eq!(read_by(fixture, &boris, newest(2, 3), false).await, (2, 0));
    assert_eq!(read_by(fixture, &boris, newest(2, 3), true).await, (2, 3));
    assert_eq!(read_by(fixture, &boris, newest(1, 5), true).await, (1, 3), "it never moves back");
    assert_eq!(
        read_by(fixture, &boris, newest(5, 6), true).await,
        (0, 3),
        "an empty page does not move it"
    );
    assert_eq!(read_by(fixture, &boris, HistoryRange::All, false).await, (6, 3));
    assert_eq!(read_by(fixture, &boris, HistoryRange::All, true).await, (6, 6));
    assert_eq!(read_by(fixture, &boris, HistoryRange::Unread, true).await, (0, 6));
    fixture.post(&group, &anna, "a7").await;
    assert_eq!(read_by(fixture, &boris, HistoryRange::Unread, false).await, (1, 6));
    assert_eq!(read_by(fixture, &boris, HistoryRange::Unread, true).await, (1, 7));
    assert_eq!(
        read_by(fixture, &anna, HistoryRange::All, false).await,
        (7, 0),
        "marks are each user's"
    );
    let _ = fixture.published();
    for _ in 0..2 {
        assert_eq!(
            read_by(fixture, &clara, HistoryRange::All, true).await,
            (7, 0),
            "a viewer who is not a member has no mark"
        );
    }
    assert_eq!(fixture.published(), []);
}

/// Of all of the user's flows, or of one; a request from `until` returns later changes only.
pub async fn changes_have_messages_flows_and_the_user(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let (group, other) =
        (fixture.group(&anna, &[&boris]).await, fixture.group(&anna, &[&boris]).await);
    let foreign = fixture.group(&clara, &[]).await;
    let first = fixture.post(&group, &anna, "first").await;
    let second = fixture.post(&other, &boris, "second").await;
    fixture.post(&foreign, &clara, "foreign").await;
    let (store, boris_id) = (fixture.store.clone(), boris.id);
    let changes = async |since, flow: Option<&Flow>| {
        let changes = store
            .changes(boris_id, since, flow.map(|flow| flow.id), 100, ROOM)
            .await
            .expect("the store answers");
        assert!(!changes.more);
        let flows: BTreeSet<FlowId> =
            changes.flows.iter().map(|flow_summary| flow_summary.flow.id).collect();
        (ids(&changes.messages), flows, changes.user.is_some(), changes.until)
    };
    let beginning = Timestamp::default();
    let (messages, flows, user, until) = changes(beginning, None).await;
    assert_eq!(
        (messages, flows, user),
        (vec![first.id, second.id], BTreeSet::from([group.id, other.id]), true)
    );
    let (messages, flows, _, _) = changes(beginning, Some(&other)).await;
    assert_eq!((messages, flows), (vec![second.id], BTreeSet::from([other.id])));
    let (messages, flows, _, _) = changes(beginning, Some(&foreign)).await;
    assert_eq!((messages, flows), (vec![], BTreeSet::new()));
    assert_eq!(changes(until, None).await, (vec![], BTreeSet::new(), false, until));

    // Edits and deletions are changes; those in other flows are not.
    let now = fixture.tick();
    fixture.store.edit(editing(&anna, first.id, "first!"), now).await.expect("it is hers");
    fixture.post(&foreign, &clara, "foreign").await;
    let (messages, flows, user, until) = changes(until, None).await;
    assert_eq!((messages, flows, user), (vec![first.id], BTreeSet::from([group.id]), false));
    fixture.delete(&boris, &[&second]).await;
    let changes =
        fixture.store.changes(boris.id, until, None, 100, ROOM).await.expect("the store answers");
    assert_eq!(ids(&changes.messages), [second.id]);
    assert!(
        changes.messages[0].deleted_at.is_some()
            && changes.messages[0].content == Content::default()
    );
    let until = changes.until;

    // The user's record, new members, and changes at the same `now`.
    let change = UserChange { bio: Some("bio".into()), ..UserChange::default() };
    let updated = fixture.store.update_user(boris.id, change, now).await.expect("the user exists");
    fixture
        .store
        .add_members(other.id, anna.id, &[clara.id], FlowLimits::NONE, None, now)
        .await
        .expect("she owns it");
    let changes =
        fixture.store.changes(boris.id, until, None, 100, ROOM).await.expect("the store answers");
    assert_eq!((changes.messages, changes.user.as_deref()), (vec![], Some(&updated)));
    assert_eq!(
        changes.flows.iter().map(|flow_summary| flow_summary.flow.id).collect::<Vec<_>>(),
        [other.id]
    );
    let nothing = fixture
        .store
        .changes(boris.id, changes.until, None, 100, ROOM)
        .await
        .expect("the store answers");
    assert_eq!(
        (nothing.messages, nothing.flows, nothing.user, nothing.more),
        (vec![], vec![], None, false)
    );
}

/// Every post, edit and deletion is seen once, in order.
pub async fn changes_are_paged_without_gap_or_repeat_while_others_write(fixture: &mut Fixture) {
    const WRITERS: usize = 3;
    const ROUNDS: usize = 30;
    let reader = fixture.user("reader").await;
    let (now, mut tasks) = (fixture.tick(), Vec::<Task>::new());
    let mut flows = Vec::new();
    for number in 0..WRITERS {
        let writer = fixture.user(&format!("writer {number}")).await;
        let flow = fixture.group(&writer, &[&reader]).await;
        flows.push(flow.clone());
        let store = fixture.store.clone();
        tasks.push(Box::pin(async move {
            for round in 0..ROUNDS {
                // All changes have the same `now`, so that the store makes their commit times
                // unique.
                let text = round.to_string();
                let message = store
                    .post(new_message(flow.id, &writer, &text), now)
                    .await
                    .expect("a member")
                    .into_message();
                if round % 3 == 0 {
                    store
                        .edit(editing(&writer, message.id, "edited"), now)
                        .await
                        .expect("the author");
                }
                if round % 5 == 0 {
                    store.delete(deletion(&writer, &[&message]), now).await.expect("the author");
                }
            }
        }));
    }
    let tasks: Vec<Task> = tasks.into_iter().map(fixture.spawn).collect();
    let mut known: BTreeMap<MessageId, Message> = BTreeMap::new();
    let (mut since, mut known_flows, mut quiet) = (Timestamp::default(), BTreeMap::new(), false);
    let mut tasks = tasks.into_iter();
    loop {
        let changes = fixture
            .store
            .changes(reader.id, since, None, 7, ROOM)
            .await
            .expect("the store answers");
        assert!(changes.messages.len() <= 7);
        assert!(
            changes
                .messages
                .iter()
                .all(|message| message.changed_at > since && message.changed_at <= changes.until)
        );
        assert!(changes.messages.is_sorted_by(|one, next| one.changed_at < next.changed_at));
        assert!(!changes.more || changes.messages.len() == 7);
        for message in changes.messages {
            let before = known.insert(message.id, message.clone());
            assert!(
                before.is_none_or(|before| before.version < message.version),
                "{message:?} was returned twice"
            );
        }
        for flow_summary in changes.flows {
            known_flows.insert(flow_summary.flow.id, flow_summary.flow);
        }
        assert!(changes.until >= since);
        since = changes.until;
        if changes.more {
            continue;
        }
        if quiet {
            break;
        }
        // One more round after the writers have finished.
        match tasks.next() {
            Some(task) => task.await,
            None => quiet = true,
        }
        turn().await;
    }
    for flow in &flows {
        let expected = fixture
            .store
            .messages_after(flow.id, Version(0), 10_000)
            .await
            .expect("the store answers");
        assert_eq!(expected.len(), ROUNDS);
        let mut seen: Vec<Message> =
            known.values().filter(|message| message.flow == flow.id).cloned().collect();
        seen.sort_by_key(|message| message.version);
        assert_eq!(seen, expected);
        assert_eq!(
            Some(known_flows.get(&flow.id)),
            fixture.store.flow(flow.id).await.expect("the store answers").as_ref().map(Some)
        );
    }
}

/// Each message once, with its newest version.
pub async fn messages_after_a_version_fill_a_gap(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let group = fixture.group(&anna, &[]).await;
    let mut messages = Vec::new();
    for number in 0..5 {
        messages.push(fixture.post(&group, &anna, &number.to_string()).await);
    }
    let now = fixture.tick();
    fixture.store.edit(editing(&anna, messages[1].id, "1!"), now).await.expect("it is hers");
    fixture.delete(&anna, &[&messages[3]]).await;
    for (after, limit, expected) in [
        (0, 10, vec![(0, 1), (2, 3), (4, 5), (1, 6), (3, 7)]),
        (0, 2, vec![(0, 1), (2, 3)]),
        (3, 2, vec![(4, 5), (1, 6)]),
        (5, 10, vec![(1, 6), (3, 7)]),
        (7, 10, vec![]),
        (100, 10, vec![]),
    ] {
        let found = fixture
            .store
            .messages_after(group.id, Version(after), limit)
            .await
            .expect("the store answers");
        let found: Vec<(MessageId, i64)> =
            found.iter().map(|message| (message.id, message.version.0)).collect();
        let expected: Vec<(MessageId, i64)> = expected
            .into_iter()
            .map(|(place, version): (usize, i64)| (messages[place].id, version))
            .collect();
        assert_eq!(found, expected, "after {after}");
    }
    assert_eq!(
        fixture.store.messages_after(FlowId::new(999).expect("an id"), Version(0), 10).await,
        Ok(vec![])
    );
}

/// The flows that changed first, with the messages up to the last of them.
pub async fn a_page_of_changes_ends_with_the_last_of_many_flows(fixture: &mut Fixture) {
    const MOST: usize = MAX_CHANGED_FLOWS as usize;
    const FLOWS: usize = MOST + 3;
    let anna = fixture.user("anna").await;
    let (mut flows, mut messages) = (Vec::new(), Vec::new());
    for number in 0..FLOWS {
        let flow = fixture.group(&anna, &[]).await;
        messages.push(fixture.post(&flow, &anna, &number.to_string()).await.id);
        flows.push(flow.id);
    }
    let mut since = Timestamp::default();
    for (expected, more) in [(0..MOST, true), (MOST..FLOWS, false)] {
        let page = fixture.store.changes(anna.id, since, None, 1_000, ROOM).await;
        let page = page.expect("the store answers");
        let found: Vec<FlowId> = page.flows.iter().rev().map(|summary| summary.flow.id).collect();
        assert_eq!(found, flows[expected.clone()]);
        assert_eq!((ids(&page.messages), page.more), (messages[expected].to_vec(), more));
        since = page.until;
    }
}

/// Also where flows changed one after the other, or one of them much more often than the others.
pub async fn changes_of_uneven_flows_are_merged_in_commit_order(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let mut flows = Vec::new();
    for _ in 0..9 {
        flows.push(fixture.group(&anna, &[&boris]).await);
    }
    let mut posted = Vec::new();
    // One after the other, then in turn, then the last one alone.
    let places = (0..6).flat_map(|flow| [flow; 7]).chain((0..4).flat_map(|_| 0..8));
    for (number, flow) in places.chain([7; 40]).enumerate() {
        posted.push(fixture.post(&flows[flow], &anna, &number.to_string()).await);
    }
    // The first ones move to the end.
    for message in &posted[..3] {
        let now = fixture.tick();
        let edited = fixture.store.edit(editing(&anna, message.id, "edited"), now).await;
        edited.expect("she is the author");
    }
    posted.rotate_left(3);
    let expected = ids(&posted);
    for limit in [1, 2, 5, 8, 31, expected.len() - 1, expected.len(), 1_000] {
        let (mut since, mut found) = (Timestamp::default(), Vec::new());
        loop {
            let limit = u32::try_from(limit).expect("it is small");
            let changes = fixture.store.changes(boris.id, since, None, limit, ROOM).await;
            let changes = changes.expect("the store answers");
            assert!(!changes.more || changes.messages.len() == limit as usize);
            found.extend(ids(&changes.messages));
            since = changes.until;
            if !changes.more {
                break;
            }
        }
        assert_eq!(found, expected, "{limit}");
    }
}
