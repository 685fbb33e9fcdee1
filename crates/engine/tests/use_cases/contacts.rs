//! The contact data of users, as other users are shown it.

use crate::fixture::{Fixture, registration};
use tolmach_domain::*;
use tolmach_engine::ports::UserChange;

/// The record of `of` in every answer that has one, as `viewer` is shown it.
async fn shown(fixture: &Fixture, viewer: &Credentials, of: UserId) -> Vec<User> {
    let flows = match list(fixture, viewer, Authority::Member).await {
        Answer::Flows(flows) => flows,
        other => panic!("{other:?}"),
    };
    let mut users: Vec<User> = Vec::new();
    for summary in flows {
        let flow = summary.flow.id;
        users.extend(summary.members);
        let get = Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true };
        match fixture.execute(viewer, get).await.expect("a member may read") {
            Answer::Flow(summary) => users.extend(summary.members),
            other => panic!("{other:?}"),
        }
    }
    let get = Command::GetUser { user: UserRef::Id(of) };
    match fixture.execute(viewer, get).await.expect("a user may read another one") {
        Answer::User(user) => users.push(*user),
        other => panic!("{other:?}"),
    }
    users.retain(|user| user.id == of);
    users
}

/// The same of answers to requests that do not want members.
async fn shown_beside(fixture: &Fixture, viewer: &Credentials, of: UserId) -> Vec<User> {
    let list = Command::ListFlows { limit: None, offset: 0, members: false };
    let since = Timestamp::default();
    let changes = Command::GetChanges { since, flow: None, limit: 100 };
    let mut users: Vec<User> = Vec::new();
    for command in [list, changes] {
        let flows = match fixture.execute(viewer, command).await.expect("a user may read") {
            Answer::Flows(flows) => flows,
            Answer::Changes(changes) => changes.flows,
            other => panic!("{other:?}"),
        };
        users.extend(flows.into_iter().flat_map(|summary| summary.members));
    }
    users.retain(|user| user.id == of);
    users
}

async fn list(fixture: &Fixture, viewer: &Credentials, authority: Authority) -> Answer {
    let list = Command::ListFlows { limit: None, offset: 0, members: true };
    fixture.execute_as(viewer, authority, list).await.expect("a user may read their flows")
}

fn contacts(user: &User) -> (Option<&str>, Option<&str>) {
    (user.email.as_deref(), user.phone.as_deref())
}

#[tokio::test]
async fn contact_data_is_shown_to_users_who_both_acted_in_a_flow() {
    let fixture = Fixture::new();
    let (_, stranger) = fixture.user("stranger").await;
    let account = Registration { phone: Some("+1 23".into()), ..registration("victim") };
    let register = Command::Register(Box::new(account));
    let answer = fixture.execute(&Credentials::Nothing, register).await;
    let Ok(Answer::Granted(grant)) = answer else { panic!("{answer:?}") };
    let Tokens::Token(token) = grant.tokens else { panic!("{:?}", grant.tokens) };
    let (victim, as_victim) =
        (grant.user.expect("the engine names the user").id, Credentials::Token(token));

    let flow = fixture.group(&stranger, &[victim]).await;
    let chat = Command::OpenChat { with: UserRef::Id(victim) };
    fixture.execute(&stranger, chat).await.expect("a user may open a chat");
    fixture.send(&stranger, flow, "buy this").await.expect("the owner may write");
    let users = shown(&fixture, &stranger, victim).await;
    assert!(users.len() >= 4, "{users:?}");
    assert!(users.iter().all(|user| contacts(user) == (None, None)), "{users:?}");
    let users = shown_beside(&fixture, &stranger, victim).await;
    assert!(users.len() >= 2, "{users:?}");
    assert!(users.iter().all(|user| contacts(user) == (None, None)), "{users:?}");
    let search = Command::SearchUsers { query: "victim".into(), limit: 10 };
    let found = fixture.execute(&stranger, search.clone()).await;
    let Ok(Answer::Users(found)) = found else { panic!("{found:?}") };
    assert_eq!(found.iter().map(contacts).collect::<Vec<_>>(), [(None, None)]);

    // Their own record is whole, and so is what an administrator is shown.
    let own = shown(&fixture, &as_victim, victim).await;
    let whole = (Some("victim@example.org"), Some("+1 23"));
    assert!(own.iter().all(|user| contacts(user) == whole), "{own:?}");
    let (admin, as_admin) = fixture.user("admin").await;
    let change = UserChange { admin: Some(true), ..UserChange::default() };
    let now = Timestamp::from_micros(1_600_000_000_000_000);
    fixture.engine.change_account(admin, change, None, now).await.expect("the account exists");
    let all = match list(&fixture, &as_admin, Authority::Administrator).await {
        Answer::Flows(flows) => flows,
        other => panic!("{other:?}"),
    };
    let members = all.iter().flat_map(|summary| &summary.members);
    assert!(members.filter(|user| user.id == victim).all(|user| contacts(user) == whole));

    fixture.send(&as_victim, flow, "no").await.expect("a member may write");
    let users = shown(&fixture, &stranger, victim).await;
    assert!(users.iter().all(|user| contacts(user) == whole), "{users:?}");
    let users = shown_beside(&fixture, &stranger, victim).await;
    assert!(users.iter().all(|user| contacts(user) == (None, None)), "{users:?}");
    let found = fixture.execute(&stranger, search).await;
    let Ok(Answer::Users(found)) = found else { panic!("{found:?}") };
    assert_eq!(found.iter().map(contacts).collect::<Vec<_>>(), [(None, None)], "a search");
}

#[tokio::test]
async fn pushes_have_no_contact_data() {
    let fixture = Fixture::new();
    let (_, user) = fixture.user("user").await;
    let flow = fixture.group(&user, &[]).await;
    let summary = fixture.engine.flow_summary(flow).await.expect("the store answers");
    let members = summary.expect("the flow exists").members;
    assert_eq!(members.iter().map(contacts).collect::<Vec<_>>(), [(None, None)]);
}

#[tokio::test]
async fn an_address_that_is_a_login_is_shown_to_strangers_without_its_domain() {
    let fixture = Fixture::new();
    let (_, stranger) = fixture.user("stranger").await;
    let account = Registration {
        login: None,
        username: None,
        email: Some("victim@example.org".into()),
        ..registration("victim")
    };
    let register = Command::Register(Box::new(account));
    let answer = fixture.execute(&Credentials::Nothing, register).await;
    let Ok(Answer::Granted(grant)) = answer else { panic!("{answer:?}") };
    let victim = grant.user.expect("the engine names the user").id;
    fixture.group(&stranger, &[victim]).await;
    let chat = Command::OpenChat { with: UserRef::Id(victim) };
    fixture.execute(&stranger, chat).await.expect("a user may open a chat");
    let mut users = shown(&fixture, &stranger, victim).await;
    users.extend(shown_beside(&fixture, &stranger, victim).await);
    for user in users {
        let names = (user.login.as_str(), user.username.as_str(), user.name.as_str());
        assert_eq!(names, ("victim", "victim", "victim"));
    }
    for query in ["@", "victim", "example.org"] {
        let search = Command::SearchUsers { query: query.into(), limit: 10 };
        let found = fixture.execute(&stranger, search).await;
        assert_eq!(found, Ok(Answer::Users(Vec::new())), "{query}");
    }
}
