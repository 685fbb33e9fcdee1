//! Quotas.

use crate::fixture::{Fixture, log_in};
use std::time::Duration;
use tolmach_domain::*;
use tolmach_engine::ports::{Bus, Clock, Signal, UserChange};
use tolmach_engine::{Policy, Quotas};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn quotas() -> Quotas {
    Quotas {
        groups_per_day: 2,
        members_per_day: 3,
        strangers_per_hour: 1,
        sessions: 2,
        ..Quotas::default()
    }
}

fn group_of(members: &[UserId]) -> Command {
    Command::CreateFlow(Box::new(NewFlow {
        kind: FlowKind::Group,
        title: "G".into(),
        info: String::new(),
        members: members.to_vec(),
        photo: None,
        key: None,
    }))
}

#[tokio::test]
async fn a_user_over_a_quota_is_told_when_to_come_back() {
    let fixture = Fixture::with(Policy { quotas: quotas(), ..Policy::default() });
    let (_, anna) = fixture.user("anna").await;
    let (boris, _) = fixture.user("boris").await;
    let (clara, _) = fixture.user("clara").await;
    for _ in 0..2 {
        assert!(fixture.execute(&anna, group_of(&[boris])).await.is_ok());
    }
    fixture.clock.advance(DAY / 2);
    assert_eq!(
        fixture.execute(&anna, group_of(&[boris])).await,
        Err(Fault::TooMany { retry_after: DAY / 2 })
    );
    let open = |with| Command::OpenChat { with: UserRef::Id(with) };
    assert!(fixture.execute(&anna, open(boris)).await.is_ok());
    let refused = fixture.execute(&anna, open(clara)).await;
    assert_eq!(refused, Err(Fault::TooMany { retry_after: Duration::from_secs(3600) }));
    fixture.clock.advance(DAY / 2);
    assert!(fixture.execute(&anna, group_of(&[boris, clara])).await.is_ok());
}

#[tokio::test]
async fn an_administrator_has_no_quota() {
    let fixture = Fixture::with(Policy { quotas: quotas(), ..Policy::default() });
    let (anna_id, anna) = fixture.user("anna").await;
    let (boris, _) = fixture.user("boris").await;
    let change = UserChange { admin: Some(true), ..UserChange::default() };
    let changed = fixture.engine.change_account(anna_id, change, None, fixture.clock.now()).await;
    assert!(changed.is_ok());
    for _ in 0..5 {
        assert!(fixture.execute(&anna, group_of(&[boris])).await.is_ok());
    }
}

#[tokio::test]
async fn a_login_beyond_the_sessions_of_a_user_ends_the_oldest() {
    let fixture = Fixture::with(Policy { quotas: quotas(), ..Policy::default() });
    let (_, first) = fixture.user("anna").await;
    let again = async || {
        let login = log_in("anna", "anna's password", GrantKind::Token);
        match fixture.execute(&Credentials::Nothing, login).await {
            Ok(Answer::Granted(grant)) => match grant.tokens {
                Tokens::Token(token) => Credentials::Token(token),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let me = || Command::GetUser { user: UserRef::Me };
    let second = again().await;
    assert!(fixture.execute(&first, me()).await.is_ok());
    let mut events = fixture.bus.receivers(1);
    let third = again().await;
    let Some(Signal::Events(ended)) = events[0].next().await else { panic!("the bus is alive") };
    ended.iter().for_each(|event| fixture.engine.observe(event));
    assert_eq!(fixture.execute(&first, me()).await, Err(Fault::Unauthenticated));
    assert!(fixture.execute(&second, me()).await.is_ok());
    assert!(fixture.execute(&third, me()).await.is_ok());
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_a_full_group() {
    let fixture = Fixture::with(Policy { max_members: 3, ..Policy::default() });
    let (_, owner) = fixture.user("owner").await;
    let (member_id, member) = fixture.user("member").await;
    let (second, _) = fixture.user("second").await;
    let (stranger_id, stranger) = fixture.user("stranger").await;
    let flow = fixture.group(&owner, &[member_id, second]).await;
    let add = |flow| Command::AddMembers { flow, users: vec![stranger_id] };
    let absent = FlowId::new(999).unwrap();
    for flow in [flow, absent] {
        assert_eq!(fixture.execute(&stranger, add(flow)).await, Err(Fault::NoSuchFlow));
    }
    assert_eq!(fixture.execute(&member, add(flow)).await, Err(Fault::NotOwner));
    assert!(matches!(
        fixture.execute(&owner, add(flow)).await,
        Err(Fault::Invalid { field: "users", .. })
    ));
}
