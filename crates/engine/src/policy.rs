//! The settings of the use cases.

use std::time::Duration;

/// The settings of the use cases, chosen by an operator.
#[derive(Debug, Clone)]
pub struct Policy {
    /// True if anyone may register.
    pub registration: bool,
    /// The shortest password, in bytes.
    pub min_password_bytes: usize,
    /// The lifetime of an opaque token after its last use.
    pub token_lifetime: Duration,
    /// The lifetime of an access token.
    pub access_lifetime: Duration,
    /// The lifetime of a refresh token.
    pub refresh_lifetime: Duration,
    /// The lifetime of a recovery link.
    pub recovery_lifetime: Duration,
    /// The limits on failed logins.
    pub login_throttle: LoginThrottlePolicy,
    /// The beginning of a recovery link: the gateway's public address, without a slash at the end.
    pub public_url: String,
    /// The largest number of messages in the response to a request for a whole history.
    pub max_history_messages: u32,
    /// The largest number of members of a group or channel.
    pub max_members: usize,
}

impl Default for Policy {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const DAY: u64 = 24 * 60 * MINUTE;
        Self {
            registration: true,
            min_password_bytes: 1,
            token_lifetime: Duration::from_secs(5 * DAY),
            access_lifetime: Duration::from_secs(15 * MINUTE),
            refresh_lifetime: Duration::from_secs(7 * DAY),
            recovery_lifetime: Duration::from_secs(30 * MINUTE),
            login_throttle: LoginThrottlePolicy::default(),
            public_url: "http://127.0.0.1:8080".into(),
            max_history_messages: 10_000,
            max_members: 10_000,
        }
    }
}

/// The limits on failed logins, against password guessing. Failures are counted for one login from
/// one address, for one login from all addresses, and for one address over all logins.
#[derive(Debug, Clone)]
pub struct LoginThrottlePolicy {
    /// The period for which failures count, from the first of them on.
    pub window: Duration,
    /// The number of failures of a login from an address after which attempts are delayed.
    pub free_attempts: u32,
    /// The number of failures after which a login is refused to one address.
    pub max_failures_per_login_and_address: u32,
    /// The number of failures, from all addresses, after which a login is refused to addresses
    /// where it has not succeeded within `trust_lifetime`.
    pub max_failures_per_login: u32,
    /// The number of failures after which all logins are refused to an address.
    pub max_failures_per_address: u32,
    /// The delay of the first attempt after the free ones; it doubles with each further failure.
    pub initial_delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
    /// The largest number of attempts delayed at once; further ones are refused.
    pub max_delayed: usize,
    /// The period after a successful login for which its address is exempt from
    /// `max_failures_per_login`.
    pub trust_lifetime: Duration,
}

impl Default for LoginThrottlePolicy {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(15 * 60),
            free_attempts: 3,
            max_failures_per_login_and_address: 10,
            max_failures_per_login: 100,
            max_failures_per_address: 300,
            initial_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(4),
            max_delayed: 1_000,
            trust_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}
