//! Accounts, profiles and recovery.

use crate::fixture::{Fixture, log_in, pair, profile, registration};
use std::time::Duration;
use tolmach_domain::*;
use tolmach_engine::Policy;
use tolmach_engine::memory::PlainSigner;
use tolmach_engine::ports::{AccessClaims, Clock, Signer};

#[tokio::test]
async fn an_invalid_registration_names_the_field() {
    let fixture = Fixture::new();
    fixture.user("taken").await;
    let base = || Registration { email: None, ..registration("new") };
    let long = |count: usize| "x".repeat(count);
    for (field, registration) in [
        ("login", Registration { login: Some(String::new()), ..base() }),
        ("login", Registration { login: Some("a\u{0}b".into()), ..base() }),
        ("login", Registration { login: Some(long(65)), ..base() }),
        ("login", Registration { login: None, ..base() }),
        ("username", Registration { username: Some(long(65)), ..base() }),
        ("password", Registration { password: Secret::new(""), ..base() }),
        ("password", Registration { password: Secret::new(long(1025)), ..base() }),
        ("email", Registration { email: Some("nobody".into()), ..base() }),
        ("email", Registration { email: Some("a b@c".into()), ..base() }),
        ("bio", Registration { bio: Some(long(4097)), ..base() }),
        ("avatar", Registration { avatar: Some(long((1 << 20) + 1)), ..base() }),
    ] {
        match fixture
            .execute(&Credentials::Nothing, Command::Register(Box::new(registration)))
            .await
        {
            Err(Fault::Invalid { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    for registration in [
        Registration { login: Some("TAKEN".into()), ..base() },
        Registration { email: Some("Taken@Example.org".into()), ..base() },
    ] {
        assert_eq!(
            fixture.execute(&Credentials::Nothing, Command::Register(Box::new(registration))).await,
            Err(Fault::LoginTaken)
        );
    }
    let closed = Fixture::with(Policy { registration: false, ..Policy::default() });
    assert!(matches!(
        closed.execute(&Credentials::Nothing, Command::Register(Box::new(base()))).await,
        Err(Fault::Invalid { .. })
    ));
}

#[tokio::test]
async fn an_account_by_email_chooses_its_login_with_its_profile() {
    let fixture = Fixture::new();
    fixture.user("taken").await;
    let by_email = Registration {
        login: None,
        username: None,
        profile: false,
        grant: GrantKind::Pair,
        ..registration("eve")
    };
    let (credentials, _) = pair(
        fixture
            .execute(&Credentials::Nothing, Command::Register(Box::new(by_email)))
            .await
            .unwrap(),
    );
    let list = || Command::ListFlows { limit: None, offset: 0, members: false };
    assert_eq!(fixture.execute(&credentials, list()).await, Err(Fault::NoProfile));
    assert_eq!(fixture.execute(&credentials, profile("Taken")).await, Err(Fault::LoginTaken));
    assert_eq!(fixture.execute(&credentials, profile("eve")).await, Ok(Answer::ProfileCreated));
    assert_eq!(fixture.execute(&credentials, profile("eve")).await, Err(Fault::ProfileExists));
    assert!(fixture.execute(&credentials, list()).await.is_ok());
    for identifier in ["eve", "eve@example.org"] {
        assert!(
            fixture
                .execute(
                    &Credentials::Nothing,
                    log_in(identifier, "eve's password", GrantKind::Pair)
                )
                .await
                .is_ok(),
            "{identifier}"
        );
    }
}

#[tokio::test]
async fn a_token_of_another_issuer_creates_its_account_and_cannot_be_logged_out() {
    let fixture = Fixture::new();
    let user = UserId::new(4_000).unwrap();
    let now = fixture.clock.now();
    let claims = AccessClaims {
        user,
        session: None,
        issued_at: now,
        expires_at: now.after(Duration::from_secs(60)),
    };
    let credentials = Credentials::Bearer(PlainSigner.sign(&claims, [0; 16]).unwrap());
    assert_eq!(
        fixture.execute(&credentials, Command::GetUser { user: UserRef::Me }).await,
        Err(Fault::NoProfile)
    );
    assert_eq!(
        fixture.execute(&credentials, profile("elsewhere")).await,
        Ok(Answer::ProfileCreated)
    );
    match fixture.execute(&credentials, Command::GetUser { user: UserRef::Me }).await.unwrap() {
        Answer::User(me) => assert_eq!((me.id, me.login.as_str()), (user, "elsewhere")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        fixture.execute(&credentials, Command::Logout { login: None }).await,
        Err(Fault::Invalid { field: "token", .. })
    ));
    fixture.clock.advance(Duration::from_secs(60));
    assert_eq!(
        fixture.execute(&credentials, Command::GetUser { user: UserRef::Me }).await,
        Err(Fault::Unauthenticated)
    );
}

#[tokio::test]
async fn a_recovery_link_is_mailed_to_existing_accounts_works_once_and_ends_all_sessions() {
    let fixture = Fixture::new();
    let (_, alice) = fixture.user("alice").await;
    for identifier in [
        RecoveryIdentifier::Login("nobody".into()),
        RecoveryIdentifier::Email("nobody@example.org".into()),
    ] {
        assert_eq!(
            fixture.execute(&Credentials::Nothing, Command::Recover { identifier }).await,
            Ok(Answer::RecoveryAccepted)
        );
    }
    assert_eq!(fixture.mailer.take(), []);
    for identifier in [
        RecoveryIdentifier::Login("Alice".into()),
        RecoveryIdentifier::Email("ALICE@example.org".into()),
    ] {
        assert_eq!(
            fixture.execute(&Credentials::Nothing, Command::Recover { identifier }).await,
            Ok(Answer::RecoveryAccepted)
        );
    }
    let mails = fixture.mailer.take();
    assert_eq!(mails.len(), 1, "the second request is too recent for another mail");
    assert_eq!(mails[0].to, "alice@example.org");
    let token = mails[0]
        .body
        .split_once("/recover?token=")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .unwrap();
    let reset = |password: &str| Command::ResetPassword {
        token: Secret::new(token),
        password: Secret::new(password),
    };
    assert!(
        matches!(
            fixture.execute(&Credentials::Nothing, reset("")).await,
            Err(Fault::Invalid { field: "password", .. })
        ),
        "an invalid password does not spend the token"
    );
    assert_eq!(
        fixture.execute(&Credentials::Nothing, reset("fresh")).await,
        Ok(Answer::PasswordReset)
    );
    assert_eq!(
        fixture.execute(&Credentials::Nothing, reset("again")).await,
        Err(Fault::Unauthenticated)
    );
    assert_eq!(
        fixture.execute(&alice, Command::GetUser { user: UserRef::Me }).await,
        Err(Fault::Unauthenticated)
    );
    assert!(
        fixture
            .execute(&Credentials::Nothing, log_in("alice", "fresh", GrantKind::Token))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_deleted_account_is_gone_but_its_messages_stay() {
    let fixture = Fixture::new();
    let (alice_id, alice) = fixture.user("alice").await;
    let (bob_id, bob) = fixture.user("bob").await;
    let flow = fixture.group(&alice, &[bob_id]).await;
    fixture.send(&alice, flow, "I was here").await.unwrap();
    let delete = |password: &str| Command::DeleteAccount {
        user: None,
        login: "alice".into(),
        password: Secret::new(password),
    };
    assert!(matches!(
        fixture.execute(&Credentials::Nothing, delete("wrong")).await,
        Err(Fault::WrongCredentials { .. })
    ));
    assert_eq!(
        fixture.execute(&Credentials::Nothing, delete("alice's password")).await,
        Ok(Answer::AccountDeleted { user: alice_id })
    );
    assert_eq!(
        fixture.execute(&alice, Command::GetUser { user: UserRef::Me }).await,
        Err(Fault::Unauthenticated)
    );
    assert_eq!(
        fixture.execute(&bob, Command::GetUser { user: UserRef::Id(alice_id) }).await,
        Err(Fault::NoSuchUser)
    );
    assert!(
        fixture
            .execute(&Credentials::Nothing, log_in("alice", "alice's password", GrantKind::Token))
            .await
            .is_err()
    );
    assert_eq!(
        fixture
            .execute(&Credentials::Nothing, Command::Register(Box::new(registration("Alice"))))
            .await,
        Err(Fault::LoginTaken)
    );
    assert_eq!(fixture.texts(&bob, flow).await, ["I was here"]);
}

/// A client of REST may reach another node with each request.
#[tokio::test]
async fn an_account_is_not_deleted_by_the_credentials_or_id_of_another() {
    let fixture = Fixture::new();
    let (alice_id, alice) = fixture.user("alice").await;
    let (bob_id, bob) = fixture.user("bob").await;
    let delete = |user, password: &str| Command::DeleteAccount {
        user,
        login: "alice".into(),
        password: Secret::new(password),
    };
    let right = "alice's password";
    let wrong = Err(Fault::WrongCredentials { login_exists: true });
    let anonymous = Credentials::Nothing;
    let unknown = Credentials::Token(Secret::new("unknown"));
    for (credentials, user, password, expected) in [
        (&bob, None, right, wrong.clone()),
        (&bob, Some(alice_id), right, wrong.clone()),
        (&alice, Some(bob_id), right, wrong.clone()),
        (&anonymous, Some(bob_id), right, wrong.clone()),
        (&alice, Some(alice_id), "wrong", wrong),
        (&unknown, Some(alice_id), right, Err(Fault::Unauthenticated)),
    ] {
        let outcome = fixture.execute(credentials, delete(user, password)).await;
        assert_eq!(outcome, expected, "{credentials:?}, {user:?}, {password}");
    }
    let me = || Command::GetUser { user: UserRef::Me };
    for credentials in [&alice, &bob] {
        assert!(fixture.execute(credentials, me()).await.is_ok(), "nothing was deleted");
    }
    assert_eq!(
        fixture.execute(&alice, delete(Some(alice_id), right)).await,
        Ok(Answer::AccountDeleted { user: alice_id })
    );
    assert_eq!(fixture.execute(&alice, me()).await, Err(Fault::Unauthenticated));
}

#[tokio::test]
async fn a_profile_created_at_one_node_is_visible_at_another_at_once() {
    let here = Fixture::new();
    let there = here.second_node();
    let registration =
        Registration { profile: false, grant: GrantKind::Token, ..registration("alice") };
    let answer = here
        .execute(&Credentials::Nothing, Command::Register(Box::new(registration)))
        .await
        .expect("a new user can register");
    let Answer::Granted(grant) = answer else { panic!("{answer:?}") };
    let Tokens::Token(token) = grant.tokens else { panic!("{:?}", grant.tokens) };
    let alice = Credentials::Token(token);
    let look = || Command::SearchUsers { query: "alice".into(), limit: 1 };
    assert_eq!(there.execute(&alice, look()).await, Err(Fault::NoProfile));
    here.execute(&alice, profile("alice")).await.expect("a profile can be created");
    there.execute(&alice, look()).await.expect("the profile is visible");
}
