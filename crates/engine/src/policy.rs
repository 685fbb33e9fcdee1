//! The settings of the use cases.

use crate::ports::{FlowLimits, Retention};
use std::time::Duration;
use tolmach_domain::Timestamp;

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
    /// The limits on registrations.
    pub registration_throttle: ThrottlePolicy,
    /// The limits on recovery mails. Those from one address count requests.
    pub recovery_throttle: ThrottlePolicy,
    /// The time from which logins by hashes of other servers are refused; a recovery link is mailed
    /// instead. `None` accepts them for good. Default: `None`.
    pub legacy_hashes_until: Option<Timestamp>,
    /// The beginning of a recovery link: the gateway's public address, without a slash at the end.
    pub public_url: String,
    /// The largest number of messages in the response to a request for a whole history.
    pub max_history_messages: u32,
    /// The largest size of an answer in bytes, counted as in
    /// [`AnswerBudget`](crate::AnswerBudget); a single record may be larger. Default: 8 MiB.
    pub max_answer_bytes: usize,
    /// The largest number of members of a group or channel.
    pub max_members: usize,
    /// The limits on what one user may do.
    pub quotas: Quotas,
    /// The largest text of a message, in bytes of UTF-8. Default: 64 KiB.
    pub max_text_bytes: usize,
    /// The largest size of a message's attached files and emoji together, in bytes as the client
    /// encoded them. Default: 768 KiB.
    pub max_attachment_bytes: usize,
    /// The periods for which records are kept. Default: for good, but for a year those of deleted
    /// messages, and for 30 days mails that are files.
    pub retention: Retention,
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
            registration_throttle: ThrottlePolicy {
                window: Duration::from_secs(60 * MINUTE),
                max_per_address: 200,
                max_in_all: 10_000,
            },
            recovery_throttle: ThrottlePolicy {
                window: Duration::from_secs(60 * MINUTE),
                max_per_address: 30,
                max_in_all: 1_000,
            },
            legacy_hashes_until: None,
            public_url: "http://127.0.0.1:8080".into(),
            max_history_messages: 10_000,
            max_answer_bytes: 8 << 20,
            max_members: 10_000,
            quotas: Quotas::default(),
            max_text_bytes: 64 << 10,
            max_attachment_bytes: 768 << 10,
            retention: Retention {
                deleted_messages: Some(Duration::from_secs(365 * DAY)),
                mails: Some(Duration::from_secs(30 * DAY)),
                ledger: Some(Duration::from_secs(90 * DAY)),
                ..Retention::default()
            },
        }
    }
}

/// The limits on something that strangers may do, within a window.
#[derive(Debug, Clone)]
pub struct ThrottlePolicy {
    /// The period for which events count, from the first of them on.
    pub window: Duration,
    /// The number of events from one address, or one IPv6 network of 64 bits, that is accepted.
    pub max_per_address: u32,
    /// The number of events from all addresses that is accepted.
    pub max_in_all: u32,
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

/// The limits on what one user may do, over all connections, dialects and nodes; [`u32::MAX`] is no
/// limit. Administrators are exempt.
#[derive(Debug, Clone)]
pub struct Quotas {
    /// See [`FlowLimits::groups_per_day`].
    pub groups_per_day: u32,
    /// See [`FlowLimits::members_per_day`].
    pub members_per_day: u32,
    /// See [`FlowLimits::strangers_per_hour`].
    pub strangers_per_hour: u32,
    /// The largest number of open sessions; a login beyond it ends the oldest one.
    pub sessions: u32,
    /// The number of spent refresh tokens of a session that are kept, to notice their reuse.
    pub spent_refresh_tokens: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            groups_per_day: 50,
            members_per_day: 1_000,
            strangers_per_hour: 60,
            sessions: 200,
            spent_refresh_tokens: 1_000,
        }
    }
}

impl Policy {
    /// The limits on a request of a user about flows.
    pub(crate) fn flow_limits(&self, administrator: bool) -> FlowLimits {
        let max_members = self.max_members;
        if administrator {
            return FlowLimits { max_members, ..FlowLimits::NONE };
        }
        let Quotas { groups_per_day, members_per_day, strangers_per_hour, .. } = self.quotas;
        FlowLimits { max_members, groups_per_day, members_per_day, strangers_per_hour }
    }

    /// The largest number of open sessions of a user.
    pub(crate) fn max_sessions(&self, administrator: bool) -> u32 {
        if administrator { u32::MAX } else { self.quotas.sessions }
    }
}
