//! Trials of [`FlowStore`](crate::ports::FlowStore): summaries.

use super::fixture::{Fixture, ROOM, all_flows, editing, mark_of, page_of};
use crate::ports::{FlowLimits, FlowSummaryQuery};
use tolmach_domain::{FlowId, HistoryRange, User, Version};

/// The visible ones; the members where they are wanted; the read mark of the viewer.
pub async fn summaries_have_the_first_and_last_message(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let chat = fixture
        .store
        .open_chat(boris.id, anna.id, FlowLimits::NONE, None, fixture.now)
        .await
        .expect("both users exist")
        .into_flow();
    let mut messages = Vec::new();
    for number in 0..5 {
        messages.push(fixture.post(&group, &anna, &number.to_string()).await);
    }
    fixture.delete(&anna, &[&messages[0], &messages[4]]).await;
    let unread = fixture.store.history(page_of(group.id, boris.id, HistoryRange::Unread, 2)).await;
    let mark = mark_of(boris.id, &unread.expect("the flow exists").messages);
    fixture.store.move_read_mark(mark.expect("some are unread")).await.expect("it is open");

    for (flow, wanted, members) in
        [(&group, false, 0), (&group, true, 2), (&chat, false, 2), (&chat, true, 2)]
    {
        let flow_summary = fixture
            .store
            .flow_summary(flow.id, Some(boris.id), wanted, ROOM)
            .await
            .expect("the store answers")
            .expect("it exists");
        let stored = fixture.store.flow(flow.id).await.expect("the store answers");
        assert_eq!(Some(&flow_summary.flow), stored.as_ref());
        assert_eq!(flow_summary.members, [anna.clone(), boris.clone()][..members]);
        let (first, last) = if flow.id == group.id {
            (Some(messages[1].id), Some(messages[3].clone()))
        } else {
            (None, None)
        };
        assert_eq!((flow_summary.first, flow_summary.last), (first, last));
        assert_eq!(flow_summary.read, Version(if flow.id == group.id { 3 } else { 0 }));
        let listed = fixture
            .store
            .flow_summaries(FlowSummaryQuery { members: wanted, ..all_flows(&boris) })
            .await
            .expect("the store answers");
        let one = fixture
            .store
            .flow_summary(flow.id, Some(boris.id), wanted, ROOM)
            .await
            .expect("the store answers")
            .expect("it exists");
        assert_eq!(listed.iter().find(|listed| listed.flow.id == flow.id), Some(&one));
    }
    // A viewer who is not a member gets the summary and has no mark.
    let outside = fixture
        .store
        .flow_summary(group.id, Some(clara.id), true, ROOM)
        .await
        .expect("the store answers")
        .expect("it exists");
    assert_eq!(
        (outside.read, outside.members.len(), outside.first),
        (Version(0), 2, Some(messages[1].id))
    );
    fixture.delete(&anna, &[&messages[1], &messages[2], &messages[3]]).await;
    let nothing = fixture
        .store
        .flow_summary(group.id, Some(anna.id), false, ROOM)
        .await
        .expect("the store answers")
        .expect("it exists");
    assert_eq!((nothing.first, nothing.last), (None, None));
}

/// Newest first; the viewer's flows, or all.
pub async fn summaries_are_paged_by_activity(fixture: &mut Fixture) {
    let [anna, boris, clara] = fixture.users(["anna", "boris", "clara"]).await;
    let mut flows = Vec::new();
    for _ in 0..6 {
        flows.push(fixture.group(&anna, &[]).await);
    }
    let now = fixture.tick();
    for flow in &flows[..4] {
        fixture
            .store
            .add_members(flow.id, anna.id, &[boris.id], FlowLimits::NONE, None, now)
            .await
            .expect("she owns it");
    }
    fixture.post(&flows[1], &anna, "1").await;
    fixture.post(&flows[4], &anna, "4").await;
    let message = fixture.post(&flows[0], &boris, "0").await;
    let now = fixture.tick();
    fixture.store.edit(editing(&boris, message.id, "0!"), now).await.expect("he is the author");
    fixture.post(&flows[2], &anna, "2").await;
    let changed_at = fixture
        .store
        .flow(flows[4].id)
        .await
        .expect("the store answers")
        .expect("it exists")
        .changed_at;
    let query = |viewer: &User| all_flows(viewer);
    for (query, expected) in [
        (query(&boris), vec![2, 0, 1, 3]),
        (query(&anna), vec![2, 0, 4, 1, 3, 5]),
        (query(&clara), vec![]),
        (FlowSummaryQuery { all: true, ..query(&clara) }, vec![2, 0, 4, 1, 3, 5]),
        (FlowSummaryQuery { limit: Some(2), ..query(&boris) }, vec![2, 0]),
        (FlowSummaryQuery { limit: Some(2), offset: 1, ..query(&boris) }, vec![0, 1]),
        (FlowSummaryQuery { offset: 3, ..query(&boris) }, vec![3]),
        (FlowSummaryQuery { offset: 9, ..query(&boris) }, vec![]),
        (FlowSummaryQuery { limit: Some(0), ..query(&boris) }, vec![]),
        (FlowSummaryQuery { changed_after: Some(changed_at), ..query(&anna) }, vec![2, 0]),
        (
            FlowSummaryQuery {
                changed_after: Some(changed_at),
                all: true,
                limit: Some(1),
                offset: 1,
                ..query(&clara)
            },
            vec![0],
        ),
    ] {
        let listed = fixture.store.flow_summaries(query.clone()).await.expect("the store answers");
        let places: Vec<Option<usize>> = listed
            .iter()
            .map(|flow_summary| flows.iter().position(|flow| flow.id == flow_summary.flow.id))
            .collect();
        assert_eq!(places, expected.into_iter().map(Some).collect::<Vec<_>>(), "{query:?}");
    }
    let ids: Vec<FlowId> = flows[..4].iter().map(|flow| flow.id).collect();
    assert_eq!(
        fixture
            .store
            .flow_versions(boris.id)
            .await
            .map(|flows| flows.into_iter().map(|(flow, _)| flow).collect()),
        Ok(ids)
    );
}
