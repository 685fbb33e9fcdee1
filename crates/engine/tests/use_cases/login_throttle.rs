//! The throttle of failed logins.

use crate::fixture::{Fixture, log_in};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tolmach_domain::*;
use tolmach_engine::memory::PlainPasswords;
use tolmach_engine::ports::{Clock, HashOrigin, PasswordCheck, PasswordError, Passwords};
use tolmach_engine::{LoginThrottlePolicy, Policy};

const WINDOW: Duration = Duration::from_secs(900);

const HERE: &str = "192.0.2.1";

const THERE: &str = "192.0.2.2";

const RIGHT: &str = "alice's password";

fn login_throttle() -> LoginThrottlePolicy {
    LoginThrottlePolicy {
        window: WINDOW,
        free_attempts: 3,
        max_failures_per_login_and_address: 5,
        max_failures_per_login: 12,
        max_failures_per_address: 20,
        ..LoginThrottlePolicy::default()
    }
}

impl Fixture {
    fn with_throttle(login_throttle: LoginThrottlePolicy) -> Self {
        Self::with(Policy { login_throttle, ..Policy::default() })
    }

    /// True if a password is accepted from an address; `None` if the attempt is refused.
    async fn attempt(&self, address: &str, login: &str, password: &str) -> Option<bool> {
        let address = Some(address.parse().expect("it is an address"));
        match self
            .execute_from(
                address,
                &Credentials::Nothing,
                Authority::Member,
                log_in(login, password, GrantKind::Token),
            )
            .await
        {
            Ok(_) => Some(true),
            Err(Fault::WrongCredentials { .. }) => Some(false),
            Err(Fault::TooMany { retry_after }) => {
                assert!(!retry_after.is_zero() && retry_after <= WINDOW, "{retry_after:?}");
                None
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn fail(&self, address: &str, login: &str, times: u32) {
        for time in 0..times {
            assert_eq!(
                self.attempt(address, login, "wrong").await,
                Some(false),
                "{login} from {address}, failure {time}"
            );
        }
    }
}

#[tokio::test]
async fn logins_are_refused_after_too_many_failures_until_the_window_is_over() {
    for login in ["alice", "nobody"] {
        let fixture = Fixture::with_throttle(login_throttle());
        fixture.user("alice").await;
        let started = fixture.clock.now();
        fixture.fail(HERE, login, 5).await;
        for password in ["wrong", RIGHT] {
            assert_eq!(
                fixture.attempt(HERE, &login.to_uppercase(), password).await,
                None,
                "{login}"
            );
        }
        let left = WINDOW - fixture.clock.now().since(started);
        let refused = fixture.execute_from(
            Some(HERE.parse().unwrap()),
            &Credentials::Nothing,
            Authority::Member,
            log_in(login, RIGHT, GrantKind::Pair),
        );
        assert_eq!(
            refused.await.map(drop),
            Err(Fault::TooMany { retry_after: left }),
            "{login}: the fault has the remaining time"
        );
        fixture.clock.set(started.after(WINDOW));
        assert_eq!(
            fixture.attempt(HERE, login, RIGHT).await,
            Some(login == "alice"),
            "the window is over"
        );
    }
}

/// Knowing both gives no further attempts.
#[tokio::test]
async fn a_login_and_the_address_of_its_account_count_together() {
    let fixture = Fixture::with_throttle(login_throttle());
    fixture.user("alice").await;
    fixture.fail(HERE, "alice", 3).await;
    fixture.fail(HERE, "alice@example.org", 2).await;
    for identifier in ["alice", "ALICE@example.org"] {
        assert_eq!(fixture.attempt(HERE, identifier, RIGHT).await, None, "{identifier}");
    }
    assert_eq!(fixture.attempt(THERE, "alice@example.org", RIGHT).await, Some(true));
}

#[tokio::test]
async fn each_failure_after_the_free_ones_delays_the_next_attempt() {
    let fixture = Fixture::with_throttle(LoginThrottlePolicy {
        max_failures_per_login_and_address: 9,
        ..login_throttle()
    });
    fixture.user("alice").await;
    for expected in [0, 0, 0, 500, 1_000, 2_000, 4_000, 4_000] {
        let before = fixture.clock.now();
        fixture.fail(HERE, "alice", 1).await;
        assert_eq!(fixture.clock.now().since(before).as_millis(), expected);
    }
    let before = fixture.clock.now();
    assert_eq!(fixture.attempt(HERE, "alice", RIGHT).await, Some(true));
    assert_eq!(
        fixture.clock.now().since(before).as_millis(),
        4_000,
        "a correct password is delayed alike"
    );
    let before = fixture.clock.now();
    fixture.fail(HERE, "alice", 1).await;
    assert_eq!(fixture.clock.now(), before, "a success clears the failures from this address");
}

#[tokio::test]
async fn attempts_are_refused_where_too_many_are_delayed() {
    let fixture =
        Fixture::with_throttle(LoginThrottlePolicy { max_delayed: 0, ..login_throttle() });
    fixture.user("alice").await;
    fixture.fail(HERE, "alice", 3).await;
    assert_eq!(fixture.attempt(HERE, "alice", RIGHT).await, None);
    assert_eq!(
        fixture.attempt(THERE, "alice", RIGHT).await,
        Some(true),
        "an attempt without a delay is not refused"
    );
}

#[tokio::test]
async fn failures_elsewhere_do_not_lock_out_an_address_where_the_login_succeeded() {
    let fixture = Fixture::with_throttle(login_throttle());
    fixture.user("alice").await;
    assert_eq!(fixture.attempt(HERE, "alice", RIGHT).await, Some(true));
    for host in 10..13 {
        fixture.fail(&format!("198.51.100.{host}"), "alice", 4).await;
    }
    for address in [THERE, "198.51.100.10", "2001:db8::1"] {
        assert_eq!(
            fixture.attempt(address, "alice", RIGHT).await,
            None,
            "{address}: too many failures over all addresses"
        );
    }
    fixture.fail(HERE, "alice", 4).await;
    assert_eq!(
        fixture.attempt(HERE, "alice", RIGHT).await,
        Some(true),
        "at a trusted address only its own failures count"
    );
    fixture.clock.advance(WINDOW);
    assert_eq!(fixture.attempt(THERE, "alice", RIGHT).await, Some(true));
}

#[tokio::test]
async fn an_address_is_trusted_while_its_successes_are_recent() {
    let policy = login_throttle();
    let trust = policy.trust_lifetime;
    let fixture = Fixture::with_throttle(policy);
    fixture.user("alice").await;
    let fail_elsewhere = async || {
        for host in 10..13 {
            fixture.fail(&format!("198.51.100.{host}"), "alice", 4).await;
        }
    };
    assert_eq!(fixture.attempt(HERE, "alice", RIGHT).await, Some(true));
    fixture.clock.advance(trust * 3 / 4);
    assert_eq!(
        fixture.attempt(HERE, "alice", RIGHT).await,
        Some(true),
        "the success renews the trust"
    );
    fixture.clock.advance(trust * 3 / 4);
    fail_elsewhere().await;
    assert_eq!(fixture.attempt(HERE, "alice", RIGHT).await, Some(true));
    fixture.clock.advance(trust);
    fail_elsewhere().await;
    assert_eq!(fixture.attempt(HERE, "alice", RIGHT).await, None);
}

#[tokio::test]
async fn an_address_that_tries_many_logins_is_refused_for_all() {
    let fixture = Fixture::with_throttle(login_throttle());
    fixture.user("alice").await;
    for number in 0..10 {
        fixture.fail("2001:db8::1", &format!("login-{number}"), 2).await;
    }
    for (address, expected) in
        [("2001:db8::1", None), ("2001:db8::ffff", None), ("2001:db8:0:1::1", Some(true))]
    {
        assert_eq!(fixture.attempt(address, "alice", RIGHT).await, expected, "{address}");
    }
}

#[tokio::test]
async fn many_correct_logins_at_once_all_succeed() {
    let fixture = Fixture::with_throttle(login_throttle());
    fixture.user("alice").await;
    let attempts = (0..100).map(|_| fixture.attempt(HERE, "alice", RIGHT));
    assert!(
        futures_util::future::join_all(attempts)
            .await
            .into_iter()
            .all(|attempt| attempt == Some(true))
    );
}

#[tokio::test]
async fn every_check_of_a_password_counts() {
    let fixture = Fixture::with_throttle(login_throttle());
    fixture.user("alice").await;
    let address = Some(HERE.parse().unwrap());
    let delete = |password: &str| Command::DeleteAccount {
        user: None,
        login: "alice".into(),
        password: Secret::new(password),
    };
    let execute =
        |command| fixture.execute_from(address, &Credentials::Nothing, Authority::Member, command);
    for _ in 0..5 {
        assert!(matches!(execute(delete("wrong")).await, Err(Fault::WrongCredentials { .. })));
    }
    assert!(matches!(execute(delete(RIGHT)).await, Err(Fault::TooMany { .. })));
    assert_eq!(fixture.attempt(HERE, "alice", RIGHT).await, None);
}

#[tokio::test]
async fn a_correct_password_for_another_account_counts_as_a_failure() {
    let fixture = Fixture::with_throttle(login_throttle());
    fixture.user("alice").await;
    let (bob_id, bob) = fixture.user("bob").await;
    let address = Some(HERE.parse().unwrap());
    let delete =
        |user| Command::DeleteAccount { user, login: "alice".into(), password: Secret::new(RIGHT) };
    let execute = |credentials, user| {
        fixture.execute_from(address, credentials, Authority::Member, delete(user))
    };
    for _ in 0..3 {
        assert!(matches!(execute(&bob, None).await, Err(Fault::WrongCredentials { .. })));
    }
    for _ in 0..2 {
        let outcome = execute(&Credentials::Nothing, Some(bob_id)).await;
        assert!(matches!(outcome, Err(Fault::WrongCredentials { .. })));
    }
    let outcome = execute(&Credentials::Nothing, None).await;
    assert!(matches!(outcome, Err(Fault::TooMany { .. })), "{outcome:?}");
}

/// The number of concurrent guesses beside the correct one.
const GUESSES: usize = 30;

/// Verifies no password before all attempts have arrived, and the correct one after the others were
/// answered.
#[derive(Default)]
struct Concurrent {
    present: AtomicUsize,
    answered: AtomicUsize,
}

#[async_trait]
impl Passwords for Concurrent {
    async fn hash(&self, password: &Secret, origin: HashOrigin) -> Result<String, PasswordError> {
        PlainPasswords.hash(password, origin).await
    }

    async fn verify(
        &self,
        password: &Secret,
        hash: Option<&str>,
        origin: HashOrigin,
    ) -> Result<PasswordCheck, PasswordError> {
        self.present.fetch_add(1, Ordering::SeqCst);
        let right = password.expose() == RIGHT;
        while self.present.load(Ordering::SeqCst) <= GUESSES
            || (right && self.answered.load(Ordering::SeqCst) < GUESSES)
        {
            tokio::task::yield_now().await;
        }
        PlainPasswords.verify(password, hash, origin).await
    }

    fn check_hash(&self, hash: &str) -> Result<(), String> {
        PlainPasswords.check_hash(hash)
    }
}

#[tokio::test]
async fn concurrent_guesses_learn_no_more_than_sequential_ones() {
    let passwords = Arc::new(Concurrent::default());
    let fixture = Fixture::with_passwords(passwords.clone(), login_throttle());
    fixture.user("alice").await;
    let attempts = (0..=GUESSES).map(async |number| {
        let outcome =
            fixture.attempt(HERE, "alice", if number == GUESSES { RIGHT } else { "wrong" }).await;
        passwords.answered.fetch_add(1, Ordering::SeqCst);
        outcome
    });
    let outcomes: Vec<_> =
        futures_util::future::join_all(attempts).await.into_iter().flatten().collect();
    assert_eq!(outcomes, [false; 5]);
}
