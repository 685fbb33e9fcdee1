//! Serving rules: which clients are served, how, and by which server. An operator sets them while
//! gateways run.

use super::StoreError;
use async_trait::async_trait;
use ipnet::IpNet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tolmach_domain::{Fault, Timestamp, UserId};

/// The largest number of rules.
pub const MAX_RULES: u32 = 1_000;

/// The rules of a [`Store`](super::Store). Gateways read them again when their revision changes.
#[async_trait]
pub trait RuleStore: Send + Sync + 'static {
    /// The number of changes of rules so far. Reads one row.
    async fn rules_revision(&self) -> Result<i64, StoreError>;

    /// All rules, ordered by number.
    async fn rules(&self) -> Result<Vec<Rule>, StoreError>;

    /// Stores a rule and returns its number. A rule that has the same [`slot`](NewRule::slot) is
    /// replaced, and keeps its number. [`Fault::Invalid`] if there
    /// are `limit` other rules already.
    async fn set_rule(&self, rule: NewRule, limit: u32) -> Result<i64, StoreError>;

    /// Removes the rules with these numbers, and returns how many there were.
    async fn remove_rules(&self, numbers: &[i64]) -> Result<u64, StoreError>;
}

/// The fault of a rule that would be one too many.
pub fn too_many_rules(limit: u32) -> Fault {
    Fault::invalid("rules", format!("there may be at most {limit}"))
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its number, never given to another rule.
    pub number: i64,
    /// The clients that it is about.
    pub subject: RuleSubject,
    /// The way in which they are served.
    pub effect: RuleEffect,
}

/// A rule to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRule {
    /// The clients that it is about.
    pub subject: RuleSubject,
    /// The way in which they are served.
    pub effect: RuleEffect,
}

impl NewRule {
    /// The text that is equal for two rules if the later one replaces the earlier one: the clients,
    /// but for the size of a share, and the name of the effect.
    pub fn slot(&self) -> String {
        let RuleSubject { dialect, revision, user, login, network, user_agent, share } =
            &self.subject;
        let mut slot = self.effect.name().to_owned();
        let mut part = |name: &str, value: Option<String>| {
            slot.extend(value.map(|value| format!(" {name}={value}")));
        };
        part("dialect", dialect.clone());
        part("revision", revision.clone());
        part("user", user.map(|user| user.to_string()));
        // In quotes, because it may contain anything.
        part("login", login.as_ref().map(|login| format!("{login:?}")));
        part("network", network.map(|network| network.to_string()));
        part("share", share.map(|_| "any".to_owned()));
        // The last one, because it may contain anything.
        part("user-agent", user_agent.clone());
        slot
    }
}

/// The clients that a rule is about: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSubject {
    /// The id of a dialect.
    pub dialect: Option<String>,
    /// The name of a revision of it.
    pub revision: Option<String>,
    /// A user.
    pub user: Option<UserId>,
    /// A user by login, in lower case: one of another server has no id here.
    pub login: Option<String>,
    /// A network with the client's address.
    pub network: Option<IpNet>,
    /// A part of the `User-Agent` header.
    pub user_agent: Option<String>,
    /// A share of the clients.
    pub share: Option<Share>,
}

/// The way in which clients are served: a state in the life cycle of their dialect or revision, or
/// a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleEffect {
    /// As if there were no rule: an exception from a more general one.
    Permitted,
    /// Served, and told that this will end.
    Deprecated(Deprecation),
    /// Refused during these windows.
    Brownout(Vec<Window>),
    /// Refused from this time on.
    Refused {
        /// The time.
        from: Timestamp,
    },
    /// Served by an upstream, or by the gateway itself.
    Served {
        /// The name of the upstream; `None` for the gateway.
        by: Option<String>,
    },
    /// Their requests are sent to an upstream as well, and the answers compared.
    Mirrored {
        /// The name of the upstream.
        to: String,
    },
}

impl RuleEffect {
    /// A short stable name, for commands, metrics and stores.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Deprecated(_) => "deprecated",
            Self::Brownout(_) => "brownout",
            Self::Refused { .. } => "refused",
            Self::Served { .. } => "served",
            Self::Mirrored { .. } => "mirrored",
        }
    }

    /// True for the server of clients, false for a state in the life cycle of their version.
    pub fn is_route(&self) -> bool {
        matches!(self, Self::Served { .. } | Self::Mirrored { .. })
    }
}

/// The announcement that a dialect or revision will go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deprecation {
    /// The time from which it is deprecated, also in the future: RFC 9745.
    pub since: Timestamp,
    /// The time from which it may be refused: RFC 8594.
    pub sunset: Option<Timestamp>,
    /// The URL of a page for people about the migration.
    pub link: Option<String>,
}

/// A share of all clients, in hundredths of a percent: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

/// Error of a text or number that is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share is a number of percent from 0.01 to 100, with at most two decimals")]
pub struct InvalidShare;

impl Share {
    /// The hundredths of a percent in the whole.
    pub const WHOLE: u16 = 10_000;

    /// A share of so many hundredths of a percent.
    pub fn new(hundredths: u16) -> Result<Self, InvalidShare> {
        if (1..=Self::WHOLE).contains(&hundredths) {
            Ok(Self(hundredths))
        } else {
            Err(InvalidShare)
        }
    }

    /// The hundredths of a percent.
    pub fn hundredths(self) -> u16 {
        self.0
    }
}

impl FromStr for Share {
    type Err = InvalidShare;
    /// Percent, such as `25` or `0.5`.
    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| {
            (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole) || !is_number(decimals) || decimals.len() > 2 {
            return Err(InvalidShare);
        }
        let hundredths = format!("{whole}{decimals:0<2}").parse().map_err(|_| InvalidShare)?;
        Self::new(hundredths)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / 100, self.0 % 100);
        match (decimals, decimals % 10) {
            (0, _) => write!(formatter, "{whole}"),
            (_, 0) => write!(formatter, "{whole}.{}", decimals / 10),
            _ => write!(formatter, "{whole}.{decimals:02}"),
        }
    }
}

/// The minutes of a day.
const MINUTES: u16 = 24 * 60;
/// A second in microseconds.
const SECOND: i64 = 1_000_000;
/// A minute in microseconds.
const MINUTE: i64 = 60 * SECOND;
/// A day in microseconds.
const DAY: i64 = MINUTES as i64 * MINUTE;

/// A period of a brownout, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Every day from one minute to another, over midnight if the second one is the earlier.
    Daily {
        /// The first minute, counted from midnight.
        from: u16,
        /// The minute after the last one.
        until: u16,
    },
    /// Once.
    Dated {
        /// The first moment.
        from: Timestamp,
        /// The moment after the last one.
        until: Timestamp,
    },
}

/// Error of a text that is no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a window is HH:MM-HH:MM for every day, or two times of RFC 3339 with a slash between them: \
     2026-12-01T10:00:00Z/2026-12-01T11:00:00Z; it has a beginning before its end"
)]
pub struct InvalidWindow;

impl Window {
    /// The end of the window, if this time is in it.
    pub fn end_at(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Dated { from, until } => (from <= now && now < until).then_some(until),
            Self::Daily { from, until } => {
                let length = (i64::from(until) - i64::from(from)).rem_euclid(MINUTES.into());
                let left = length * MINUTE - since_minute(from, now);
                (left > 0).then(|| later(now, left))
            }
        }
    }

    /// The next time at which it begins or ends.
    pub fn next_change(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Dated { from, .. } if now < from => Some(from),
            Self::Dated { until, .. } => (now < until).then_some(until),
            Self::Daily { from, .. } => {
                let next = || later(now, DAY - since_minute(from, now));
                Some(self.end_at(now).unwrap_or_else(next))
            }
        }
    }
}

/// The microseconds since this minute of the day was last reached.
fn since_minute(minute: u16, now: Timestamp) -> i64 {
    (now.micros() - i64::from(minute) * MINUTE).rem_euclid(DAY)
}

fn later(now: Timestamp, micros: i64) -> Timestamp {
    now.after(Duration::from_micros(micros.unsigned_abs()))
}

impl FromStr for Window {
    type Err = InvalidWindow;
    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        if let Some((from, until)) = text.split_once('/') {
            let whole = |time: Timestamp| Timestamp::from_micros(time.whole_seconds() * SECOND);
            let time = |text: &str| Timestamp::parse_rfc3339(text).map(whole).ok_or(InvalidWindow);
            let (from, until) = (time(from)?, time(until)?);
            return if from < until { Ok(Self::Dated { from, until }) } else { Err(InvalidWindow) };
        }
        let (from, until) = text.split_once('-').ok_or(InvalidWindow)?;
        let (from, until) = (minute_of_day(from)?, minute_of_day(until)?);
        if from == until { Err(InvalidWindow) } else { Ok(Self::Daily { from, until }) }
    }
}

/// Reads `HH:MM`, up to 24:00, which is midnight.
fn minute_of_day(text: &str) -> Result<u16, InvalidWindow> {
    let (hours, minutes) = text.split_once(':').ok_or(InvalidWindow)?;
    let number = |text: &str, most: u16| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u16>().ok().filter(|number| is_plain && *number <= most);
        number.ok_or(InvalidWindow)
    };
    match number(hours, 24)? * 60 + number(minutes, 59)? {
        minute if minute <= MINUTES => Ok(minute % MINUTES),
        _ => Err(InvalidWindow),
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Daily { from, until } => {
                let [from, until] =
                    [from, until].map(|minute| format!("{:02}:{:02}", minute / 60, minute % 60));
                write!(formatter, "{from}-{until}")
            }
            Self::Dated { from, until } => {
                write!(formatter, "{}/{}", from.rfc3339(), until.rfc3339())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_share_is_written_as_it_is_read() {
        for (text, hundredths) in [
            ("0.01", Some(1)),
            ("0.5", Some(50)),
            ("7", Some(700)),
            ("12.25", Some(1_225)),
            ("12.05", Some(1_205)),
            ("100", Some(10_000)),
            ("0", None),
            ("0.00", None),
            ("100.01", None),
            ("101", None),
            ("1.234", None),
            ("-1", None),
            ("+1", None),
            ("1.", None),
            (".5", None),
            ("5%", None),
            ("", None),
        ] {
            let share = text.parse::<Share>().ok();
            assert_eq!(share.map(Share::hundredths), hundredths, "{text}");
            if let Some(share) = share {
                assert_eq!(share.to_string(), text);
            }
        }
    }

    #[test]
    fn a_window_has_a_beginning_before_its_end() {
        for (text, written) in [
            ("22:00-23:30", Some("22:00-23:30")),
            ("22:00-24:00", Some("22:00-00:00")),
            ("23:00-01:00", Some("23:00-01:00")),
            (
                "2026-12-01T10:00:00+01:00/2026-12-01T11:00:00Z",
                Some("2026-12-01T09:00:00Z/2026-12-01T11:00:00Z"),
            ),
            ("10:00-10:00", None),
            ("00:00-24:00", None),
            ("24:01-01:00", None),
            ("9:00-10:00", None),
            ("10:60-11:00", None),
            ("10:00", None),
            ("2026-12-01T11:00:00Z/2026-12-01T11:00:00Z", None),
            ("2026-12-01/2026-12-02", None),
            ("", None),
        ] {
            let window = text.parse::<Window>().ok().map(|window| window.to_string());
            assert_eq!(window.as_deref(), written, "{text}");
        }
    }

    #[test]
    fn a_window_holds_from_its_beginning_until_before_its_end() {
        for (window, now, end, change) in [
            ("10:00-11:00", "2026-12-01T09:59:59Z", None, "2026-12-01T10:00:00Z"),
            ("10:00-11:00", "2026-12-01T10:00:00Z", Some("11"), "2026-12-01T11:00:00Z"),
            ("10:00-11:00", "2026-12-01T10:59:59Z", Some("11"), "2026-12-01T11:00:00Z"),
            ("10:00-11:00", "2026-12-01T11:00:00Z", None, "2026-12-02T10:00:00Z"),
            ("23:00-01:00", "2026-12-01T00:30:00Z", Some("01"), "2026-12-01T01:00:00Z"),
            ("23:00-01:00", "2026-12-01T23:30:00Z", Some("01"), "2026-12-02T01:00:00Z"),
            ("23:00-01:00", "2026-12-01T01:00:00Z", None, "2026-12-01T23:00:00Z"),
            (
                "2026-12-01T10:00:00Z/2026-12-01T11:00:00Z",
                "2026-12-01T09:00:00Z",
                None,
                "2026-12-01T10:00:00Z",
            ),
            (
                "2026-12-01T10:00:00Z/2026-12-01T11:00:00Z",
                "2026-12-01T10:00:00Z",
                Some("11"),
                "2026-12-01T11:00:00Z",
            ),
        ] {
            let (parsed, now_time) = (window.parse::<Window>().unwrap(), time(now));
            let expected = end.map(|_| time(change));
            assert_eq!(parsed.end_at(now_time), expected, "{window} at {now}");
            assert_eq!(parsed.next_change(now_time), Some(time(change)), "{window} at {now}");
        }
        let past = "2026-12-01T10:00:00Z/2026-12-01T11:00:00Z".parse::<Window>().unwrap();
        let end = time("2026-12-01T11:00:00Z");
        assert_eq!((past.end_at(end), past.next_change(end)), (None, None));
    }

    #[test]
    fn a_rule_replaces_one_of_the_same_clients_and_effect_also_with_another_share() {
        let rule = |share: Option<&str>, user| NewRule {
            subject: RuleSubject {
                dialect: Some("mode".into()),
                share: share.map(|share| share.parse().unwrap()),
                user,
                ..RuleSubject::default()
            },
            effect: RuleEffect::Permitted,
        };
        let first = rule(Some("10"), None).slot();
        assert_eq!(first, rule(Some("20"), None).slot());
        let user = UserId::new(7).ok();
        for other in [rule(None, None), rule(Some("10"), user), rule(None, user)] {
            assert_ne!(first, other.slot());
        }
        let refused = RuleEffect::Refused { from: Timestamp::default() };
        assert_ne!(first, NewRule { effect: refused, ..rule(Some("10"), None) }.slot());
    }
}
