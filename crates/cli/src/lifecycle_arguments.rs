//! The arguments of `tolmach lifecycle`.

use clap::{Args, Subcommand};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{Share, Window};

/// The longest part of a user agent, in bytes.
const MAX_AGENT_BYTES: usize = 256;

#[derive(Debug, Subcommand)]
pub(crate) enum LifecycleCommand {
    /// List the rules
    List,
    /// Permit clients, as an exception from a more general rule
    Permit {
        #[command(flatten)]
        clients: ClientArguments,
    },
    /// Tell clients that their dialect or revision will go
    ///
    /// HTTP responses and WebSocket handshakes get the headers Deprecation (RFC 9745) and Sunset
    /// (RFC 8594). Nothing is refused.
    Deprecate {
        #[command(flatten)]
        clients: ClientArguments,
        /// The time from which it is deprecated: a date, or a time of RFC 3339; without it, now
        #[arg(long, value_name = "TIME", value_parser = time)]
        since: Option<Timestamp>,
        /// The time from which it may be refused
        #[arg(long, value_name = "TIME", value_parser = time)]
        sunset: Option<Timestamp>,
        /// The URL of a page about the migration
        #[arg(long, value_name = "URL", value_parser = link)]
        link: Option<String>,
    },
    /// Refuse clients in set windows, with the error of their dialect for `try again later`
    Brownout {
        #[command(flatten)]
        clients: ClientArguments,
        /// A window, in UTC: HH:MM-HH:MM for every day, or two times of RFC 3339 with a slash
        /// between them; may be given several times
        #[arg(long = "window", value_name = "WINDOW", required = true)]
        windows: Vec<Window>,
    },
    /// Refuse clients for good, with the error of their dialect
    Refuse {
        #[command(flatten)]
        clients: ClientArguments,
        /// The time from which they are refused: a date, or a time of RFC 3339; without it, now
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Option<Timestamp>,
    },
    /// Remove rules
    Clear {
        /// The number of a rule, or DIALECT or DIALECT/REVISION for all rules with exactly that
        #[arg(required = true, value_name = "RULE")]
        rules: Vec<ClearedRules>,
    },
}

/// The clients of a rule: those that fit everything that is given.
#[derive(Debug, Args)]
pub(crate) struct ClientArguments {
    /// The dialect, and after a slash its revision: mode, or mode/literal
    #[arg(value_name = "DIALECT[/REVISION]")]
    pub(crate) version: Version,
    /// Only this user: a login, an e-mail address or a number
    #[arg(long, value_name = "LOGIN")]
    pub(crate) user: Option<String>,
    /// Only clients with an address in this network
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub(crate) address: Option<IpNet>,
    /// Only clients whose User-Agent header contains this
    #[arg(long, value_name = "TEXT", value_parser = user_agent)]
    pub(crate) user_agent: Option<String>,
    /// Only this share of the users, in percent; before they have logged in, of the addresses
    ///
    /// It has the same users as long as it has the same size, and keeps them when it grows.
    #[arg(long, value_name = "PERCENT", conflicts_with = "user")]
    pub(crate) share: Option<Share>,
}

/// A dialect, or one revision of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) dialect: String,
    pub(crate) revision: Option<String>,
}

impl FromStr for Version {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (dialect, revision) = match text.split_once('/') {
            Some((dialect, revision)) => (dialect, Some(revision)),
            None => (text, None),
        };
        if dialect.is_empty() || revision.is_some_and(str::is_empty) {
            return Err("it has the form DIALECT or DIALECT/REVISION");
        }
        Ok(Self { dialect: dialect.to_owned(), revision: revision.map(str::to_owned) })
    }
}

/// The rules to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClearedRules {
    /// The one with this number.
    Number(i64),
    /// Those of exactly this dialect or revision.
    Version(Version),
}

impl FromStr for ClearedRules {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The id of a dialect begins with a letter.
        text.parse().map(Self::Number).or_else(|_| text.parse().map(Self::Version))
    }
}

impl fmt::Display for ClearedRules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Version(Version { dialect, revision: None }) => dialect.fmt(formatter),
            Self::Version(Version { dialect, revision: Some(revision) }) => {
                write!(formatter, "{dialect}/{revision}")
            }
        }
    }
}

/// Reads a date, or a time of RFC 3339.
fn time(text: &str) -> Result<Timestamp, &'static str> {
    let midnight = || Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"));
    Timestamp::parse_rfc3339(text)
        .or_else(midnight)
        .ok_or("a date such as 2026-12-31 or a time such as 2026-12-31T10:00:00Z is expected")
}

/// Reads a network, or an address.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(|_| address());
    network.map(|network| network.trunc()).map_err(|_| "a network such as 10.0.0.0/8 is expected")
}

/// Reads a part of a header.
fn user_agent(text: &str) -> Result<String, &'static str> {
    let is_visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if (1..=MAX_AGENT_BYTES).contains(&text.len()) && text.bytes().all(is_visible) {
        Ok(text.to_owned())
    } else {
        Err("1 to 256 visible ASCII characters are expected")
    }
}

/// Reads a URL for a header.
fn link(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"');
    let has_scheme = text.starts_with("https://") || text.starts_with("http://");
    if has_scheme && text.len() <= 2_000 && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("a URL that begins with http:// or https:// is expected")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_first_moment_in_utc() {
        for (text, expected) in [
            ("2026-12-31", Some("2026-12-31T00:00:00Z")),
            ("2026-12-31T10:00:00+01:00", Some("2026-12-31T09:00:00Z")),
            ("2026-12-32", None),
            ("tomorrow", None),
        ] {
            assert_eq!(time(text).ok().map(Timestamp::rfc3339).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn rules_are_named_by_number_or_version() {
        let version = |dialect: &str, revision: Option<&str>| Version {
            dialect: dialect.into(),
            revision: revision.map(str::to_owned),
        };
        for (text, expected) in [
            ("12", Some(ClearedRules::Number(12))),
            ("mode", Some(ClearedRules::Version(version("mode", None)))),
            ("mode/1.15", Some(ClearedRules::Version(version("mode", Some("1.15"))))),
            ("mode/", None),
            ("/doc", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_a_network_of_one_and_hosts_of_a_network_are_cut_off() {
        for (text, expected) in [
            ("10.1.2.3", Some("10.1.2.3/32")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("2001:db8::1", Some("2001:db8::1/128")),
            ("10.1.2.3/33", None),
            ("example.org", None),
        ] {
            let found = network(text).ok().map(|network| network.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn texts_that_no_header_carries_are_refused() {
        for (text, accepted) in
            [("Dash/1.2 (x)", true), ("", false), ("Даш", false), ("a\nb", false)]
        {
            assert_eq!(user_agent(text).is_ok(), accepted, "{text}");
        }
        assert!(user_agent(&"a".repeat(256)).is_ok() && user_agent(&"a".repeat(257)).is_err());
        for (text, accepted) in [
            ("https://example.org/a?b=c", true),
            ("ftp://example.org", false),
            ("https://example.org/>;", false),
            ("https://example.org/ a", false),
        ] {
            assert_eq!(link(text).is_ok(), accepted, "{text}");
        }
    }
}
