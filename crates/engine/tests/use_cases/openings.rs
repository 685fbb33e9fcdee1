//! Opening a room: what is found for its subscription, and its first page.

use crate::fixture::Fixture;
use tolmach_domain::*;
use tolmach_engine::ports::{Clock, UserChange};
use tolmach_engine::{ReadableFlow, Submission};

/// The newest messages of a flow, asked for with what was found for the subscription.
async fn history(
    fixture: &Fixture,
    credentials: &Credentials,
    readable: Option<ReadableFlow>,
    flow: FlowId,
    limit: u32,
) -> Result<MessagePage, Fault> {
    let caller = fixture.engine.authenticate(credentials, None).await?;
    let range = HistoryRange::Newest { limit, offset: 0 };
    let kinds = FlowKindFilter::Any;
    let command = Command::History { flow, kinds, range, mark_read: false };
    let authority = Authority::Member;
    let submission = Submission { caller, authority, origin: None, address: None, command };
    let submitted = fixture.engine.submit_for_flow(submission, readable.map(Box::new)).await;
    match submitted.handled().await.outcome? {
        Answer::History(page) => Ok(*page),
        other => panic!("{other:?}"),
    }
}

async fn readable(fixture: &Fixture, user: UserId, flow: FlowId) -> Option<ReadableFlow> {
    let found = fixture.engine.readable_flow(user, Authority::Member, flow).await;
    found.expect("the store answers")
}

/// Opens a room and returns the texts of its page.
async fn open(
    fixture: &Fixture,
    (user, credentials): &(UserId, Credentials),
    flow: FlowId,
    limit: u32,
) -> Vec<String> {
    let readable = readable(fixture, *user, flow).await;
    assert!(readable.is_some());
    let page = history(fixture, credentials, readable, flow, limit).await;
    let page = page.expect("a member may read");
    page.messages.into_iter().map(|message| message.content.text).collect()
}

#[tokio::test]
async fn a_room_that_was_just_opened_is_opened_without_another_read_of_its_messages() {
    let fixture = Fixture::new();
    let (anna, boris) = (fixture.user("anna").await, fixture.user("boris").await);
    let flow = fixture.group(&anna.1, &[boris.0]).await;
    fixture.send(&anna.1, flow, "hello").await.expect("she is a member");
    let mut fewest = u64::MAX;
    // On a busy machine the page may be forgotten meanwhile, as may the user.
    for _ in 0..20 {
        assert_eq!(open(&fixture, &anna, flow, 50).await, ["hello"]);
        let before = fixture.store.reads();
        assert_eq!(open(&fixture, &boris, flow, 50).await, ["hello"]);
        fewest = fewest.min(fixture.store.reads() - before);
    }
    assert_eq!(fewest, 1, "the right to read it, and its version");
}

#[tokio::test]
async fn an_opened_room_has_every_change_also_after_other_openings() {
    let fixture = Fixture::new();
    let (anna, boris) = (fixture.user("anna").await, fixture.user("boris").await);
    let flow = fixture.group(&anna.1, &[boris.0]).await;
    let opened = async |expected: &[&str]| {
        for reader in [&anna, &boris] {
            assert_eq!(open(&fixture, reader, flow, 50).await, expected);
            let newest = &expected[expected.len().saturating_sub(1)..];
            assert_eq!(open(&fixture, reader, flow, 1).await, newest, "a page of its own");
        }
    };
    opened(&[]).await;
    let first = fixture.send(&anna.1, flow, "first").await.expect("she is a member");
    opened(&["first"]).await;
    let second = fixture.send(&boris.1, flow, "second").await.expect("he is a member");
    opened(&["first", "second"]).await;
    let edit = Command::Edit { message: first.id, flow: Some(flow), text: "edited".into() };
    fixture.execute(&anna.1, edit).await.expect("it is hers");
    opened(&["edited", "second"]).await;
    let messages = vec![second.id];
    let delete = Command::Delete { messages, flow: Some(flow), all_or_none: false };
    fixture.execute(&boris.1, delete).await.expect("it is his");
    opened(&["edited"]).await;
}

#[tokio::test]
async fn what_was_found_readable_for_one_user_opens_nothing_to_another() {
    let fixture = Fixture::new();
    let (anna, carl) = (fixture.user("anna").await, fixture.user("carl").await);
    let (flow, other) = (fixture.group(&anna.1, &[]).await, fixture.group(&carl.1, &[]).await);
    fixture.send(&anna.1, flow, "secret").await.expect("she is a member");
    assert!(readable(&fixture, carl.0, flow).await.is_none());
    let of_anna = readable(&fixture, anna.0, flow).await;
    // Anna has just opened the room.
    assert_eq!(open(&fixture, &anna, flow, 50).await, ["secret"]);
    let of_carl = readable(&fixture, carl.0, other).await;
    assert!(of_anna.is_some() && of_carl.is_some());
    for readable in [of_anna, of_carl, None] {
        let read = history(&fixture, &carl.1, readable, flow, 50).await;
        assert_eq!(read, Err(Fault::NoSuchFlow));
    }
}

/// The room as its members are shown it.
async fn room(fixture: &Fixture, credentials: &Credentials, flow: FlowId) -> FlowSummary {
    let command = Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true };
    match fixture.execute(credentials, command).await.expect("a member may read") {
        Answer::Flow(summary) => *summary,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_members_of_a_room_that_was_just_opened_are_not_read_again() {
    let fixture = Fixture::new();
    let (anna, boris) = (fixture.user("anna").await, fixture.user("boris").await);
    let mut fewest = [u64::MAX; 2];
    // On a busy machine the room may be forgotten meanwhile, as may the user.
    for _ in 0..20 {
        let flow = fixture.group(&anna.1, &[boris.0]).await;
        for fewest in &mut fewest {
            let before = fixture.store.reads();
            assert_eq!(room(&fixture, &boris.1, flow).await.members.len(), 2);
            *fewest = (*fewest).min(fixture.store.reads() - before);
        }
    }
    assert_eq!(fewest[0] - fewest[1], 1, "{fewest:?}");
}

#[tokio::test]
async fn a_room_is_shown_as_it_is_also_after_other_openings() {
    let fixture = Fixture::new();
    let (anna, boris) = (fixture.user("anna").await, fixture.user("boris").await);
    let (carl, _) = fixture.user("carl").await;
    let flow = fixture.group(&anna.1, &[boris.0]).await;
    let shown = async |members: &[UserId], last: Option<&str>, read: [i64; 2]| {
        for (reader, read) in [&anna, &boris].into_iter().zip(read) {
            let summary = room(&fixture, &reader.1, flow).await;
            let ids: Vec<UserId> = summary.members.iter().map(|member| member.id).collect();
            let text = summary.last.as_ref().map(|message| message.content.text.as_str());
            assert_eq!((&*ids, text, summary.read), (members, last, Version(read)));
        }
    };
    shown(&[anna.0, boris.0], None, [0, 0]).await;
    let add = Command::AddMembers { flow, users: vec![carl] };
    fixture.execute(&anna.1, add).await.expect("it is hers");
    shown(&[anna.0, boris.0, carl], None, [0, 0]).await;
    fixture.send(&anna.1, flow, "hello").await.expect("she is a member");
    shown(&[anna.0, boris.0, carl], Some("hello"), [0, 0]).await;
    let range = HistoryRange::All;
    let history = Command::History { flow, kinds: FlowKindFilter::Any, range, mark_read: true };
    fixture.execute(&boris.1, history).await.expect("he is a member");
    shown(&[anna.0, boris.0, carl], Some("hello"), [0, 1]).await;
    let remove = Command::RemoveMembers { flow, users: vec![boris.0] };
    fixture.execute(&anna.1, remove).await.expect("it is hers");
    let get = Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true };
    assert_eq!(fixture.execute(&boris.1, get).await, Err(Fault::NoSuchFlow));
    assert_eq!(room(&fixture, &anna.1, flow).await.members.len(), 2);
}

#[tokio::test]
async fn an_opened_room_names_its_users_as_they_are_now() {
    let fixture = Fixture::new();
    let (anna, boris) = (fixture.user("anna").await, fixture.user("boris").await);
    let flow = fixture.group(&anna.1, &[boris.0]).await;
    fixture.send(&anna.1, flow, "hello").await.expect("she is a member");
    for name in ["Anna the First", "Anna the Second"] {
        let username = Some(name.to_owned());
        let change = UserChange { username, ..UserChange::default() };
        let now = fixture.clock.now();
        let changed = fixture.engine.change_account(anna.0, change, None, now).await;
        changed.expect("the account exists");
        let readable = readable(&fixture, boris.0, flow).await;
        let page = history(&fixture, &boris.1, readable, flow, 50).await.expect("a member");
        let authors: Vec<&str> = page.messages.iter().map(|m| &*m.author.username).collect();
        assert_eq!(authors, [name]);
        let members = room(&fixture, &boris.1, flow).await.members;
        let member = members.iter().find(|member| member.id == anna.0).expect("she is a member");
        assert_eq!(member.username, name);
    }
}
