//! Guessing passwords is made slow, then refused.
//!
//! Failures are counted in the store, so that all dialects and all nodes share the counts:
//!
//! - **of a login from an address**, strictly: the first few are free, then each answer is later
//!   than the last, then there is none until the window is over. Whoever fails on purpose locks a
//!   login out where they sit, and nowhere else.
//! - **of an address**, for whatever login, loosely: many people may sit behind one address.
//! - **of a login**, from whatever address, loosely: against guessing from many addresses. It does
//!   not hold where this login has succeeded lately, so that nobody can lock its owner out of the
//!   places that they use.
//!
//! Only a failure is counted, after it: many who log in at once, all rightly, hold nobody up.
//! Guesses that were let through beside each other are judged again when their passwords have been
//! checked: beyond a bound nothing is told, not even that a password was right. Logins that do not
//! exist are counted alike, so that no count tells whether one does; a login and the address of the
//! same account are counted each by itself for the same reason.

use crate::engine::refuse;
use crate::limits::folded;
use crate::ports::{Counter, CounterKey};
use crate::{Engine, GuessPolicy};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tolmach_domain::{Fault, Timestamp};

/// What one attempt to log in is counted by.
pub(crate) struct Attempt {
    /// The login from here.
    pair: CounterKey,
    /// The login from anywhere.
    login: CounterKey,
    /// Anything from here, and that this login has succeeded from here; `None` where it is not
    /// known where here is.
    here: Option<Here>,
}

#[derive(Clone, Copy)]
struct Here {
    address: CounterKey,
    trust: CounterKey,
}

/// What was counted before an attempt.
pub(crate) struct Seen {
    pair: Option<Counter>,
    trust: Option<Counter>,
}

impl Attempt {
    pub(crate) fn new(login: &str, address: Option<IpAddr>) -> Self {
        let login = folded(login);
        let address = address.map(place);
        let here = address.as_deref().map(|address| Here {
            address: key(&["address", address]),
            trust: key(&["trust", &login, address]),
        });
        Self {
            pair: key(&["pair", &login, address.as_deref().unwrap_or_default()]),
            login: key(&["login", &login]),
            here,
        }
    }

    /// What a failure is counted by.
    fn failed(&self) -> Vec<CounterKey> {
        [self.pair, self.login].into_iter().chain(self.here.map(|here| here.address)).collect()
    }
}

/// Parts never run into each other, whatever they are made of.
fn key(parts: &[&str]) -> CounterKey {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    CounterKey(hash.finalize().into())
}

/// Who counts as one address: of IPv6 a whole /64, which is what one customer is given at least.
fn place(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).to_string()
        }
    }
}

/// The attempts that are being held back.
#[derive(Default)]
pub(crate) struct Waiting(AtomicUsize);

/// A place among those that are held back; dropping it gives it back.
struct Held<'a>(&'a AtomicUsize);

impl Waiting {
    fn enter(&self, most: usize) -> Option<Held<'_>> {
        let held = Held(&self.0);
        (self.0.fetch_add(1, Ordering::Relaxed) < most).then_some(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl GuessPolicy {
    /// For how long an attempt is held back after so many failures.
    fn delay(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(more) => self
                .delay
                .saturating_mul(1_u32.checked_shl(more).unwrap_or(u32::MAX))
                .min(self.delay_max),
        }
    }

    fn login_bound(&self, trusted: bool) -> u32 {
        if trusted { u32::MAX } else { self.per_login }
    }
}

/// Refuses what one of the counts speaks against: it is `over` its bound. The longest wait counts.
fn judge(
    counts: [(Option<Counter>, u32); 3],
    over: impl Fn(u32, u32) -> bool,
    now: Timestamp,
) -> Result<(), Fault> {
    let reached = counts
        .into_iter()
        .filter_map(|(tally, bound)| tally.filter(|tally| over(tally.count, bound)));
    match reached.map(|tally| tally.expires_at).max() {
        Some(until) => Err(Fault::TooMany { retry_after: until.since(now) }),
        None => Ok(()),
    }
}

impl Engine {
    /// Whether an attempt may be made now, and what was counted before it. [`Fault::TooMany`] with
    /// the time that is left.
    pub(crate) async fn may_try(&self, attempt: &Attempt) -> Result<Seen, Fault> {
        let (policy, now) = (&self.policy.guesses, self.now());
        let mut keys = vec![attempt.pair, attempt.login];
        keys.extend(attempt.here.into_iter().flat_map(|here| [here.address, here.trust]));
        let mut tallies = self.ports.store.tallies(&keys, now).await.map_err(refuse)?.into_iter();
        let mut next = || tallies.next().flatten();
        let (pair, login, address, trust) = (next(), next(), next(), next());
        let bounds = [
            (pair, policy.per_pair),
            (login, policy.login_bound(trust.is_some())),
            (address, policy.per_address),
        ];
        judge(bounds, |count, bound| count >= bound, now)?;
        Ok(Seen { pair, trust })
    }

    /// Holds an attempt back as its failures call for. Refuses it where too many are being held
    /// back.
    pub(crate) async fn hold_back(&self, seen: &Seen) -> Result<(), Fault> {
        let delay = self.policy.guesses.delay(seen.pair.map_or(0, |tally| tally.count));
        if delay.is_zero() {
            return Ok(());
        }
        let _held = self
            .held_back
            .enter(self.policy.guesses.waiting)
            .ok_or(Fault::TooMany { retry_after: delay })?;
        self.ports.clock.sleep(delay).await;
        Ok(())
    }

    /// Counts a failure. [`Fault::TooMany`] where it came beyond a bound, so that the caller must
    /// not tell that it was one.
    pub(crate) async fn count_failure(&self, attempt: &Attempt, seen: &Seen) -> Result<(), Fault> {
        let (policy, now) = (&self.policy.guesses, self.now());
        let counted = self
            .ports
            .store
            .count(&attempt.failed(), now, now.after(policy.window))
            .await
            .map_err(refuse)?;
        let mut counted = counted.into_iter();
        let (pair, login, address) = (counted.next(), counted.next(), counted.next());
        let bounds = [
            (pair, policy.per_pair),
            (login, policy.login_bound(seen.trust.is_some())),
            (address, policy.per_address),
        ];
        for ((tally, bound), what) in
            bounds.into_iter().zip(["one login from one address", "one login", "one address"])
        {
            if tally.is_some_and(|tally| tally.count == bound) {
                tracing::warn!(
                    failures = bound,
                    "logins of {what} are refused for a while: too many have failed"
                );
            }
        }
        judge(bounds, |count, bound| count > bound, now)
    }

    /// Forgets the failures of a login from an address where it has succeeded, and remembers that
    /// it has.
    pub(crate) async fn count_success(&self, attempt: &Attempt) -> Result<(), Fault> {
        // Others may have failed meanwhile.
        let Seen { pair, trust } = self.may_try(attempt).await?;
        let (lifetime, now) = (self.policy.guesses.trust, self.now());
        // Not at each login, which would be a write.
        let renewed = attempt
            .here
            .filter(|_| trust.is_none_or(|trust| trust.expires_at < now.after(lifetime / 2)));
        let cleared: Vec<_> = pair
            .map(|_| attempt.pair)
            .into_iter()
            .chain(renewed.and(trust).and(attempt.here).map(|here| here.trust))
            .collect();
        if !cleared.is_empty() {
            self.ports.store.clear_tallies(&cleared).await.map_err(refuse)?;
        }
        if let Some(here) = renewed {
            self.ports
                .store
                .count(&[here.trust], now, now.after(lifetime))
                .await
                .map_err(refuse)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_count_as_one_where_one_customer_has_them() {
        for (address, other, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "0.0.0.1", false),
        ] {
            let places =
                [address, other].map(|text| place(text.parse().expect("it is an address")));
            assert_eq!(places[0] == places[1], same, "{address} and {other}");
        }
    }

    #[test]
    fn names_and_addresses_never_run_into_each_other() {
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let all = |attempt: Attempt| {
            let here = attempt.here.expect("the address was given");
            [attempt.pair.0, attempt.login.0, here.address.0, here.trust.0]
        };
        let (ann, same, other) = (
            all(Attempt::new("Ann", address)),
            all(Attempt::new("aNN", address)),
            all(Attempt::new("ann192", address)),
        );
        assert_eq!(ann, same, "the case of a login makes no difference");
        assert_eq!(ann[2], other[2], "the address is the same");
        let distinct: std::collections::BTreeSet<_> = ann.into_iter().chain(other).collect();
        assert_eq!(distinct.len(), 7);
    }

    #[test]
    fn each_answer_is_later_than_the_last_up_to_a_bound() {
        let policy = GuessPolicy {
            free: 2,
            delay: Duration::from_millis(500),
            delay_max: Duration::from_secs(4),
            ..GuessPolicy::default()
        };
        let delays =
            [0, 1, 2, 3, 4, 5, 6, 100, u32::MAX].map(|failures| policy.delay(failures).as_millis());
        assert_eq!(delays, [0, 0, 500, 1000, 2000, 4000, 4000, 4000, 4000]);
    }

    #[test]
    fn only_so_many_are_held_back_at_once() {
        let waiting = Waiting::default();
        let (first, second) = (waiting.enter(2), waiting.enter(2));
        assert!(first.is_some() && second.is_some() && waiting.enter(2).is_none());
        drop(first);
        assert!(waiting.enter(2).is_some() && waiting.enter(0).is_none());
    }
}
