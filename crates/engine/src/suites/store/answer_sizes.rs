//! Trials of the sizes of answers: history, changes, lists of flows and members.

use super::fixture::{Fixture, ROOM, all_flows, mark_of, new_message, new_user, page_of, texts};
use crate::ports::{
    CreateFlow, FlowLimits, FlowSummaryQuery, HistoryQuery, NewUser, PostMessage, UserChange,
};
use crate::{LISTED_MEMBERS, PREVIEW_BYTES, flow_summary_size, message_size, user_size};
use std::collections::{BTreeMap, BTreeSet};
use tolmach_domain::{
    Attachment, AttachmentKind, Content, Flow, FlowId, FlowKind, FlowSummary, HistoryRange,
    Message, MessageId, Timestamp, User, UserId, Version,
};

/// The newest ones, to the byte and at least one; of the unread ones the oldest, so that the next
/// request continues.
pub async fn a_history_is_cut_to_the_messages_that_fit(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let mut messages = Vec::new();
    for (number, text) in ["\"", "\u{1}", "plain", "я", "\\"].into_iter().enumerate() {
        let text = format!("{number}{}", text.repeat(500));
        let content = Content {
            attachments: vec![Attachment { kind: AttachmentKind::Picture, data: text.clone() }],
            emoji: Some(text.clone()),
            ..Content::text(text)
        };
        let now = fixture.tick();
        let new = PostMessage { content, ..new_message(group.id, &anna, "") };
        messages.push(fixture.store.post(new, now).await.expect("a member").into_message());
    }
    let size = |part: &[Message]| part.iter().map(message_size).sum::<usize>();
    let read = async |range, limit, max_bytes| {
        let query = HistoryQuery { max_bytes, ..page_of(group.id, boris.id, range, limit) };
        let messages = fixture.store.history(query).await.expect("the flow exists").messages;
        if let Some(mark) = mark_of(boris.id, &messages).filter(|_| range == HistoryRange::Unread) {
            fixture.store.move_read_mark(mark).await.expect("the store answers");
        }
        messages
    };
    let newest = |limit, offset| HistoryRange::Newest { limit, offset };
    for (range, limit, max_bytes, expected) in [
        (HistoryRange::All, 10, ROOM, 0..5),
        (HistoryRange::All, 10, size(&messages), 0..5),
        (HistoryRange::All, 10, size(&messages) - 1, 1..5),
        (HistoryRange::All, 10, size(&messages[3..]), 3..5),
        (HistoryRange::All, 10, size(&messages[3..]) - 1, 4..5),
        (HistoryRange::All, 10, 0, 4..5),
        (HistoryRange::All, 2, size(&messages), 3..5),
        (newest(4, 1), 10, size(&messages[..4]), 0..4),
        (newest(4, 1), 10, size(&messages[..4]) - 1, 1..4),
        (newest(4, 1), 10, 1, 3..4),
        (HistoryRange::Unread, 10, size(&messages[..2]), 0..2),
        (HistoryRange::Unread, 10, 1, 2..3),
        (HistoryRange::Unread, 10, size(&messages[3..]) - 1, 3..4),
        (HistoryRange::Unread, 10, size(&messages[4..]), 4..5),
        (HistoryRange::Unread, 10, ROOM, 0..0),
    ] {
        let found = read(range, limit, max_bytes).await;
        assert_eq!(texts(&found), texts(&messages[expected]), "{range:?} {limit} {max_bytes}");
    }
}

/// A store may read such an answer piece by piece: each message once, in order.
pub async fn answers_of_several_mebibytes_have_all_that_fits(fixture: &mut Fixture) {
    const TEXT: usize = 64 << 10;
    const MESSAGES: usize = 40;
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let group = fixture.group(&anna, &[&boris]).await;
    let before = fixture.now;
    let mut messages = Vec::new();
    for number in 0..MESSAGES {
        let text = format!("{number:04}").repeat(TEXT / 4);
        messages.push(fixture.post(&group, &anna, &text).await);
    }
    let size = |part: &[Message]| part.iter().map(message_size).sum::<usize>();
    let newest = |limit, offset| HistoryRange::Newest { limit, offset };
    for (range, limit, max_bytes, expected) in [
        (HistoryRange::All, 100, ROOM, 0..40),
        (HistoryRange::All, 20, ROOM, 20..40),
        (HistoryRange::All, 100, size(&messages[7..]), 7..40),
        (HistoryRange::All, 100, size(&messages[7..]) - 1, 8..40),
        (newest(30, 5), 100, ROOM, 5..35),
        (newest(30, 5), 100, size(&messages[11..35]) - 1, 12..35),
        (HistoryRange::Unread, 100, size(&messages[..25]), 0..25),
        (HistoryRange::Unread, 10, ROOM, 0..10),
        (HistoryRange::Unread, 100, ROOM, 0..40),
    ] {
        let query = HistoryQuery { max_bytes, ..page_of(group.id, boris.id, range, limit) };
        let found = fixture.store.history(query).await.expect("the flow exists").messages;
        assert!(found == messages[expected.clone()], "{range:?} {limit} {max_bytes}");
    }
    for scope in [None, Some(group.id)] {
        // One half of an answer is for messages.
        for (limit, max_bytes, count) in
            [(100, ROOM, 40), (30, ROOM, 30), (100, 2 * size(&messages[..25]), 25)]
        {
            let changes = fixture.store.changes(boris.id, before, scope, limit, max_bytes).await;
            let changes = changes.expect("the store answers");
            assert!(changes.messages == messages[..count], "{scope:?} {limit} {max_bytes}");
            assert_eq!(changes.more, count < MESSAGES);
        }
    }
}

/// The text to the first KiB, at the end of a character.
pub async fn a_list_of_flows_has_short_forms_of_the_last_messages(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let before = fixture.now;
    let group = fixture.group(&anna, &[]).await;
    for (text, length) in [
        ("x".repeat(PREVIEW_BYTES), PREVIEW_BYTES),
        ("x".repeat(PREVIEW_BYTES + 1), PREVIEW_BYTES),
        ("x".to_owned() + &"я".repeat(PREVIEW_BYTES), PREVIEW_BYTES - 1),
        ("😀".repeat(PREVIEW_BYTES), PREVIEW_BYTES),
    ] {
        let attachments = vec![Attachment { kind: AttachmentKind::Document, data: text.clone() }];
        let content = Content { attachments, emoji: Some(text.clone()), ..Content::text(&text) };
        let now = fixture.tick();
        let new = PostMessage { content, ..new_message(group.id, &anna, "") };
        let posted = fixture.store.post(new, now).await.expect("a member").into_message();
        let expected = Message { content: Content::text(&text[..length]), ..posted.clone() };
        let one = fixture.store.flow_summary(group.id, None, false, ROOM).await;
        let one = one.expect("the store answers").expect("the flow exists");
        assert_eq!(one.last.as_ref(), Some(&expected));
        let listed = fixture.store.flow_summaries(all_flows(&anna)).await;
        assert_eq!(listed.expect("the store answers")[0].last.as_ref(), Some(&expected));
        let changes = fixture.store.changes(anna.id, before, None, 100, ROOM).await;
        let changes = changes.expect("the store answers");
        assert_eq!(changes.messages.last(), Some(&posted), "messages of a page are whole");
        assert_eq!(changes.flows[0].last, Some(expected));
    }
}

/// Those with the newest activity, to the byte and at least one; the next page follows.
pub async fn a_list_of_flows_ends_with_the_last_that_fits(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let mut flows = Vec::new();
    for number in 0..6 {
        let now = fixture.tick();
        let new = CreateFlow {
            kind: FlowKind::Group,
            title: "\"".repeat(20 * number),
            info: "info".repeat(100 * number),
            owner: anna.id,
            photo: None,
            members: vec![boris.id],
            key: None,
        };
        let created = fixture.store.create_flow(new, FlowLimits::NONE, None, now).await;
        let flow = created.expect("the users exist").into_flow();
        fixture.post(&flow, &anna, &"x".repeat(300 * number)).await;
        flows.insert(0, flow.id);
    }
    for members in [false, true] {
        let query = FlowSummaryQuery { members, ..all_flows(&anna) };
        let all = fixture.store.flow_summaries(query.clone()).await.expect("the store answers");
        assert_eq!(flow_ids(&all), flows);
        let size = |part: &[FlowSummary]| part.iter().map(flow_summary_size).sum::<usize>();
        for (offset, max_bytes, expected) in [
            (0, size(&all), 0..6),
            (0, size(&all) - 1, 0..5),
            (0, size(&all[..2]), 0..2),
            (0, size(&all[..2]) - 1, 0..1),
            (3, size(&all[3..5]), 3..5),
            (3, size(&all[3..5]) - 1, 3..4),
        ] {
            let query = FlowSummaryQuery { offset, max_bytes, ..query.clone() };
            let found = fixture.store.flow_summaries(query).await.expect("the store answers");
            assert_eq!(found, all[expected], "{offset} {max_bytes}");
        }
        let query = FlowSummaryQuery { max_bytes: 1, all: true, ..query };
        let found = fixture.store.flow_summaries(query).await.expect("the store answers");
        assert_eq!(flow_ids(&found), flows[..1]);
    }
}

/// Those with the lower ids, in a list at most 64; a later flow of a list is left out as a whole.
pub async fn members_are_cut_to_those_that_fit(fixture: &mut Fixture) {
    const MEMBERS: usize = 600;
    let mut members: Vec<User> = Vec::new();
    for number in 0..MEMBERS {
        let now = fixture.tick();
        let new = NewUser {
            bio: "\"".repeat(number % 7 * 100),
            avatar: Some("avatar".repeat(1_000)),
            ..new_user(&format!("user {number}"))
        };
        members.push(fixture.store.create_user(new, now).await.expect("the login is free"));
    }
    let everybody: Vec<&User> = members[1..].iter().collect();
    let owner = &members[0];
    let small = fixture.group(owner, &[&members[1]]).await;
    let large = fixture.group(owner, &everybody).await;
    let medium = fixture.group(owner, &everybody[..300]).await;
    let size = |part: &[User]| part.iter().map(user_size).sum::<usize>();
    let read = async |flow: &Flow, max_bytes| {
        let summary = fixture.store.flow_summary(flow.id, None, true, max_bytes).await;
        summary.expect("the store answers").expect("the flow exists")
    };
    let alone = flow_summary_size(&read(&large, 0).await);
    for (max_bytes, expected) in [
        (ROOM, MEMBERS),
        (alone + size(&members), MEMBERS),
        (alone + size(&members) - 1, MEMBERS - 1),
        (alone + size(&members[..300]), 300),
        (alone + size(&members[..300]) - 1, 299),
        (alone + size(&members[..1]) - 1, 0),
        (0, 0),
    ] {
        assert_eq!(read(&large, max_bytes).await.members, members[..expected], "{max_bytes}");
    }
    // The newest flow is first: medium, large, small.
    let query = FlowSummaryQuery { members: true, ..all_flows(owner) };
    let all = fixture.store.flow_summaries(query.clone()).await.expect("the store answers");
    assert_eq!(flow_ids(&all), [medium.id, large.id, small.id]);
    let all_size: usize = all.iter().map(flow_summary_size).sum();
    for (max_bytes, counts) in [
        (all_size, vec![LISTED_MEMBERS, LISTED_MEMBERS, 2]),
        (all_size - 1, vec![LISTED_MEMBERS, LISTED_MEMBERS]),
        (flow_summary_size(&all[0]) + flow_summary_size(&all[1]) - 1, vec![LISTED_MEMBERS]),
        (flow_summary_size(&all[0]) - 1, vec![LISTED_MEMBERS - 1]),
    ] {
        let query = FlowSummaryQuery { max_bytes, ..query.clone() };
        let found = fixture.store.flow_summaries(query).await.expect("the store answers");
        for (summary, count) in found.iter().zip(&counts) {
            assert_eq!(summary.members, members[..*count], "{max_bytes}");
        }
        assert_eq!(found.len(), counts.len(), "{max_bytes}");
    }
}

/// In a list, also if it is beyond the 64 first ones; by a change of the tariff too.
pub async fn a_list_names_a_member_with_the_business_tariff(fixture: &mut Fixture) {
    let mut members = Vec::new();
    for number in 0..LISTED_MEMBERS + 2 {
        members.push(fixture.user(&format!("user {number}")).await);
    }
    let others: Vec<&User> = members[1..].iter().collect();
    let large = fixture.group(&members[0], &others).await;
    let full = fixture.group(&members[0], &others[..LISTED_MEMBERS - 1]).await;
    let last = members.last().expect("there are users").id;
    let query = FlowSummaryQuery { members: true, ..all_flows(&members[0]) };
    let store = fixture.store.clone();
    let listed = async || {
        let flows = store.flow_summaries(query.clone()).await.expect("the store answers");
        assert_eq!(flow_ids(&flows), [full.id, large.id]);
        let ids = |summary: &FlowSummary| -> Vec<UserId> {
            summary.members.iter().map(|member| member.id).collect()
        };
        (ids(&flows[0]), ids(&flows[1]))
    };
    let first: Vec<UserId> = members[..LISTED_MEMBERS].iter().map(|member| member.id).collect();
    assert_eq!(listed().await, (first.clone(), first.clone()));
    let mut with_last = first.clone();
    with_last[LISTED_MEMBERS - 1] = last;
    for (business, expected) in [(true, &with_last), (false, &first)] {
        let now = fixture.tick();
        let change = UserChange { business: Some(business), ..UserChange::default() };
        fixture.store.update_user(last, change, now).await.expect("the user exists");
        assert_eq!(listed().await, (first.clone(), expected.clone()));
        for (flow, expected) in [(large.id, Some(business)), (full.id, Some(false))] {
            assert_eq!(fixture.store.has_business_member(flow).await, Ok(expected));
        }
    }
}

/// Of messages and of flows; each answer has at least one change.
pub async fn changes_cut_by_their_size_continue_without_gap_or_repeat(fixture: &mut Fixture) {
    const FLOWS: usize = 12;
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let (mut flows, mut messages) = (BTreeMap::new(), BTreeSet::new());
    for number in 0..FLOWS {
        let flow = fixture.group(&anna, &[&boris]).await;
        flows.insert(flow.id, Version(3));
        for text in ["x".repeat(3_000), "\u{1}".repeat(500), number.to_string()] {
            messages.insert(fixture.post(&flow, &anna, &text).await.id);
        }
    }
    let only = flows.keys().next().copied();
    for (scope, max_bytes) in [
        (None, 0),
        (None, 2_000),
        (None, 8_000),
        (None, 30_000),
        (None, ROOM),
        (only, 0),
        (only, 20_000),
    ] {
        let (mut since, mut known, mut known_flows) =
            (Timestamp::default(), BTreeSet::<MessageId>::new(), BTreeMap::new());
        let mut answers = 0;
        loop {
            let changes = fixture.store.changes(boris.id, since, scope, 100, max_bytes).await;
            let changes = changes.expect("the store answers");
            answers += 1;
            let bytes: usize = changes.messages.iter().map(message_size).sum();
            assert!(bytes <= max_bytes / 2 || changes.messages.len() == 1, "{bytes}");
            let bytes: usize = changes.flows.iter().map(flow_summary_size).sum();
            assert!(bytes <= max_bytes / 2 || changes.flows.len() == 1, "{bytes}");
            for message in &changes.messages {
                assert!(since < message.changed_at && message.changed_at <= changes.until);
                assert!(known.insert(message.id), "a message was returned twice");
            }
            for summary in &changes.flows {
                assert!(since < summary.flow.changed_at);
                assert!(summary.flow.changed_at <= changes.until);
                let before = known_flows.insert(summary.flow.id, summary.flow.version);
                assert!(before.is_none(), "a flow was returned twice");
            }
            let newest_first =
                |one: &FlowSummary, next: &FlowSummary| one.flow.changed_at > next.flow.changed_at;
            assert!(changes.flows.is_sorted_by(newest_first));
            assert!(!changes.more || changes.until > since);
            since = changes.until;
            if !changes.more {
                break;
            }
        }
        match scope {
            None => assert_eq!((&known, &known_flows), (&messages, &flows)),
            Some(flow) => {
                assert_eq!((known.len(), known_flows), (3, BTreeMap::from([(flow, Version(3))])));
            }
        }
        assert_eq!(answers == 1, max_bytes == ROOM || scope.is_some() && max_bytes == 20_000);
    }
}

/// A search, by any length of text.
pub async fn a_search_for_a_long_text_finds_nothing(fixture: &mut Fixture) {
    let login = "Щ".repeat(64);
    let user = fixture.user(&login).await;
    let found = fixture.store.search_users(&login.to_lowercase(), 10).await;
    assert_eq!(found, Ok(vec![user]));
    for length in [65, 512, 1_000, 50_000, 900_000] {
        for letter in ["щ", "a", "%"] {
            assert_eq!(fixture.store.search_users(&letter.repeat(length), 10).await, Ok(vec![]));
        }
    }
}

/// Of a flow that exists, by any member.
pub async fn a_member_with_the_business_tariff_is_found(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let now = fixture.tick();
    let business = NewUser { business: true, ..new_user("business") };
    let business = fixture.store.create_user(business, now).await.expect("the login is free");
    let without = fixture.group(&anna, &[]).await;
    let with = fixture.group(&anna, &[&business]).await;
    let absent = FlowId::new(999).expect("an id");
    for (flow, expected) in [(without.id, Some(false)), (with.id, Some(true)), (absent, None)] {
        assert_eq!(fixture.store.has_business_member(flow).await, Ok(expected));
    }
}

fn flow_ids(summaries: &[FlowSummary]) -> Vec<FlowId> {
    summaries.iter().map(|summary| summary.flow.id).collect()
}
