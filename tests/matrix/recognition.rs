//! Recognition of the first frame on a shared path: every documented first frame of a dialect is
//! served by that dialect alone, in whatever segments it arrives; a frame that two dialects claim
//! is served by neither.

use crate::cluster::{Cluster, single_node};
use crate::dialects::{PINNED, all, by_id, id_of, pairs};
use crate::requests::unique;
use crate::users::{Failure, TestUser, failure};
use http::request::Parts;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tolmach_cli::dialects::ids;
use tolmach_dialect::{
    ClientSession, Correlation, DOC, Dialect, Frame, Handshake, Recognition, Request,
};
use tolmach_dialect_kit::stories::{Step, stories};
use tolmach_domain::{ConnectionId, Credentials, Secret, Timestamp};

/// The shared paths of the default configuration.
const SHARED_PATHS: [&str; 2] = ["/", "/ws"];

/// Every first frame of the stories is claimed by its own dialect alone, and a dialect claims only
/// by its own keys.
pub(crate) fn first_frames_are_claimed_by_one_dialect() -> Result<(), Failure> {
    let all = all();
    let siblings: Vec<&dyn Dialect> = all.iter().map(|dialect| &**dialect).collect();
    tolmach_dialect_kit::recognition(&siblings).map_err(failure)
}

/// A gateway refuses a first frame with the keys of two dialects, on every shared path.
pub(crate) fn frames_of_two_dialects_are_refused() -> Result<(), Failure> {
    let credentials =
        [Credentials::Nothing, Credentials::Connection, Credentials::Bearer(Secret::new("a.b.c"))];
    let all_first_frames: BTreeMap<_, _> =
        all().iter().map(|dialect| (id_of(dialect), first_frames(dialect, &credentials))).collect();
    let mut refused = 0;
    for (one, other) in pairs().into_iter().filter(|(one, other)| one < other) {
        let candidates = all_first_frames[one].iter().flat_map(|first| {
            let seconds = all_first_frames[other].iter();
            seconds.filter_map(|second| {
                let frame = merged(&first.frame, &second.frame)?;
                (claims(&first.opening, &frame).len() > 1).then(|| FirstFrame {
                    title: format!("{one}, {}, and {other}, {}", first.title, second.title),
                    frame,
                    ..first.clone()
                })
            })
        });
        let cluster = single_node();
        for (first, path) in candidates.zip(SHARED_PATHS.into_iter().cycle()).take(8) {
            cluster.block_on(first.is_refused(&cluster, path))?;
            refused += 1;
        }
    }
    if refused == 0 {
        return Err("no two dialects claim one frame".to_owned());
    }
    Ok(())
}

/// Every first frame of a dialect is served over real connections: whole on every shared path, byte
/// by byte on each path in turn, and the shortest one in two segments, split at every byte.
pub(crate) fn first_frames_are_served_in_any_segments(id: &'static str) -> Result<(), Failure> {
    let dialect = by_id(id);
    if dialect.manifest().opening.is_none() {
        // It is not served on shared paths; the kit checks that it claims nothing there.
        return Ok(());
    }
    let cluster = &*single_node();
    cluster.block_on(async {
        let mut user = TestUser::register(&unique("opener"), id, cluster.first()).await?;
        let credentials = user.client(id).await?.credentials().to_vec();
        let all = first_frames(&dialect, &credentials);
        let Some(shortest) = all.iter().min_by_key(|first| first.frame.payload().len()) else {
            return Err("no story has a first frame".to_owned());
        };
        for (first, path) in all.iter().zip(SHARED_PATHS.into_iter().cycle()) {
            let bytes = first.bytes(cluster, path);
            first.is_answered(cluster, &bytes.chunks(1).collect::<Vec<_>>()).await?;
            for path in SHARED_PATHS {
                first.is_answered(cluster, &[&first.bytes(cluster, path)]).await?;
            }
        }
        let bytes = shortest.bytes(cluster, SHARED_PATHS[0]);
        for middle in 1..bytes.len() {
            let (head, tail) = bytes.split_at(middle);
            shortest.is_answered(cluster, &[head, tail]).await?;
        }
        Ok(())
    })
}

/// The first frames of a revision are claimed by no other dialect. Unless it is pinned, some of
/// them identify it, and one of those is served in whatever segments it arrives, on every shared
/// path.
pub(crate) fn first_frames_of_revision(title: &'static str) -> Result<(), Failure> {
    let (id, revision) = title.split_once('/').unwrap_or((title, DOC));
    let cluster = &*single_node();
    cluster.block_on(async {
        let mut user = TestUser::register(&unique("opener"), title, cluster.first()).await?;
        let credentials = user.client(title).await?.credentials().to_vec();
        let all = first_frames(&by_id(title), &credentials);
        let dialect = by_id(id);
        let mut identifying = Vec::new();
        for first in &all {
            if let Some(other) =
                claims(&first.opening, &first.frame).into_iter().find(|claiming| *claiming != id)
            {
                return Err(format!("{}: it is claimed by {other}", first.title));
            }
            if first.recognised(&*dialect) == Recognition::Certain(revision) {
                identifying.push(first);
            }
        }
        if PINNED.contains(&title) {
            return Ok(());
        }
        // A registration is answered whatever came before it; where there is none, the handshake
        // has the credentials.
        let is_answered = |first: &&&FirstFrame| {
            matches!(first.request.command.name(), "register" | "list_flows" | "login")
        };
        let Some(first) = identifying.iter().find(is_answered) else {
            return Err(format!("of {} first frames none identifies {title}", all.len()));
        };
        for path in SHARED_PATHS {
            let bytes = first.bytes(cluster, path);
            first.is_answered(cluster, &[&bytes]).await?;
            first.is_answered(cluster, &bytes.chunks(1).collect::<Vec<_>>()).await?;
        }
        let bytes = first.bytes(cluster, SHARED_PATHS[0]);
        for middle in 1..bytes.len() {
            let (head, tail) = bytes.split_at(middle);
            first.is_answered(cluster, &[head, tail]).await?;
        }
        Ok(())
    })
}

/// A frame that may be the first one of a connection, as the dialect's own client sends it.
#[derive(Clone)]
struct FirstFrame {
    title: String,
    opening: Parts,
    frame: Frame,
    dialect: Arc<dyn Dialect>,
    request: Request,
}

/// The first frame of every exchange of the stories; each operation and outcome once.
fn first_frames(dialect: &Arc<dyn Dialect>, credentials: &[Credentials]) -> Vec<FirstFrame> {
    let mut frames: BTreeMap<String, FirstFrame> = BTreeMap::new();
    for step in stories().into_iter().flat_map(|story| story.steps) {
        let Step::Exchange(exchange) = step else { continue };
        // These end the session that later frames need.
        if matches!(exchange.command.name(), "logout" | "delete_account") {
            continue;
        }
        let title = exchange.title();
        let found = credentials.iter().find_map(|credentials| {
            let correlation = Correlation::new(title.clone());
            let request = Request {
                authority: exchange.authority,
                ..Request::new(correlation, credentials.clone(), exchange.command.clone())
            };
            let opening = dialect.client()?.dial(&request).ok()?;
            let frame = encode(&**dialect, &opening, &request)?.1;
            let (title, dialect) = (title.clone(), dialect.clone());
            Some(FirstFrame { title, opening, frame, dialect, request })
        });
        if let Some(first) = found {
            frames.entry(title).or_insert(first);
        }
    }
    frames.into_values().collect()
}

/// The session of a client that makes this request first, and the message that carries it. `None`
/// if no WebSocket message does.
fn encode(
    dialect: &dyn Dialect,
    opening: &Parts,
    request: &Request,
) -> Option<(Box<dyn ClientSession>, Frame)> {
    let handshake = Handshake::new(ConnectionId(1)).request(opening).websocket(true);
    let mut session = dialect.client()?.connect(&handshake).ok()?;
    let mut frames = Vec::new();
    session.request(Timestamp::default(), request, &mut frames).ok()?;
    let frame = frames
        .into_iter()
        .next()
        .filter(|frame| matches!(frame, Frame::Text(_) | Frame::Binary(_)))?;
    Some((session, frame))
}

/// A frame with the keys of both.
fn merged(one: &Frame, other: &Frame) -> Option<Frame> {
    let object = |frame: &Frame| match serde_json::from_slice(frame.payload()) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    };
    let (mut one, other) = (object(one)?, object(other)?);
    one.extend(other);
    Some(Frame::text(Value::Object(one).to_string()))
}

/// The ids of the dialects that claim a first frame on a shared path.
fn claims(opening: &Parts, frame: &Frame) -> Vec<&'static str> {
    let mut opening = opening.clone();
    opening.uri = http::Uri::from_static(SHARED_PATHS[1]);
    let handshake = Handshake::new(ConnectionId(1))
        .request(&opening)
        .websocket(true)
        .local(true)
        .first_frame(frame);
    let claiming =
        ids().into_iter().filter(|id| by_id(id).recognise(&handshake) != Recognition::No);
    claiming.collect()
}

impl FirstFrame {
    /// The recognition by a dialect with all its revisions, on a shared path.
    fn recognised(&self, dialect: &dyn Dialect) -> Recognition {
        let mut opening = self.opening.clone();
        opening.uri = http::Uri::from_static(SHARED_PATHS[1]);
        let handshake = Handshake::new(ConnectionId(1)).request(&opening).websocket(true);
        dialect.recognise(&handshake.local(true).first_frame(&self.frame))
    }

    /// The WebSocket handshake on this path, and the frame after it.
    fn bytes(&self, cluster: &Cluster, path: &str) -> Vec<u8> {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", cluster.first());
        for (name, value) in &self.opening.headers {
            head.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
        }
        if !self.opening.headers.contains_key(http::header::ORIGIN) {
            head.push_str(&format!("Origin: http://{}\r\n", cluster.first()));
        }
        head.push_str("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        let opcode = if matches!(self.frame, Frame::Binary(_)) { 0x82 } else { 0x81 };
        let payload = self.frame.payload();
        let mut bytes = head.into_bytes();
        match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => bytes.extend([opcode, 0x80 | length]),
            _ => {
                let length = u16::try_from(payload.len()).expect("a first frame is short");
                bytes.extend([opcode, 0x80 | 126]);
                bytes.extend(length.to_be_bytes());
            }
        }
        // A mask of zeroes leaves the payload as it is.
        bytes.extend([0; 4]);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Sends these segments; the dialect's own client must be able to decode the first reply.
    async fn is_answered(&self, cluster: &Cluster, segments: &[&[u8]]) -> Result<(), Failure> {
        let error =
            |problem: String| format!("{}, {} segments: {problem}", self.title, segments.len());
        let (mut session, _) = encode(&*self.dialect, &self.opening, &self.request)
            .ok_or_else(|| error("the client encodes no frame".to_owned()))?;
        let reply = first_reply(cluster, segments).await.map_err(error)?;
        let mut incoming = Vec::new();
        let text = String::from_utf8_lossy(&reply).into_owned();
        let decoded =
            session.decode(Timestamp::default(), &Frame::text(text.clone()), &mut incoming);
        match decoded {
            Ok(()) if !incoming.is_empty() => Ok(()),
            _ => Err(error(format!("the client cannot decode {text}"))),
        }
    }

    /// Sends the frame on this path; it must be refused as one of no dialect.
    async fn is_refused(&self, cluster: &Cluster, path: &str) -> Result<(), Failure> {
        let error = |problem: String| format!("{}: {problem}", self.title);
        let reply = first_reply(cluster, &[&self.bytes(cluster, path)]).await.map_err(error)?;
        match serde_json::from_slice::<Value>(&reply) {
            Ok(reply) if reply["error"] == "unrecognised dialect" => Ok(()),
            _ => Err(error(format!("it is answered with {}", String::from_utf8_lossy(&reply)))),
        }
    }
}

/// Sends these segments on a new connection; gives the payload of the first message that comes
/// back.
async fn first_reply(cluster: &Cluster, segments: &[&[u8]]) -> Result<Vec<u8>, Failure> {
    let mut stream = TcpStream::connect(cluster.first()).await.map_err(failure)?;
    stream.set_nodelay(true).map_err(failure)?;
    for segment in segments {
        stream.write_all(segment).await.map_err(failure)?;
        stream.flush().await.map_err(failure)?;
    }
    let mut received = Vec::new();
    loop {
        if let Some(payload) = first_message(&received)? {
            return Ok(payload.to_vec());
        }
        if stream.read_buf(&mut received).await.map_err(failure)? == 0 {
            let received = String::from_utf8_lossy(&received);
            return Err(format!("the connection ends before a reply: {received}"));
        }
    }
}

/// The payload of the first message after the handshake; `None` if it is incomplete.
fn first_message(received: &[u8]) -> Result<Option<&[u8]>, Failure> {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    if !received.starts_with(b"HTTP/1.1 101 ") {
        let response = String::from_utf8_lossy(received);
        return Err(format!("the handshake is rejected: {response}"));
    }
    let frame = &received[end + 4..];
    let [kind, short, rest @ ..] = frame else { return Ok(None) };
    if !matches!(kind, 0x81 | 0x82) {
        let payload = String::from_utf8_lossy(rest);
        return Err(format!("the first frame is of kind {kind:#x}: {payload}"));
    }
    let (length, payload) = match (short, rest) {
        (126, [high, low, payload @ ..]) => {
            (usize::from(u16::from_be_bytes([*high, *low])), payload)
        }
        (126, _) => return Ok(None),
        (127, _) => return Err("the reply has more than 65,535 bytes".to_owned()),
        (short, payload) => (usize::from(*short), payload),
    };
    Ok(payload.get(..length))
}
