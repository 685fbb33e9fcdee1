//! Password guessing is slowed down, then refused.
//!
//! Failures are counted in the store, so that all dialects and all nodes share the counters:
//!
//! - **of one login from one address**, strictly: after the free attempts each response is delayed,
//!   longer each time, then logins are refused until the window is over. A user who fails on
//!   purpose locks a login out at their own address only.
//! - **of one address**, over all logins, loosely: many users may share an address.
//! - **of one login**, over all addresses, loosely: against guessing from many addresses. An
//!   address where this login has succeeded is exempt for a time, so that an attacker cannot lock
//!   the owner out of the addresses that they use.
//!
//! Only failures are counted, after the check of the password, so that simultaneous correct logins
//! are not delayed. Attempts whose checks ran at the same time are judged again after the check:
//! beyond a limit the response is the same for a right and a wrong password. Logins that do not
//! exist are counted alike, so that no counter tells if one does. The login and the e-mail address
//! of an account share its counters, so that knowing both gives no further attempts.

use crate::Engine;
use crate::address_group::address_group;
use crate::counter_limits::{counter_key as key, judge};
use crate::faults::store_fault;
use crate::limits::case_folded;
use crate::policy::LoginThrottlePolicy;
use crate::ports::{Counter, CounterKey};
use std::net::IpAddr;
use std::time::Duration;
use tolmach_domain::{Fault, UserId};

/// The subject of an attempt to log in.
#[derive(Clone, Copy)]
pub(crate) enum LoginSubject<'a> {
    /// An account, by whichever identifier.
    Account(UserId),
    /// An identifier that no account has.
    Unknown(&'a str),
}

/// The counters that an attempt to log in belongs to.
pub(crate) struct LoginAttempt {
    /// The login from this address.
    pair: CounterKey,
    /// The login from all addresses.
    login: CounterKey,
    /// `None` if the address is not known.
    source: Option<SourceAddress>,
}

#[derive(Clone, Copy)]
struct SourceAddress {
    /// All logins from this address.
    address: CounterKey,
    /// Present while the login is trusted at this address.
    trust: CounterKey,
}

/// The counters before an attempt.
pub(crate) struct LoginCounters {
    pair: Option<Counter>,
    trust: Option<Counter>,
}

impl LoginAttempt {
    pub(crate) fn new(subject: LoginSubject<'_>, address: Option<IpAddr>) -> Self {
        let (kind, name) = match subject {
            LoginSubject::Account(user) => ("account", user.to_string()),
            LoginSubject::Unknown(identifier) => ("unknown", case_folded(identifier)),
        };
        let address = address.map(|address| address_group(address).to_string());
        let source = address.as_deref().map(|address| SourceAddress {
            address: key(&["address", address]),
            trust: key(&["trust", kind, &name, address]),
        });
        Self {
            pair: key(&["pair", kind, &name, address.as_deref().unwrap_or_default()]),
            login: key(&["login", kind, &name]),
            source,
        }
    }

    /// The counters that a failure increments.
    fn failure_keys(&self) -> Vec<CounterKey> {
        let address = self.source.map(|source| source.address);
        [self.pair, self.login].into_iter().chain(address).collect()
    }
}

impl Engine {
    /// The counters before an attempt; [`Fault::TooMany`] with the remaining time if one of them
    /// has reached its limit.
    pub(crate) async fn check_login_counters(
        &self,
        attempt: &LoginAttempt,
    ) -> Result<LoginCounters, Fault> {
        let (policy, now) = (&self.policy.login_throttle, self.now());
        let mut keys = vec![attempt.pair, attempt.login];
        keys.extend(attempt.source.into_iter().flat_map(|source| [source.address, source.trust]));
        let counters = self.ports.store.login_counters(&keys, now).await.map_err(store_fault)?;
        let mut counters = counters.into_iter();
        let mut next = || counters.next().flatten();
        let (pair, login, address, trust) = (next(), next(), next(), next());
        let limits = [
            (pair, policy.max_failures_per_login_and_address),
            (login, policy.login_limit(trust.is_some())),
            (address, policy.max_failures_per_address),
        ];
        judge(limits, |count, limit| count >= limit, now)?;
        Ok(LoginCounters { pair, trust })
    }

    /// Delays an attempt according to its failures, and returns true if it did.
    /// [`Fault::TooMany`] if too many are being delayed.
    pub(crate) async fn delay_login(&self, counters: &LoginCounters) -> Result<bool, Fault> {
        let policy = &self.policy.login_throttle;
        let delay = policy.delay(counters.pair.map_or(0, |counter| counter.count));
        if delay.is_zero() {
            return Ok(false);
        }
        let _permit = self
            .delayed_logins
            .try_acquire(policy.max_delayed)
            .ok_or(Fault::TooMany { retry_after: delay })?;
        self.ports.clock.sleep(delay).await;
        Ok(true)
    }

    /// Counts a failure. [`Fault::TooMany`] if it is beyond a limit: the response must not tell
    /// that the password was wrong.
    pub(crate) async fn count_failure(
        &self,
        attempt: &LoginAttempt,
        before: &LoginCounters,
    ) -> Result<(), Fault> {
        let (policy, now) = (&self.policy.login_throttle, self.now());
        let (keys, expires_at) = (attempt.failure_keys(), now.after(policy.window));
        let counted = self.ports.store.increment_login_counters(&keys, now, expires_at);
        let mut counters = counted.await.map_err(store_fault)?.into_iter();
        let (pair, login, address) = (counters.next(), counters.next(), counters.next());
        let limits = [
            (pair, policy.max_failures_per_login_and_address),
            (login, policy.login_limit(before.trust.is_some())),
            (address, policy.max_failures_per_address),
        ];
        for ((counter, limit), subject) in
            limits.into_iter().zip(["one login from one address", "one login", "one address"])
        {
            if counter.is_some_and(|counter| counter.count == limit) {
                tracing::warn!(failures = limit, subject, "logins are refused: too many failed");
            }
        }
        judge(limits, |count, limit| count > limit, now)
    }

    /// Clears the failures of a login from an address where it has succeeded, and trusts it there.
    pub(crate) async fn count_success(&self, attempt: &LoginAttempt) -> Result<(), Fault> {
        // Others may have failed since the check before the password's.
        let LoginCounters { pair, trust } = self.check_login_counters(attempt).await?;
        let (lifetime, now) = (self.policy.login_throttle.trust_lifetime, self.now());
        // Renewing at each login would be a write at each login.
        let renewed = attempt
            .source
            .filter(|_| trust.is_none_or(|trust| trust.expires_at < now.after(lifetime / 2)));
        let cleared: Vec<_> = pair
            .map(|_| attempt.pair)
            .into_iter()
            .chain(renewed.and(trust).and(attempt.source).map(|source| source.trust))
            .collect();
        let store = &self.ports.store;
        if !cleared.is_empty() {
            store.clear_login_counters(&cleared).await.map_err(store_fault)?;
        }
        if let Some(source) = renewed {
            let (trust, expires_at) = ([source.trust], now.after(lifetime));
            store.increment_login_counters(&trust, now, expires_at).await.map_err(store_fault)?;
        }
        Ok(())
    }
}

impl LoginThrottlePolicy {
    /// The delay of an attempt after this many failures.
    fn delay(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free_attempts) {
            None => Duration::ZERO,
            Some(further) => self
                .initial_delay
                .saturating_mul(1_u32.checked_shl(further).unwrap_or(u32::MAX))
                .min(self.max_delay),
        }
    }

    fn login_limit(&self, trusted: bool) -> u32 {
        if trusted { u32::MAX } else { self.max_failures_per_login }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_logins_and_addresses_differ() {
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let all = |attempt: LoginAttempt| {
            let source = attempt.source.expect("the address was given");
            [attempt.pair.0, attempt.login.0, source.address.0, source.trust.0]
        };
        let unknown = |login| all(LoginAttempt::new(LoginSubject::Unknown(login), address));
        let (ann, same, other) = (unknown("Ann"), unknown("aNN"), unknown("ann192"));
        assert_eq!(ann, same, "the case of a login makes no difference");
        assert_eq!(ann[2], other[2], "the address is the same");
        let user = UserId::new(7).expect("an id");
        let account = all(LoginAttempt::new(LoginSubject::Account(user), address));
        let number = unknown("7");
        let all = ann.into_iter().chain(other).chain(account).chain(number);
        let distinct: std::collections::BTreeSet<_> = all.collect();
        assert_eq!(distinct.len(), 13);
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let policy = LoginThrottlePolicy {
            free_attempts: 2,
            initial_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(4),
            ..LoginThrottlePolicy::default()
        };
        let delays =
            [0, 1, 2, 3, 4, 5, 6, 100, u32::MAX].map(|failures| policy.delay(failures).as_millis());
        assert_eq!(delays, [0, 0, 500, 1000, 2000, 4000, 4000, 4000, 4000]);
    }
}
