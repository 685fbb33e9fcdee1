//! Forms of timestamps.

use crate::field::FieldType;
use crate::json;
use serde::{Deserialize, Serialize};
use tolmach_domain::Timestamp;

/// A form in which a wire writes timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeFormat {
    /// `YYYY-MM-DD HH:MM:SS` in UTC.
    #[default]
    Plain,
    /// Seconds since the epoch, with a fraction.
    Seconds,
}

/// A timestamp as a wire writes it: a number of seconds since the epoch, or a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WireTime {
    /// Seconds since the epoch, with a fraction.
    Seconds(f64),
    /// `YYYY-MM-DD HH:MM:SS` in UTC.
    Text(String),
}

impl WireTime {
    /// Writes a timestamp.
    pub fn new(timestamp: Timestamp, format: TimeFormat) -> Self {
        match format {
            TimeFormat::Plain => WireTime::Text(timestamp.plain()),
            TimeFormat::Seconds => WireTime::Seconds(timestamp.seconds()),
        }
    }

    /// The timestamp, unless the text is none or the number is out of range.
    pub fn timestamp(&self) -> Option<Timestamp> {
        match self {
            WireTime::Seconds(seconds) => Timestamp::from_seconds(*seconds),
            WireTime::Text(text) => Timestamp::parse_plain(text),
        }
    }

    /// The form that it is written in.
    pub fn format(&self) -> TimeFormat {
        match self {
            WireTime::Seconds(_) => TimeFormat::Seconds,
            WireTime::Text(_) => TimeFormat::Plain,
        }
    }
}

impl FieldType<'_> for WireTime {
    const EXPECTED: &'static str = "a number or a string is expected";

    fn read(json: &str) -> Option<Self> {
        match json.as_bytes().first()? {
            b'"' => json::text(json).map(|text| WireTime::Text(text.into_owned())),
            // Not serde_json's reading: a number too large for it is still a number.
            b'-' | b'0'..=b'9' => json.parse().ok().map(WireTime::Seconds),
            _ => None,
        }
    }
}
