//! Values: each function reads one kind, and its error says what is expected.

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;
use tolmach_adapters::Mailbox;
use tolmach_domain::{IdNamespace, InvalidNamespace, Secret, Timestamp};
use toml::Value;

/// The longest duration.
const MAX_DURATION: Duration = Duration::from_secs(36_500 * 86_400);
/// The largest size, in bytes.
const MAX_SIZE: usize = 1 << 30;
/// The longest prefix of channels, in bytes.
const MAX_PREFIX: usize = 64;

/// Reads a value with `parse`; where that is `None`, the error is `message`.
pub(super) fn expected<'de, D: Deserializer<'de>, T>(
    from: D,
    message: &str,
    parse: impl FnOnce(Value) -> Option<T>,
) -> Result<T, D::Error> {
    parse(Value::deserialize(from)?).ok_or_else(|| D::Error::custom(message))
}

/// Reads a whole number from `LEAST` to `MOST`.
pub(super) fn within<'de, D, T, const LEAST: u64, const MOST: u64>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let message = format!("a whole number from {LEAST} to {MOST} is expected");
    expected(from, &message, |value| {
        let number = u64::try_from(value.as_integer()?).ok()?;
        (LEAST..=MOST).contains(&number).then_some(number)?.try_into().ok()
    })
}

/// Reads a whole number from 1 to `MOST`.
pub(super) fn non_zero<'de, D: Deserializer<'de>, const MOST: u64>(
    from: D,
) -> Result<NonZeroU32, D::Error> {
    let number = within::<D, u32, 1, MOST>(from)?;
    Ok(NonZeroU32::new(number).expect("the least number is 1"))
}

/// Reads a number of acts that a user may do; 0 is [`u32::MAX`], no limit.
pub(super) fn quota<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let number = within::<D, u32, 0, 1_000_000>(from)?;
    Ok(if number == 0 { u32::MAX } else { number })
}

/// Reads a duration that is not zero.
pub(super) fn positive_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let duration = duration(from)?;
    if duration.is_zero() {
        return Err(D::Error::custom("a duration longer than zero is expected"));
    }
    Ok(duration)
}

/// Reads a duration.
pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    expected(
        from,
        "a duration such as \"500ms\", \"30s\", \"5m\", \"12h\" or \"7d\" is expected, of at most \
         36500d",
        |value| parse_duration(value.as_str()?),
    )
}

/// Reads the period for which records are kept, at least a day; `None` for zero.
pub(super) fn retention<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let message = "a period such as \"30d\" is expected, at least \"1d\" and at most \"36500d\", \
         or \"0d\" for good";
    expected(from, message, |value| match parse_duration(value.as_str()?)? {
        Duration::ZERO => Some(None),
        period => (period >= DAY).then_some(Some(period)),
    })
}

/// Reads a namespace of external ids; `None` for an empty string.
pub(super) fn optional_namespace<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<IdNamespace>, D::Error> {
    let message = format!("{InvalidNamespace}; \"\" is none");
    expected(from, &message, |value| match value.as_str()? {
        "" => Some(None),
        name => name.parse().ok().map(Some),
    })
}

/// Reads a time; `None` for an empty string.
pub(super) fn optional_time<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Timestamp>, D::Error> {
    expected(from, "a time such as \"2027-01-01T00:00:00Z\" is expected, or \"\"", |value| {
        match value.as_str()? {
            "" => Some(None),
            text => Timestamp::parse_rfc3339(text).map(Some),
        }
    })
}

/// Reads a size in bytes that is not zero.
pub(super) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    optional_size(from)?.ok_or_else(|| D::Error::custom("a size larger than zero is expected"))
}

/// Reads a size in bytes; `None` for 0 and for an empty string.
pub(super) fn optional_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    expected(
        from,
        "a size is expected: bytes, or \"64KiB\", \"1MiB\", and at most \"1GiB\"",
        |value| {
            let bytes = match value {
                Value::Integer(bytes) => usize::try_from(bytes).ok()?,
                Value::String(text) if text.is_empty() => 0,
                Value::String(text) => parse_size(&text)?,
                _ => return None,
            };
            (bytes <= MAX_SIZE).then_some((bytes > 0).then_some(bytes))
        },
    )
}

/// Reads the prefix of channel names.
pub(super) fn channel_prefix<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
    text(
        from,
        "at most 64 letters, digits, colons, dots, hyphens and underscores are expected",
        |text| text.len() <= MAX_PREFIX && text.bytes().all(is_plain),
    )
}

/// Reads a text that no message may quote.
pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    expected(from, "a string is expected", |value| value.as_str().map(Secret::new))
}

/// Reads the address of a listener: a host and a port.
pub(super) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, "host:port is expected, such as \"127.0.0.1:8080\"", is_address)
}

/// Reads the address of a listener that may be missing.
pub(super) fn optional_address<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let message = "host:port is expected, such as \"127.0.0.1:9090\", or nothing";
    text(from, message, |text| text.is_empty() || is_address(text))
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// Reads the beginning of links, and removes slashes from its end. May be empty.
pub(super) fn public_url<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let is_http = |url: http::Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
            && url.query().is_none()
    };
    let message = "an http:// or https:// address without ? is expected, or nothing";
    let url = text(from, message, |text| text.is_empty() || text.parse().is_ok_and(is_http))?;
    Ok(url.trim_end_matches('/').to_owned())
}

/// Reads a mailbox with or without a name, RFC 5322 section 3.4.
pub(super) fn mailbox<'de, D: Deserializer<'de>>(from: D) -> Result<Mailbox, D::Error> {
    expected(from, "a mailbox is expected, such as \"Chat <chat@example.org>\"", |value| {
        value.as_str()?.parse().ok()
    })
}

/// Reads the levels of logs.
pub(super) fn log_filter<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(
        from,
        "levels are expected: error, warn, info, debug or trace, also per target \
         (\"info,tolmach_store=debug\")",
        |text| tracing_subscriber::EnvFilter::try_new(text).is_ok(),
    )
}

/// Reads addresses and networks; an address is a network of one. IPv4-mapped IPv6 addresses
/// (RFC 4291 section 2.5.5.2) become IPv4 addresses.
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    list(
        from,
        "a list of addresses and networks is expected, such as \"127.0.0.1\" or \"10.0.0.0/8\"",
        parse_network,
    )
}

/// Reads one address or network.
pub(super) fn network<'de, D: Deserializer<'de>>(from: D) -> Result<Option<IpNet>, D::Error> {
    let message = "an address or a network is expected, such as \"127.0.0.1\" or \"10.0.0.0/8\"";
    expected(from, message, |value| parse_network(value.as_str()?)).map(Some)
}

fn parse_network(text: &str) -> Option<IpNet> {
    let address = || Some(text.parse::<IpAddr>().ok()?.to_canonical().into());
    text.parse::<IpNet>().ok().or_else(address)
}

/// Reads paths of URLs.
pub(super) fn paths<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let is_path = |text: &&str| {
        text.starts_with('/') && !text.contains(['?', '#']) && !text.contains(char::is_whitespace)
    };
    list(from, "a list of paths that begin with / is expected", |text| {
        Some(text).filter(is_path).map(str::to_owned)
    })
}

/// Reads a text that is `valid`.
fn text<'de, D: Deserializer<'de>>(
    from: D,
    message: &str,
    valid: impl FnOnce(&str) -> bool,
) -> Result<String, D::Error> {
    expected(from, message, |value| match value {
        Value::String(text) if valid(&text) => Some(text),
        _ => None,
    })
}

/// Reads a list of texts.
fn list<'de, D: Deserializer<'de>, T>(
    from: D,
    message: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, D::Error> {
    expected(from, message, |value| {
        value.as_array()?.iter().map(|item| parse(item.as_str()?)).collect()
    })
}

/// Parses a whole number and a unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit())?);
    let milliseconds = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(milliseconds)?);
    (duration <= MAX_DURATION).then_some(duration)
}

/// Parses a whole number, and a unit if there is one.
fn parse_size(text: &str) -> Option<usize> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(1 << shift)
}
