//! From frames as they went over the wire to the lines of a capture, in which nothing secret is
//! left.

use crate::frame::{CapturedFrame, FrameKind};
use crate::headers::headers;
use crate::line::{
    Close, Gap, GapReason, Header, Line, MAX_LINE_BYTES, Open, OpenRequest, Recorder, Transport,
};
use crate::messages::{MessageKey, Messages, PendingLine};
use crate::replacer::{PICTURE, Replacer};
use bytes::Bytes;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use tolmach_dialect::{FieldMap, FieldRule, FieldValue, Frame, Route, Sender};

/// The largest payload of a message that is kept for other connections, in bytes.
const MAX_SHARED: usize = 64 << 10;
/// The most requests of one HTTP connection that wait for their responses.
const MAX_WAITING: usize = 1024;
/// The most bytes of a handshake that are kept for later files.
const MAX_KEPT_REQUEST: usize = 4 << 10;

/// Makes the lines of a capture. It keeps little more than the openings of open connections.
#[derive(Debug)]
pub struct Transcriber {
    replacer: Replacer,
    maps: HashMap<usize, FieldMap>,
    connections: HashMap<u64, Connection, BuildHasherDefault<NumberHasher>>,
    messages: Messages,
}

/// An open connection.
#[derive(Debug)]
struct Connection {
    rules: &'static [FieldRule],
    /// The line that its latest message comes into. Written before any other of the connection.
    pending: Option<PendingLine>,
    /// True until a line tells the dialect that `open` does not.
    has_new_dialect: bool,
    /// Apart, since a message of many connections needs the rest of each only.
    beginning: Box<Beginning>,
}

/// The beginning of a connection.
#[derive(Debug)]
struct Beginning {
    open: Open,
    /// The method and the path of the WebSocket, or of the HTTP requests that are not answered.
    routes: VecDeque<(String, String)>,
}

/// A connection that has begun.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Its number.
    pub connection: u64,
    /// Microseconds since the capture began.
    pub at: u64,
    /// Its transport.
    pub transport: Transport,
    /// The dialect and the revision, where they are known.
    pub dialect: Option<KnownDialect>,
    /// The request of a WebSocket's handshake.
    pub request: Option<Box<http::request::Parts>>,
    /// The address of the client.
    pub address: Option<IpAddr>,
    /// The id of the user, where it is known.
    pub user: Option<i64>,
}

/// A dialect and a revision of it.
#[derive(Debug, Clone)]
pub struct KnownDialect {
    /// The id of the dialect.
    pub id: String,
    /// The revision.
    pub revision: String,
    /// The places of values in its frames.
    pub rules: &'static [FieldRule],
}

/// The part of a message's line that is the same for every connection that gets the message.
#[derive(Serialize)]
struct SharedPart<'a> {
    from: Sender,
    kind: FrameKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
}

/// Hashes the numbers of connections, which the recorder counts up: connections that are neighbours
/// are such in the table too, because those of a group often get a message one after another.
#[derive(Debug, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 << 8 | u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // The table takes a place by the low bits and compares the high ones, which are spread by
        // the multiplier of Fibonacci hashing.
        let high = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) & 0xFF << 56;
        self.0 = high ^ number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Transcriber {
    /// A transcriber that replaces by this replacer.
    pub fn new(replacer: Replacer) -> Self {
        let (maps, connections) = (HashMap::new(), HashMap::default());
        Self { replacer, maps, connections, messages: Messages::default() }
    }

    /// The first line.
    pub fn header(&self, recorder: Recorder, out: &mut Vec<u8>) {
        line(&Line::Capture(Header::new(recorder, self.replacer.replaced())), out);
    }

    /// The line of a connection that has begun.
    pub fn open(&mut self, opening: Opening, out: &mut Vec<u8>) {
        self.flush(out);
        let rules = opening.dialect.as_ref().map_or(&[][..], |dialect| dialect.rules);
        let mut routes = VecDeque::new();
        let request = opening.request.map(|parts| {
            routes.push_back((parts.method.to_string(), parts.uri.path().to_owned()));
            let map = map(&mut self.maps, rules);
            let replacer = &self.replacer;
            let edit = &mut |value: &FieldValue<'_>| replacer.value(Sender::Client, value);
            let uri = map.edit_uri(parts.method.as_str(), &parts.uri, edit);
            let edited = map.edit_headers(Sender::Client, &parts.headers, edit);
            OpenRequest {
                method: parts.method.to_string(),
                uri: uri.as_ref().unwrap_or(&parts.uri).to_string(),
                headers: headers(edited.as_ref().unwrap_or(&parts.headers)),
            }
        });
        let (dialect, revision) =
            opening.dialect.map(|dialect| (dialect.id, dialect.revision)).unzip();
        let open = Open {
            connection: opening.connection,
            at: opening.at,
            transport: opening.transport,
            dialect,
            revision,
            request,
            address: opening.address,
            user: opening.user,
            continued: false,
            of: None,
        };
        let open = Box::new(open);
        line(&Line::Open(open.clone()), out);
        let open = Open { request: open.request.clone().and_then(kept_request), ..*open };
        let beginning = Box::new(Beginning { open, routes });
        let connection = Connection { rules, pending: None, has_new_dialect: false, beginning };
        self.connections.insert(opening.connection, connection);
    }

    /// The line of a frame. `dialect` is given with the first frame after it became known or
    /// changed.
    pub fn frame(
        &mut self,
        (connection, at): (u64, u64),
        from: Sender,
        frame: &Frame,
        command: Option<&'static str>,
        dialect: Option<KnownDialect>,
        out: &mut Vec<u8>,
    ) {
        if from == Sender::Client {
            // A request of a client comes behind all that the client may know.
            self.flush(out);
        }
        let Some(known) = self.connections.get_mut(&connection) else { return };
        if let Some(pending) = known.pending.take() {
            self.messages.write(pending, out);
        }
        known.has_new_dialect |= dialect.is_some();
        let is_new = known.has_new_dialect;
        let beginning = &mut *known.beginning;
        if let Some(dialect) = dialect {
            known.rules = dialect.rules;
            beginning.open.dialect = Some(dialect.id);
            beginning.open.revision = Some(dialect.revision);
        }
        if let Frame::Request(request) = frame
            && beginning.routes.len() < MAX_WAITING
        {
            let route = (request.method().to_string(), request.uri().path().to_owned());
            beginning.routes.push_back(route);
        }
        let route = beginning.routes.front().map(|(method, path)| Route { method, path });
        let map = map(&mut self.maps, known.rules);
        let replaced = replaced(&self.replacer, map, from, route, frame);
        if matches!(frame, Frame::Response(_)) {
            beginning.routes.pop_front();
        }
        let frame = replaced.as_ref().unwrap_or(frame);
        let mut captured = CapturedFrame::new(connection, at, from, frame);
        captured.command = command.map(str::to_owned);
        if is_new {
            captured.dialect = beginning.open.dialect.clone();
            captured.revision = beginning.open.revision.clone();
        }
        let start = out.len();
        line(&Line::Frame(Box::new(captured)), out);
        // Control characters are written as six bytes each.
        if out.len() - start > MAX_LINE_BYTES {
            out.truncate(start);
            let (connection, reason) = (Some(connection), GapReason::TooLarge);
            line(&Line::Gap(Gap { at, connection, frames: 1, reason }), out);
        } else {
            known.has_new_dialect = false;
        }
    }

    /// The line of a message of the server that other connections may get too: one line for all
    /// that get it in a row. It is written before any other line of one of them, before a line of
    /// any client, and by [`Transcriber::flush`].
    pub fn message(
        &mut self,
        (connection, at): (u64, u64),
        frame: &Frame,
        command: Option<&'static str>,
        out: &mut Vec<u8>,
    ) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        let is_message = matches!(frame, Frame::Text(_) | Frame::Binary(_) | Frame::Value(_));
        if known.has_new_dialect || !is_message || frame.payload().len() > MAX_SHARED {
            return self.frame((connection, at), Sender::Server, frame, command, None, out);
        }
        let key = MessageKey::new(frame, known.rules, command);
        let next = match self.messages.find(key) {
            Some(next) => next,
            None => {
                let routes = &known.beginning.routes;
                let route = routes.front().map(|(method, path)| Route { method, path });
                let map = map(&mut self.maps, known.rules);
                let replaced = replaced(&self.replacer, map, Sender::Server, route, frame);
                let rest = shared_part(replaced.as_ref().unwrap_or(frame), command);
                self.messages.insert(key, frame.payload().clone(), rest, out)
            }
        };
        if let Some(pending) = known.pending.replace(next)
            && pending != next
        {
            self.messages.write(pending, out);
        }
        self.messages.join(next, (connection, at), out);
    }

    /// Writes the lines of messages that other connections might have joined.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.messages.write_all(out);
    }

    /// The line of a connection that has ended.
    pub fn close(&mut self, close: Close, out: &mut Vec<u8>) {
        self.flush(out);
        if self.connections.remove(&close.connection).is_some() {
            line(&Line::Close(close), out);
        }
    }

    /// The line of frames that are missing.
    pub fn gap(&mut self, gap: Gap, out: &mut Vec<u8>) {
        self.flush(out);
        line(&Line::Gap(gap), out);
    }

    /// The first lines of a file that goes on where another one has ended: the header, and the open
    /// connections.
    pub fn resume(&self, recorder: Recorder, at: u64, out: &mut Vec<u8>) {
        self.header(recorder, out);
        let known = self.connections.values();
        let mut open: Vec<&Open> = known.map(|known| &known.beginning.open).collect();
        open.sort_by_key(|open| open.connection);
        for open in open {
            let open = Open { at, continued: true, ..open.clone() };
            line(&Line::Open(Box::new(open)), out);
        }
    }

    /// The number of open connections.
    pub fn open_connections(&self) -> usize {
        self.connections.len()
    }
}

/// The part of a handshake that is kept as long as its connection is open: its largest headers are
/// left out until the rest is small. `None` if its address alone is too large.
fn kept_request(mut request: OpenRequest) -> Option<OpenRequest> {
    let of_header = |(name, value): &(String, String)| name.len() + value.len();
    let mut bytes = request.uri.len() + request.headers.iter().map(of_header).sum::<usize>();
    while bytes > MAX_KEPT_REQUEST {
        let headers = request.headers.iter().enumerate();
        let (largest, size) = headers
            .map(|(index, header)| (index, of_header(header)))
            .max_by_key(|(_, size)| *size)?;
        request.headers.remove(largest);
        bytes -= size;
    }
    request.headers.shrink_to_fit();
    Some(request)
}

/// The map of these rules.
fn map<'a>(maps: &'a mut HashMap<usize, FieldMap>, rules: &'static [FieldRule]) -> &'a FieldMap {
    maps.entry(rules.as_ptr() as usize).or_insert_with(|| FieldMap::new(rules))
}

/// A frame with pseudonyms; `None` if it has nothing to replace.
fn replaced(
    replacer: &Replacer,
    map: &FieldMap,
    from: Sender,
    route: Option<Route<'_>>,
    frame: &Frame,
) -> Option<Frame> {
    let edit = &mut |value: &FieldValue<'_>| replacer.value(from, value);
    match map.edit(from, route, frame, edit) {
        Ok(edited) => edited,
        Err(_) => Some(unreadable(replacer, map, from, frame)),
    }
}

/// A frame whose payload cannot be read: all of it is replaced. The picture of an HTTP response is
/// kept, unless texts are replaced.
fn unreadable(replacer: &Replacer, map: &FieldMap, from: Sender, frame: &Frame) -> Frame {
    let edit = &mut |value: &FieldValue<'_>| replacer.value(from, value);
    let body = |payload: &Bytes| match std::str::from_utf8(payload) {
        Ok(text) => Bytes::from(replacer.opaque(text)),
        Err(_) => Bytes::from(vec![0; payload.len()]),
    };
    match frame {
        Frame::Text(bytes) => Frame::Text(body(bytes)),
        Frame::Binary(bytes) => Frame::Binary(body(bytes)),
        Frame::Value(bytes) => Frame::Value(body(bytes)),
        Frame::Request(request) => {
            let mut edited = (**request).clone();
            let method = request.method().as_str();
            if let Some(uri) = map.edit_uri(method, request.uri(), edit) {
                *edited.uri_mut() = uri;
            }
            if let Some(headers) = map.edit_headers(from, request.headers(), edit) {
                *edited.headers_mut() = headers;
            }
            *edited.body_mut() = body(request.body());
            Frame::request(edited)
        }
        Frame::Response(response) => {
            let mut edited = (**response).clone();
            if let Some(headers) = map.edit_headers(from, response.headers(), edit) {
                *edited.headers_mut() = headers;
            }
            let content_type = response.headers().get(http::header::CONTENT_TYPE);
            let is_picture =
                content_type.is_some_and(|value| value.as_bytes().starts_with(b"image/"));
            if !is_picture {
                *edited.body_mut() = body(response.body());
            } else if replacer.replaces_texts() {
                *edited.body_mut() = Bytes::from_static(PICTURE.as_bytes());
            }
            Frame::response(edited)
        }
    }
}

/// The rest of a message's line, without the bracket that opens the object.
fn shared_part(frame: &Frame, command: Option<&'static str>) -> Bytes {
    let captured = CapturedFrame::new(0, 0, Sender::Server, frame);
    let rest = SharedPart {
        from: captured.from,
        kind: captured.kind,
        text: captured.text.as_deref(),
        base64: captured.base64.as_deref(),
        command,
    };
    let mut bytes = Vec::with_capacity(frame.payload().len() + 128);
    serde_json::to_writer(&mut bytes, &rest).expect("writing to a vector cannot fail");
    bytes.push(b'\n');
    Bytes::from(bytes).slice(1..)
}

fn line(line: &Line, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, line).expect("a line is strings and numbers");
    out.push(b'\n');
}
