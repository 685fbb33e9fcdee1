//! Accounts, profiles and recovery.

use crate::fixture::{Fixture, log_in, pair, profile, registration};
use std::time::Duration;
use tolmach_domain::*;
use tolmach_engine::memory::PlainSigner;
use tolmach_engine::ports::{AccessClaims, Clock, Mail, Signer, UserChange};
use tolmach_engine::{Policy, Submission, ThrottlePolicy};

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
        ("login", Registration { login: Some(" new".into()), ..base() }),
        ("login", Registration { login: Some("n\u{200b}ew".into()), ..base() }),
        ("login", Registration { login: Some("victim@corp.example".into()), ..base() }),
        (
            "login",
            Registration {
                login: Some("victim@corp.example".into()),
                email: Some("own@corp.example".into()),
                ..base()
            },
        ),
        ("username", Registration { username: Some("n\u{202e}ew".into()), ..base() }),
        ("username", Registration { username: Some("Taken".into()), ..base() }),
        ("username", Registration { username: Some("t\u{430}ken".into()), ..base() }),
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
        Registration { login: Some("t\u{430}ken".into()), ..base() },
        Registration {
            login: Some("TAKEN@example.org".into()),
            email: Some("Taken@Example.org".into()),
            ..base()
        },
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

/// The form in which a login is stored finds it in the form in which it was typed.
#[tokio::test]
async fn a_login_is_found_in_the_form_in_which_it_was_registered() {
    let fixture = Fixture::new();
    // Fullwidth letters; a letter with a combining accent.
    for (typed, stored) in [("\u{ff41}nna", "anna"), ("Zoe\u{308}", "Zo\u{eb}")] {
        let registration = Registration { email: None, username: None, ..registration(typed) };
        let answer = fixture
            .execute(&Credentials::Nothing, Command::Register(Box::new(registration)))
            .await
            .unwrap();
        let Answer::Granted(grant) = answer else { panic!("{answer:?}") };
        assert_eq!(grant.user.unwrap().login, stored);
        for login in [typed, stored] {
            let password = format!("{typed}'s password");
            let outcome = fixture
                .execute(&Credentials::Nothing, log_in(login, &password, GrantKind::Token))
                .await;
            assert!(outcome.is_ok(), "{login:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_login_by_email_searches_addresses_only() {
    let fixture = Fixture::new();
    fixture.user("alice").await;
    let by = |identifier| Command::Login {
        identifier,
        password: Secret::new("alice's password"),
        grant: GrantKind::Token,
    };
    for (identifier, accepted) in [
        (LoginIdentifier::Email("alice@example.org".into()), true),
        (LoginIdentifier::Email("alice".into()), false),
        (LoginIdentifier::Any("alice".into()), true),
        (LoginIdentifier::Any("Alice@example.org".into()), true),
    ] {
        let outcome = fixture.execute(&Credentials::Nothing, by(identifier.clone())).await;
        assert_eq!(outcome.is_ok(), accepted, "{identifier:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_login_that_is_the_accounts_address_follows_it() {
    let fixture = Fixture::new();
    let eve = Registration { login: None, username: None, ..registration("eve") };
    let user = fixture.engine.create_account(eve, fixture.clock.now()).await.unwrap();
    assert_eq!(user.login, "eve@example.org");
    let change = UserChange { email: Some("new@example.org".into()), ..UserChange::default() };
    let now = fixture.clock.now();
    let changed = fixture.engine.change_account(user.id, change, None, now).await.unwrap();
    assert_eq!(changed.login, "new@example.org");
    let (bob, _) = fixture.user("bob").await;
    let change = UserChange { email: Some("b@example.org".into()), ..UserChange::default() };
    let changed = fixture.engine.change_account(bob, change, None, now).await.unwrap();
    assert_eq!(changed.login, "bob");
}

/// An IPv6 network counts as one address; what is refused for its form does not count.
#[tokio::test]
async fn registrations_are_limited_by_address_and_in_all_until_the_window_ends() {
    const WINDOW: Duration = Duration::from_secs(600);
    let fixture = Fixture::with(Policy {
        registration_throttle: ThrottlePolicy { window: WINDOW, max_per_address: 3, max_in_all: 5 },
        ..Policy::default()
    });
    let register = async |address: &str, login: &str| {
        let command = Command::Register(Box::new(registration(login)));
        let address = Some(address.parse().unwrap());
        fixture
            .execute_from(address, &Credentials::Nothing, Authority::Member, command)
            .await
            .map(drop)
    };
    let refused = || Err(Fault::TooMany { retry_after: WINDOW });
    assert_eq!(register("2001:db8::1", "ann").await, Ok(()));
    assert!(matches!(register("2001:db8::1", " ").await, Err(Fault::Invalid { .. })));
    assert_eq!(register("2001:db8::2", "ANN").await, Err(Fault::LoginTaken), "which counts");
    assert_eq!(register("2001:db8::3", "bob").await, Ok(()));
    assert_eq!(register("2001:db8::4", "carl").await, refused());
    assert_eq!(register("192.0.2.1", "carl").await, Ok(()));
    assert_eq!(register("192.0.2.2", "dora").await, refused(), "a refused attempt counts once");
    assert_eq!(register("2001:db8::4", "dora").await, refused());
    fixture.clock.advance(WINDOW);
    assert_eq!(register("2001:db8::4", "dora").await, Ok(()));
}

/// It tells if a login exists, as a registration does.
#[tokio::test]
async fn the_login_of_a_new_profile_counts_as_a_registration() {
    let fixture = Fixture::with(Policy {
        registration_throttle: ThrottlePolicy {
            max_per_address: 3,
            ..Policy::default().registration_throttle
        },
        ..Policy::default()
    });
    fixture.user("taken").await;
    let by_email = Registration {
        login: None,
        username: None,
        profile: false,
        grant: GrantKind::Token,
        ..registration("eve")
    };
    let here = Some("192.0.2.1".parse().unwrap());
    let execute = async |credentials: &Credentials, command| {
        fixture.execute_from(here, credentials, Authority::Member, command).await
    };
    let registered = execute(&Credentials::Nothing, Command::Register(Box::new(by_email))).await;
    let Ok(Answer::Granted(grant)) = registered else { panic!("{registered:?}") };
    let Tokens::Token(token) = grant.tokens else { panic!("{:?}", grant.tokens) };
    let eve = Credentials::Token(token);
    for expected in [Err(Fault::LoginTaken), Err(Fault::LoginTaken)] {
        assert_eq!(execute(&eve, profile("taken")).await, expected);
    }
    assert!(matches!(execute(&eve, profile("taken")).await, Err(Fault::TooMany { .. })));
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
    let text = format!("{}{}", mails[0].subject, mails[0].body);
    assert!(!text.to_lowercase().contains("alice"), "a mail has no text of users: {text}");
    let token = token_of(&mails[0]);
    let reset = |password: &str| Command::ResetPassword {
        token: token.clone(),
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

fn token_of(mail: &Mail) -> Secret {
    let (_, token) = mail.body.split_once("/recover?token=").expect("the mail has a link");
    Secret::new(token.split_whitespace().next().expect("the link has a token"))
}

#[tokio::test]
async fn earlier_recovery_links_stay_valid_until_one_is_used() {
    let fixture = Fixture::new();
    fixture.user("alice").await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        fixture.clock.advance(Duration::from_secs(60));
        let identifier = RecoveryIdentifier::Login("alice".into());
        fixture.execute(&Credentials::Nothing, Command::Recover { identifier }).await.unwrap();
        tokens.extend(fixture.mailer.take().iter().map(token_of));
    }
    assert_eq!(tokens.len(), 3);
    let valid = async |token: &Secret| fixture.engine.is_recovery_token_valid(token).await;
    for token in &tokens {
        assert_eq!(valid(token).await, Ok(true));
    }
    let reset = Command::ResetPassword { token: tokens[1].clone(), password: Secret::new("fresh") };
    assert_eq!(fixture.execute(&Credentials::Nothing, reset).await, Ok(Answer::PasswordReset));
    for token in &tokens {
        assert_eq!(valid(token).await, Ok(false));
    }
}

#[tokio::test]
async fn recovery_mails_are_limited_by_account_by_address_and_in_all() {
    const WINDOW: Duration = Duration::from_secs(3_600);
    let fixture = Fixture::with(Policy {
        recovery_throttle: ThrottlePolicy { window: WINDOW, max_per_address: 4, max_in_all: 3 },
        ..Policy::default()
    });
    for login in ["anna", "boris", "carl", "dora"] {
        fixture.user(login).await;
    }
    let mails = async |address: &str, login: &str| {
        let command = Command::Recover { identifier: RecoveryIdentifier::Login(login.into()) };
        let address = Some(address.parse().unwrap());
        let answer =
            fixture.execute_from(address, &Credentials::Nothing, Authority::Member, command).await;
        assert_eq!(answer, Ok(Answer::RecoveryAccepted), "the answer is always the same");
        fixture.mailer.take().len()
    };
    assert_eq!(mails("192.0.2.1", "anna").await, 1);
    assert_eq!(mails("192.0.2.2", "anna").await, 0, "one a minute to one account");
    assert_eq!(mails("192.0.2.1", "nobody").await, 0);
    assert_eq!(mails("192.0.2.1", "nobody").await, 0);
    assert_eq!(mails("192.0.2.1", "boris").await, 1, "the fourth request");
    assert_eq!(mails("192.0.2.1", "carl").await, 0, "the fifth request of the address");
    assert_eq!(mails("192.0.2.3", "carl").await, 1);
    assert_eq!(mails("192.0.2.3", "dora").await, 0, "the fourth mail");
    fixture.clock.advance(WINDOW);
    assert_eq!(mails("192.0.2.1", "dora").await, 1);
}

#[tokio::test]
async fn of_many_recoveries_at_once_some_are_carried_out_and_the_answer_is_the_same() {
    const AT_ONCE: usize = 16;
    let fixture = Fixture::new();
    for login in ["anna", "boris"] {
        fixture.user(login).await;
    }
    let begin = async |address: &str, login: &str| {
        let command = Command::Recover { identifier: RecoveryIdentifier::Login(login.into()) };
        let address = Some(address.parse().unwrap());
        let (caller, authority, origin) = (None, Authority::Member, None);
        let submission = Submission { caller, authority, origin, address, command };
        let handled = fixture.engine.execute(submission).await;
        assert_eq!(handled.outcome, Ok(Answer::RecoveryAccepted));
        handled.deferred
    };
    let mut waiting = Vec::new();
    for _ in 0..AT_ONCE {
        waiting.push(begin("192.0.2.1", "nobody").await.unwrap());
    }
    begin("192.0.2.1", "anna").await.unwrap().await;
    assert_eq!(fixture.mailer.take().len(), 0, "the address has as many as it may have");
    begin("192.0.2.2", "anna").await.unwrap().await;
    assert_eq!(fixture.mailer.take().len(), 1);
    waiting.pop();
    begin("192.0.2.1", "boris").await.unwrap().await;
    assert_eq!(fixture.mailer.take().len(), 1);
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
