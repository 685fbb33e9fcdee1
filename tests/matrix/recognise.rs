//! The first frame on a shared door: each dialect's every documented one is recognised by it alone,
//! in whatever segments the network carries it.

use crate::dialects::{self, Spoken};
use crate::house::{House, single};
use crate::people::{Human, Trouble, text};
use crate::scene::unique;
use http::request::Parts;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tolmach_dialect::{
    Ask, Dialect, Echo, Frame, Line, Opening, Recognition, Session, Settings, Side,
};
use tolmach_dialect_kit::recognition;
use tolmach_dialect_kit::stories::{Step, stories};
use tolmach_domain::{ConnectionId, Credentials, Timestamp};

/// The shared doors of the default configuration.
const DOORS: [&str; 2] = ["/", "/ws"];

/// Every first frame of the stories belongs to one dialect, and one that is put together from those
/// of two never to both.
pub(crate) fn alone() -> Result<(), Trouble> {
    let all = dialects::all();
    let every: Vec<&dyn Dialect> = all.iter().map(|spoken| &*spoken.dialect).collect();
    recognition(&every).map_err(|problems| problems.to_string())?;
    let proofs = [
        Credentials::Nothing,
        Credentials::Connection,
        Credentials::Bearer(tolmach_domain::Secret::new("a.b.c")),
    ];
    let openings: Vec<Vec<First>> = all.iter().map(|spoken| openings(spoken, &proofs)).collect();
    for (one, first) in openings.iter().enumerate() {
        for second in &openings[one + 1..] {
            for (mine, theirs) in
                first.iter().flat_map(|mine| second.iter().map(move |theirs| (mine, theirs)))
            {
                let Some(both) = mixed(&mine.frame, &theirs.frame) else { continue };
                let claims: Vec<_> = all
                    .iter()
                    .filter(|spoken| claims(spoken, &mine.request, &both))
                    .map(Spoken::id)
                    .collect();
                if claims.len() > 1 {
                    return Err(format!("{claims:?} all claim {both:?}"));
                }
            }
        }
    }
    Ok(())
}

fn claims(spoken: &Spoken, request: &Parts, frame: &Frame) -> bool {
    let mut request = request.clone();
    request.uri = http::Uri::from_static("/ws");
    let opening = Opening {
        request: Some(&request),
        first: Some(frame),
        connection: ConnectionId(1),
        websocket: true,
        settings: Settings::default(),
    };
    spoken.dialect.recognise(&opening) != Recognition::No
}

/// A frame with the keys of both.
fn mixed(one: &Frame, other: &Frame) -> Option<Frame> {
    let object = |frame: &Frame| match serde_json::from_slice(frame.payload()) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    };
    let (mut one, other) = (object(one)?, object(other)?);
    one.extend(other);
    Some(Frame::text(Value::Object(one).to_string()))
}

/// Over real connections: every opening whole and byte by byte on every shared door, the shortest
/// one in two parts, parted everywhere.
pub(crate) fn in_any_segments(id: &'static str) -> Result<(), Trouble> {
    let spoken = dialects::named(id);
    if spoken.dialect.manifest().opening.is_none() {
        // It has no place on a shared door, which `alone` holds it to.
        return Ok(());
    }
    let house = &*single();
    house.run(async {
        let mut human = Human::join(&unique("opener"), id, house.first()).await?;
        let proofs = human.speaking(id).await?.proofs().to_vec();
        let openings = openings(&spoken, &proofs);
        if openings.is_empty() {
            return Err("no story begins on a shared door".to_owned());
        }
        for first in &openings {
            for door in DOORS {
                let bytes = first.bytes(house, door);
                first.try_in(house, &[&bytes]).await?;
                first.try_in(house, &bytes.chunks(1).collect::<Vec<_>>()).await?;
            }
        }
        let shortest = openings
            .iter()
            .min_by_key(|first| first.frame.payload().len())
            .expect("there are some");
        let bytes = shortest.bytes(house, DOORS[0]);
        for middle in 1..bytes.len() {
            let (head, tail) = bytes.split_at(middle);
            shortest.try_in(house, &[head, tail]).await?;
        }
        Ok(())
    })
}

/// A first frame that the dialect's own client says.
struct First {
    title: String,
    request: Parts,
    frame: Frame,
    dialect: std::sync::Arc<dyn Dialect>,
    ask: Ask,
}

/// The first frame of every exchange of the stories, each operation and outcome once.
fn openings(spoken: &Spoken, proofs: &[Credentials]) -> Vec<First> {
    let mut openings: BTreeMap<String, First> = BTreeMap::new();
    for step in stories().into_iter().flat_map(|story| story.steps) {
        let Step::Exchange(exchange) = step else { continue };
        // Whoever logs out, or is gone, opens nothing more.
        if matches!(exchange.command.name(), "logout" | "delete_account") {
            continue;
        }
        let title = exchange.title();
        let found = proofs.iter().find_map(|proof| {
            let ask = Ask {
                authority: exchange.authority,
                ..Ask::new(Echo::new(title.clone()), proof.clone(), exchange.command.clone())
            };
            let request = spoken.dialect.dial(&ask).ok()?;
            let frame = say(&*spoken.dialect, &request, &ask)?.1;
            Some(First {
                title: title.clone(),
                request,
                frame,
                dialect: spoken.dialect.clone(),
                ask,
            })
        });
        if let Some(first) = found {
            openings.entry(title).or_insert(first);
        }
    }
    openings.into_values().collect()
}

/// The session of a client that says this first, and the message in which it does; `None` where it
/// says no message.
fn say(dialect: &dyn Dialect, request: &Parts, ask: &Ask) -> Option<(Box<dyn Session>, Frame)> {
    let opening = Opening {
        request: Some(request),
        first: None,
        connection: ConnectionId(1),
        websocket: true,
        settings: Settings::default(),
    };
    let mut session = dialect.open(&opening, Side::Client).ok()?;
    let mut frames = Vec::new();
    session.encode(Timestamp::default(), &Line::Ask(ask.clone()), &mut frames).ok()?;
    let frame = frames
        .into_iter()
        .next()
        .filter(|frame| matches!(frame, Frame::Text(_) | Frame::Binary(_)))?;
    Some((session, frame))
}

impl First {
    /// The handshake at this door and the frame after it.
    fn bytes(&self, house: &House, door: &str) -> Vec<u8> {
        let mut head = format!("GET {door} HTTP/1.1\r\nHost: {}\r\n", house.first());
        for (name, value) in &self.request.headers {
            head.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
        }
        if !self.request.headers.contains_key(http::header::ORIGIN) {
            head.push_str(&format!("Origin: http://{}\r\n", house.first()));
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
        // Masked with zeros, which changes nothing.
        bytes.extend([0; 4]);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Says it in these segments; the answer has to be one that the dialect's own client
    /// understands.
    async fn try_in(&self, house: &House, segments: &[&[u8]]) -> Result<(), Trouble> {
        let fail = |what: String| format!("{}, {} segments: {what}", self.title, segments.len());
        let (mut session, _) = say(&*self.dialect, &self.request, &self.ask)
            .ok_or_else(|| fail("it is said no more".to_owned()))?;
        let mut stream = TcpStream::connect(house.first()).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        for segment in segments {
            stream.write_all(segment).await.map_err(text)?;
            stream.flush().await.map_err(text)?;
        }
        let mut heard = Vec::new();
        loop {
            if let Some(payload) = first_message(&heard).map_err(&fail)? {
                let mut lines = Vec::new();
                let answer = Frame::Text(payload.to_vec().into());
                let decoded = session.decode(Timestamp::default(), &answer, &mut lines);
                if decoded.is_ok()
                    && lines.iter().any(|line| matches!(line, Line::Reply(_) | Line::Notice(_)))
                {
                    return Ok(());
                }
                return Err(fail(format!("not understood: {}", String::from_utf8_lossy(payload))));
            }
            if stream.read_buf(&mut heard).await.map_err(text)? == 0 {
                return Err(fail(format!(
                    "the end came instead of an answer: {}",
                    String::from_utf8_lossy(&heard)
                )));
            }
        }
    }
}

/// The payload of the first message after the handshake, once it is all there.
fn first_message(heard: &[u8]) -> Result<Option<&[u8]>, String> {
    let Some(end) = heard.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    if !heard.starts_with(b"HTTP/1.1 101 ") {
        return Err(format!("the handshake was refused: {}", String::from_utf8_lossy(heard)));
    }
    let frame = &heard[end + 4..];
    let [kind, short, rest @ ..] = frame else { return Ok(None) };
    if !matches!(kind, 0x81 | 0x82) {
        return Err(format!(
            "the first frame is of kind {kind:#x}: {}",
            String::from_utf8_lossy(rest)
        ));
    }
    let (length, payload) = match (short, rest) {
        (126, [high, low, payload @ ..]) => {
            (usize::from(u16::from_be_bytes([*high, *low])), payload)
        }
        (126 | 127, _) => {
            return if *short == 127 {
                Err("the answer is very long".to_owned())
            } else {
                Ok(None)
            };
        }
        (short, payload) => (usize::from(*short), payload),
    };
    Ok(payload.get(..length))
}
