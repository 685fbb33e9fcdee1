//! From frames as they went over the wire to the lines of a capture, in which nothing secret is
//! left.

use crate::frame::{CapturedFrame, FrameKind};
use crate::headers::headers;
use crate::line::{
    Close, Gap, GapReason, Header, Line, MAX_LINE_BYTES, Open, OpenRequest, Recorder, Transport,
};
use crate::replacer::{PICTURE, Replacer};
use bytes::Bytes;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use tolmach_dialect::{FieldMap, FieldRule, FieldValue, Frame, Route, Sender};

/// The frames whose lines are kept, because other connections may have got the same bytes.
const SHARED: usize = 32;
/// The largest payload of them, in bytes.
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
    connections: HashMap<u64, Connection>,
    shared: VecDeque<SharedLine>,
}

/// An open connection.
#[derive(Debug)]
struct Connection {
    open: Open,
    rules: &'static [FieldRule],
    /// The method and the path of the WebSocket, or of the HTTP requests that are not answered.
    routes: VecDeque<(String, String)>,
    /// True until a line tells the dialect that `open` does not.
    has_new_dialect: bool,
}

/// The rest of a line that belongs to a payload.
#[derive(Debug)]
struct SharedLine {
    payload: Bytes,
    rules: usize,
    command: Option<&'static str>,
    rest: Bytes,
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

/// The part of a frame's line that is the same for every connection that gets the frame.
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

impl Transcriber {
    /// A transcriber that replaces by this replacer.
    pub fn new(replacer: Replacer) -> Self {
        let (maps, connections) = (HashMap::new(), HashMap::new());
        Self { replacer, maps, connections, shared: VecDeque::new() }
    }

    /// The first line.
    pub fn header(&self, recorder: Recorder, out: &mut Vec<u8>) {
        line(&Line::Capture(Header::new(recorder, self.replacer.replaced())), out);
    }

    /// The line of a connection that has begun.
    pub fn open(&mut self, opening: Opening, out: &mut Vec<u8>) {
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
        self.connections
            .insert(opening.connection, Connection { open, rules, routes, has_new_dialect: false });
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
        let Some(known) = self.connections.get_mut(&connection) else { return };
        known.has_new_dialect |= dialect.is_some();
        let is_new = known.has_new_dialect;
        if let Some(dialect) = dialect {
            known.rules = dialect.rules;
            known.open.dialect = Some(dialect.id);
            known.open.revision = Some(dialect.revision);
        }
        let is_shared = from == Sender::Server
            && !is_new
            && matches!(frame, Frame::Text(_) | Frame::Binary(_) | Frame::Value(_))
            && frame.payload().len() <= MAX_SHARED;
        let payload = frame.payload();
        let rules = known.rules.as_ptr() as usize;
        if is_shared {
            let is_same = |shared: &&SharedLine| {
                (shared.payload.as_ptr(), shared.payload.len()) == (payload.as_ptr(), payload.len())
                    && (shared.rules, shared.command) == (rules, command)
            };
            if let Some(shared) = self.shared.iter().find(is_same) {
                head(connection, at, out);
                out.extend_from_slice(&shared.rest);
                return;
            }
        }
        if let Frame::Request(request) = frame
            && known.routes.len() < MAX_WAITING
        {
            let route = (request.method().to_string(), request.uri().path().to_owned());
            known.routes.push_back(route);
        }
        let route = known.routes.front().map(|(method, path)| Route { method, path });
        let map = map(&mut self.maps, known.rules);
        let replaced = replaced(&self.replacer, map, from, route, frame);
        if matches!(frame, Frame::Response(_)) {
            known.routes.pop_front();
        }
        let frame = replaced.as_ref().unwrap_or(frame);
        let mut captured = CapturedFrame::new(connection, at, from, frame);
        captured.command = command.map(str::to_owned);
        if is_new {
            captured.dialect = known.open.dialect.clone();
            captured.revision = known.open.revision.clone();
        }
        if !is_shared {
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
            return;
        }
        let rest = SharedPart {
            from,
            kind: captured.kind,
            text: captured.text.as_deref(),
            base64: captured.base64.as_deref(),
            command,
        };
        let mut bytes = Vec::with_capacity(payload.len() + 64);
        serde_json::to_writer(&mut bytes, &rest).expect("writing to a vector cannot fail");
        bytes.push(b'\n');
        // Without the bracket that opens the object.
        let rest = Bytes::from(bytes).slice(1..);
        head(connection, at, out);
        out.extend_from_slice(&rest);
        if self.shared.len() == SHARED {
            self.shared.pop_front();
        }
        self.shared.push_back(SharedLine { payload: payload.clone(), rules, command, rest });
    }

    /// The line of a connection that has ended.
    pub fn close(&mut self, close: Close, out: &mut Vec<u8>) {
        if self.connections.remove(&close.connection).is_some() {
            line(&Line::Close(close), out);
        }
    }

    /// The line of frames that are missing.
    pub fn gap(&self, gap: Gap, out: &mut Vec<u8>) {
        line(&Line::Gap(gap), out);
    }

    /// The first lines of a file that goes on where another one has ended: the header, and the open
    /// connections.
    pub fn resume(&self, recorder: Recorder, at: u64, out: &mut Vec<u8>) {
        self.header(recorder, out);
        let mut open: Vec<&Open> = self.connections.values().map(|known| &known.open).collect();
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

/// The beginning of a frame's line.
fn head(connection: u64, at: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"frame","connection":"#);
    number(connection, out);
    out.extend_from_slice(br#","at":"#);
    number(at, out);
    out.push(b',');
}

fn number(number: u64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &number).expect("writing to a vector cannot fail");
}

fn line(line: &Line, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, line).expect("a line is strings and numbers");
    out.push(b'\n');
}
