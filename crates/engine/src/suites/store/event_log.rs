//! Trials of [`EventLog`](crate::ports::EventLog).

use super::fixture::{Fixture, HOUR, ROOM, editing, new_message, origin};
use crate::ports::{ChangesPage, FlowLimits, NewSession};
use std::collections::BTreeMap;
use std::time::Duration;
use tolmach_domain::{Event, EventKind, FlowId, FlowKindFilter, Timestamp, Version};

/// In the order of publication, in pages of any size, without events before the given time.
pub async fn missed_events_are_found_by_commit_time(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let store = fixture.store.clone();
    let start = store.last_commit_time().await.expect("it is open");
    let group = fixture.group(&anna, &[&boris]).await;
    let doomed = fixture.group(&anna, &[&boris]).await;
    let message = fixture.post(&group, &anna, "first").await;
    let now = fixture.tick();
    store
        .add_members(group.id, anna.id, &[clara.id], FlowLimits::NONE, origin("1"), now)
        .await
        .expect("she is no member");
    let now = fixture.tick();
    store.remove_members(group.id, anna.id, &[boris.id], None, now).await.expect("he is a member");
    let now = fixture.tick();
    store
        .delete_flow(doomed.id, anna.id, FlowKindFilter::Any, None, now)
        .await
        .expect("it is hers");
    let now = fixture.tick();
    let session = NewSession {
        user: clara.id,
        token: None,
        refresh: None,
        max_sessions: u32::MAX,
        now,
        expires_at: now.after(Duration::from_secs(60)),
    };
    let session = store.open_session(session).await.expect("the user exists");
    let now = fixture.tick();
    store.end_session(session, now).await.expect("the user exists");
    fixture.delete(&anna, &[&message]).await;
    let now = fixture.tick();
    store.delete_user(clara.id, now).await.expect("the user exists");

    let published = fixture.events();
    let commit_times: Vec<_> = published
        .iter()
        .map(|event| event.committed_at.expect("a stored event has a commit time"))
        .collect();
    assert!(commit_times.is_sorted_by(|a, b| a < b) && commit_times[0] > start, "{commit_times:?}");
    let unheard: Vec<Event> = published
        .iter()
        // Of a deleted flow only the deletion is left.
        .filter(|event| event.versions().is_none())
        .filter(|event| {
            event.flow() != Some(doomed.id) || matches!(event.kind, EventKind::FlowDeleted { .. })
        })
        .map(|event| {
            let mut event = Event { origin: None, ..Event::clone(event) };
            if let EventKind::FlowCreated { flow, .. } = &mut event.kind {
                // The event has the flow as it is now.
                flow.changed_at = Timestamp::default();
            }
            event
        })
        .collect();
    assert_eq!(unheard.len(), 7, "{unheard:?}");
    for limit in [1, 2, 3, 100] {
        let (mut after, mut events, mut flows) = (start, Vec::new(), BTreeMap::new());
        loop {
            let page = store.changes_after(after, None, limit).await.expect("it is open");
            assert!(
                page.events.len() <= limit as usize && page.flows.len() <= limit as usize,
                "{page:?}"
            );
            events.extend(page.events);
            flows.extend(page.flows);
            assert!(page.until > after || !page.more, "paging would not end");
            after = page.until;
            if !page.more {
                break;
            }
        }
        for event in &mut events {
            if let EventKind::FlowCreated { flow, .. } = &mut event.kind {
                flow.changed_at = Timestamp::default();
            }
        }
        assert_eq!(events, unheard, "{limit} at once");
        assert_eq!(flows, BTreeMap::from([(group.id, Version(2))]), "{limit} at once");
        assert_eq!(store.last_commit_time().await, Ok(after));
        let rest = store.changes_after(after, None, limit).await.expect("it is open");
        assert_eq!(rest, ChangesPage { flows: vec![], events: vec![], until: after, more: false });
    }
}

/// Events are read all the same, and no limit cuts the flows.
pub async fn changes_of_some_flows_leave_out_the_others(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let start = fixture.store.last_commit_time().await.expect("it is open");
    let mut flows = Vec::new();
    for _ in 0..4 {
        flows.push(fixture.group(&anna, &[]).await);
    }
    let [one, two, quiet, other] = &flows[..] else { unreachable!("four were created") };
    let before = fixture.store.last_commit_time().await.expect("it is open");
    for flow in [one, other, two, one, other] {
        fixture.post(flow, &anna, "hello").await;
    }
    for (after, named, expected) in [
        (before, &[one, two, quiet][..], &[(one, 2), (two, 1)][..]),
        (before, &[quiet], &[]),
        (before, &[], &[]),
        (start, &[one, two, quiet], &[(one, 2), (two, 1), (quiet, 0)]),
    ] {
        let named: Vec<FlowId> = named.iter().map(|flow| flow.id).collect();
        let page = fixture.store.changes_after(after, Some(&named), 100).await;
        let page = page.expect("it is open");
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(flow, version)| (flow.id, Version(*version))).collect();
        assert_eq!(page.flows.into_iter().collect::<BTreeMap<_, _>>(), expected);
        assert_eq!(page.events.len(), if after == start { 4 } else { 0 });
        assert_eq!(Ok(page.until), fixture.store.last_commit_time().await);
        assert!(!page.more);
    }
    let named = [one.id, two.id];
    let page = fixture.store.changes_after(before, Some(&named), 1).await.expect("it is open");
    assert!(page.flows.len() == 2 && !page.more, "{page:?}");
}

/// With any clock, and after deletions.
pub async fn commit_times_are_unique_and_ascend(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let (one, two) = (fixture.group(&anna, &[]).await, fixture.group(&anna, &[]).await);
    let now = fixture.tick();
    let mut last = Timestamp::default();
    let back = now.before(HOUR);
    for (number, at) in [now, now, back, now, now.after(HOUR), back].into_iter().enumerate() {
        let flow = if number % 2 == 0 { &one } else { &two };
        let message = fixture
            .store
            .post(new_message(flow.id, &anna, "x"), at)
            .await
            .expect("she is a member")
            .into_message();
        assert!(message.changed_at > last && message.changed_at >= at, "{number}");
        assert_eq!(message.posted_at, at);
        last = message.changed_at;
        let edited =
            fixture.store.edit(editing(&anna, message.id, "y"), at).await.expect("she is a member");
        assert!(edited.changed_at > last && edited.changed_at >= at, "{number}");
        last = edited.changed_at;
    }
    // Deleting the message with the newest commit time does not free that time.
    fixture
        .store
        .delete_flow(two.id, anna.id, FlowKindFilter::Any, None, back)
        .await
        .expect("she owns it");
    let message = fixture
        .store
        .post(new_message(one.id, &anna, "x"), back)
        .await
        .expect("she is a member")
        .into_message();
    assert!(message.changed_at > last);
    let group = fixture
        .store
        .flow_summary(one.id, Some(anna.id), false, ROOM)
        .await
        .expect("the store answers")
        .expect("it exists");
    assert_eq!(group.flow.changed_at, message.changed_at);
}
