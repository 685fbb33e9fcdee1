//! The lines of the form `tolmach-capture/1`, but for those of frames.

use crate::frame::{CapturedFrame, CapturedFrames};
use crate::headers::Headers;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use tolmach_dialect::Sender;

/// The name of the form, with its version.
pub const FORM: &str = "tolmach-capture/1";

/// The longest line, in bytes. A frame has at most 16 MiB, whose base64 is a third longer; a text
/// of control characters alone, which JSON writes as six bytes each, does not fit.
pub const MAX_LINE_BYTES: usize = 32 << 20;

/// One line of a capture. A line `frames` of a file is read as a frame for each of its connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Line {
    /// The form, and who recorded; the first line, and no other.
    Capture(Header),
    /// A connection has begun.
    Open(Box<Open>),
    /// One side has sent a frame.
    Frame(Box<CapturedFrame>),
    /// A connection has ended.
    Close(Close),
    /// Frames are missing here.
    Gap(Gap),
}

/// The `type` of a line.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LineType {
    Capture,
    Open,
    Frame,
    Frames,
    Close,
    Gap,
}

/// The content of a line of a file.
pub(crate) enum ParsedLine {
    One(Line),
    /// A line `frames`: a frame for each connection.
    Frames(CapturedFrames),
}

/// An error of [`Line::parse`], with the path to the field.
pub(crate) type LineError = serde_path_to_error::Error<serde_json::Error>;

impl Line {
    /// Reads a line. First its type alone, so that an error in another field is named by its path.
    pub(crate) fn parse(json: &[u8]) -> Result<ParsedLine, LineError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "type")]
            kind: LineType,
        }
        // Frames are most of a capture: their first field is looked at without reading all others.
        if json.starts_with(br#"{"type":"frame","#) {
            return Ok(ParsedLine::One(Line::Frame(read(json)?)));
        }
        Ok(ParsedLine::One(match read::<Head>(json)?.kind {
            LineType::Capture => Line::Capture(read(json)?),
            LineType::Open => Line::Open(read(json)?),
            LineType::Frame => Line::Frame(read(json)?),
            LineType::Frames => return Ok(ParsedLine::Frames(read(json)?)),
            LineType::Close => Line::Close(read(json)?),
            LineType::Gap => Line::Gap(read(json)?),
        }))
    }

    /// The number of the connection; `None` for a line about the whole capture.
    pub fn connection(&self) -> Option<u64> {
        match self {
            Line::Capture(_) => None,
            Line::Open(open) => Some(open.connection),
            Line::Frame(frame) => Some(frame.connection),
            Line::Close(close) => Some(close.connection),
            Line::Gap(gap) => gap.connection,
        }
    }

    /// The time since the capture began, in microseconds; 0 for the header.
    pub fn at(&self) -> u64 {
        match self {
            Line::Capture(_) => 0,
            Line::Open(open) => open.at,
            Line::Frame(frame) => frame.at,
            Line::Close(close) => close.at,
            Line::Gap(gap) => gap.at,
        }
    }
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORM`].
    pub form: String,
    /// The kind of program that recorded.
    pub recorder: Recorder,
    /// The kinds of values that stand as pseudonyms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
}

impl Header {
    /// The header of a capture that this program records now.
    pub fn new(recorder: Recorder, replaced: Vec<Replaced>) -> Self {
        Self { form: FORM.to_owned(), recorder, replaced }
    }
}

/// The kinds of program that record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recorder {
    /// The gateway itself.
    Gateway,
    /// A proxy before another server.
    Proxy,
    /// A replay of another capture.
    Replay,
}

/// The kinds of values that can stand as pseudonyms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replaced {
    /// Passwords and tokens.
    Secrets,
    /// Texts, names, logins and contact data.
    Texts,
}

/// A connection: a WebSocket, an HTTP connection with all its exchanges, or a raw TCP stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// Its number within the capture.
    pub connection: u64,
    /// Microseconds since the capture began.
    pub at: u64,
    /// Its transport.
    pub transport: Transport,
    /// The dialect, where it is known by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// The revision of the dialect, where it is known by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The request of a WebSocket's handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<OpenRequest>,
    /// The address of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The id of the user, where the recorder knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<i64>,
    /// True in a file that goes on where another one ended: the connection is older.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continued: bool,
    /// In a replay: the connection of the capture that this one plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

/// The transports of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A WebSocket, from its handshake on.
    WebSocket,
    /// HTTP requests and responses.
    Http,
    /// JSON values on a raw TCP stream.
    Tcp,
}

/// The request of a WebSocket's handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// The method: `GET`, or `CONNECT` over HTTP/2.
    pub method: String,
    /// The path, with its query.
    pub uri: String,
    /// The headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Headers,
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The number of the connection.
    pub connection: u64,
    /// Microseconds since the capture began.
    pub at: u64,
    /// The side that ended it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Sender>,
    /// The code of a WebSocket's close frame, RFC 6455 section 7.4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
}

/// Frames that are not in the capture although it should have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Microseconds since the capture began.
    pub at: u64,
    /// The connection whose frames are missing; `None` for those of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// The number of frames; 0 where it is not known.
    #[serde(default)]
    pub frames: u64,
    /// The reason.
    pub reason: GapReason,
}

/// The reasons why frames are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The recorder's queue was full.
    Full,
    /// The frames were compressed, which the recorder does not undo.
    Compressed,
    /// A frame was larger than the recorder keeps.
    TooLarge,
    /// The bytes were none of the transport's.
    Unreadable,
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, LineError> {
    if let Ok(value) = serde_json::from_slice(json) {
        return Ok(value);
    }
    // Once more, for the path to the error: keeping it costs as much again as reading.
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer)?;
    let end = deserializer.end();
    end.map_err(|error| LineError::new(serde_path_to_error::Track::new().path(), error))?;
    Ok(value)
}

fn is_false(flag: &bool) -> bool {
    !flag
}
