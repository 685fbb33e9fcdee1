//! Logins, tokens and sessions.

use crate::fixture::{Fixture, log_in, pair};
use std::time::Duration;
use tolmach_domain::*;
use tolmach_engine::{Policy, Principal};

#[tokio::test]
async fn a_login_or_an_email_logs_in_and_failures_look_alike() {
    let fixture = Fixture::new();
    fixture.user("Жанна").await;
    for (identifier, password, expected) in [
        ("Жанна", "Жанна's password", true),
        ("жАННА", "Жанна's password", true),
        ("ЖАННА@EXAMPLE.ORG", "Жанна's password", true),
        ("Жанна", "жанна's password", false),
        ("nobody", "Жанна's password", false),
        ("", "", false),
    ] {
        let outcome = fixture
            .execute(&Credentials::Nothing, log_in(identifier, password, GrantKind::Token))
            .await;
        assert_eq!(outcome.is_ok(), expected, "{identifier}: {outcome:?}");
        if let Err(fault) = outcome {
            assert_eq!(fault.to_string(), "wrong login or password");
        }
    }
}

#[tokio::test]
async fn an_opaque_token_is_renewed_by_use_and_ends_with_its_session() {
    let fixture = Fixture::new();
    let lifetime = Policy::default().token_lifetime;
    let (alice_id, alice) = fixture.user("alice").await;
    let me = || Command::GetUser { user: UserRef::Me };
    for _ in 0..3 {
        fixture.clock.advance(lifetime - Duration::from_secs(1));
        assert!(fixture.execute(&alice, me()).await.is_ok(), "each use renews the token");
    }
    let Credentials::Token(token) = alice.clone() else { unreachable!() };
    let (bob_id, bob) = fixture.user("bob").await;
    assert!(fixture.execute(&Credentials::TokenOf(alice_id, token.clone()), me()).await.is_ok());
    assert_eq!(
        fixture.execute(&Credentials::TokenOf(bob_id, token), me()).await,
        Err(Fault::Unauthenticated),
        "the token is bound to its user"
    );
    assert_eq!(
        fixture.execute(&alice, Command::Logout { login: Some("bob".into()) }).await,
        Err(Fault::Unauthenticated)
    );
    assert_eq!(
        fixture.execute(&alice, Command::Logout { login: Some("ALICE".into()) }).await,
        Ok(Answer::LoggedOut)
    );
    assert_eq!(fixture.execute(&alice, me()).await, Err(Fault::Unauthenticated));
    fixture.clock.advance(lifetime);
    assert_eq!(
        fixture.execute(&bob, me()).await,
        Err(Fault::Unauthenticated),
        "an unused token expires"
    );
    assert_eq!(
        fixture.execute(&Credentials::Token(Secret::new("unknown")), me()).await,
        Err(Fault::Unauthenticated)
    );
}

#[tokio::test]
async fn a_session_and_its_user_are_read_together() {
    let first = Fixture::new();
    let (_, anna) = first.user("anna").await;
    // The caches of another node are empty.
    let fixture = first.second_node();
    let list = || Command::ListFlows { limit: None, offset: 0, members: false };
    for reads in [2, 1] {
        let before = fixture.store.reads();
        fixture.execute(&anna, list()).await.expect("the token is valid");
        assert_eq!(fixture.store.reads() - before, reads, "the list, and the session at first");
    }
}

#[tokio::test]
async fn a_refresh_token_is_spent_once_and_reuse_ends_the_session() {
    let fixture = Fixture::new();
    fixture.user("alice").await;
    let granted = fixture
        .execute(&Credentials::Nothing, log_in("alice", "alice's password", GrantKind::Pair))
        .await
        .unwrap();
    let (_, first) = pair(granted);
    let refresh = |token: &Secret| Command::Refresh { token: token.clone() };
    let (access, second) =
        pair(fixture.execute(&Credentials::Nothing, refresh(&first)).await.unwrap());
    let me = || Command::GetUser { user: UserRef::Me };
    assert!(fixture.execute(&access, me()).await.is_ok());
    assert_eq!(
        fixture.execute(&Credentials::Nothing, refresh(&first)).await,
        Err(Fault::Unauthenticated)
    );
    assert_eq!(
        fixture.execute(&access, me()).await,
        Err(Fault::Unauthenticated),
        "the access token ends with its session"
    );
    assert_eq!(
        fixture.execute(&Credentials::Nothing, refresh(&second)).await,
        Err(Fault::Unauthenticated),
        "and so do the tokens that descend from it"
    );
}

#[tokio::test]
async fn a_connection_is_authenticated_as_long_as_its_session_is_open() {
    let fixture = Fixture::new();
    let (_, alice) = fixture.user("alice").await;
    let principal: Principal = fixture.engine.authenticate(&alice, None).await.unwrap().unwrap();
    assert_eq!(
        fixture.engine.authenticate(&Credentials::Connection, Some(&principal)).await,
        Ok(Some(principal))
    );
    assert_eq!(
        fixture.engine.authenticate(&Credentials::Connection, None).await,
        Err(Fault::Unauthenticated)
    );
    fixture.execute(&alice, Command::Logout { login: None }).await.unwrap();
    assert_eq!(
        fixture.engine.authenticate(&Credentials::Connection, Some(&principal)).await,
        Err(Fault::Unauthenticated)
    );
}
