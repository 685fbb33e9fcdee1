//! One connection's bytes as frames.

use super::http_reader::{Head, HttpReader, Kind};
use super::inflater::Inflater;
use super::message_reader::{Message, MessageReader};
use super::value_reader::ValueReader;
use bytes::Bytes;
use http::header::UPGRADE;
use http::{Method, StatusCode};
use std::collections::VecDeque;
use tolmach_capture::GapReason;
use tolmach_dialect::{Frame, Sender};

/// The most requests of a connection that wait for their responses.
const MAX_WAITING: usize = 1024;
/// The most bytes that a client may send before a handshake of it is answered.
const MAX_UNREAD: usize = 1 << 20;

/// An event of a connection.
#[derive(Debug)]
pub enum TapEvent {
    /// A WebSocket was opened by this request.
    WebSocket(Box<http::request::Parts>),
    /// A frame.
    Frame(Sender, Frame),
    /// Frames are missing: how many, 0 if that is not known.
    Gap(u64, GapReason),
    /// A WebSocket's close frame, with its code.
    Close(Sender, Option<u16>),
}

/// The readers of one connection.
#[derive(Debug)]
pub(super) struct Conversation {
    mode: Mode,
    /// The requests that are not answered.
    requests: VecDeque<Waiting>,
    /// The sides whose bytes cannot be read any more.
    unreadable: Vec<Sender>,
}

#[derive(Debug)]
enum Mode {
    Http(HttpReader, HttpReader),
    WebSocket(MessageReader, MessageReader),
    Values(ValueReader, ValueReader),
    /// Nothing more is read.
    Unreadable,
}

/// A request that waits for its response.
#[derive(Debug)]
struct Waiting {
    may_have_body: bool,
    /// The head of a request for a WebSocket.
    upgrade: Option<Box<http::request::Parts>>,
}

impl Conversation {
    /// A connection of raw values, or of HTTP, which may become a WebSocket.
    pub(super) fn new(is_of_values: bool) -> Self {
        let mode = if is_of_values {
            Mode::Values(ValueReader::default(), ValueReader::default())
        } else {
            Mode::Http(HttpReader::default(), HttpReader::default())
        };
        Self { mode, requests: VecDeque::new(), unreadable: Vec::new() }
    }

    /// Reads bytes that one side has sent.
    pub(super) fn push(&mut self, from: Sender, bytes: &[u8], out: &mut Vec<TapEvent>) {
        if self.unreadable.contains(&from) {
            return;
        }
        match (&mut self.mode, from) {
            (Mode::Http(client, _), Sender::Client) => client.push(bytes),
            (Mode::Http(_, server), Sender::Server) => server.push(bytes),
            (Mode::WebSocket(client, _), Sender::Client) => client.push(bytes),
            (Mode::WebSocket(_, server), Sender::Server) => server.push(bytes),
            (Mode::Values(client, _), Sender::Client) => client.push(bytes),
            (Mode::Values(_, server), Sender::Server) => server.push(bytes),
            (Mode::Unreadable, _) => return,
        }
        if let Err(reason) = self.read(out) {
            self.give_up(reason, out);
        }
        if let Mode::Http(client, _) = &self.mode
            && client.unread() > MAX_UNREAD
        {
            self.give_up(GapReason::TooLarge, out);
        }
    }

    /// The bytes that are kept until frames are whole.
    pub(super) fn kept(&self) -> usize {
        match &self.mode {
            Mode::Http(client, server) => client.kept() + server.kept(),
            Mode::WebSocket(client, server) => client.kept() + server.kept(),
            Mode::Values(client, server) => client.kept() + server.kept(),
            Mode::Unreadable => 0,
        }
    }

    /// Reads nothing more.
    pub(super) fn give_up(&mut self, reason: GapReason, out: &mut Vec<TapEvent>) {
        if !matches!(self.mode, Mode::Unreadable) {
            self.mode = Mode::Unreadable;
            out.push(TapEvent::Gap(0, reason));
        }
    }

    /// One side has ended its stream.
    pub(super) fn end(&mut self, from: Sender, out: &mut Vec<TapEvent>) {
        if let Mode::Values(client, server) = &mut self.mode {
            let reader = match from {
                Sender::Client => client,
                Sender::Server => server,
            };
            out.extend(reader.end().map(|word| TapEvent::Frame(from, Frame::Value(word))));
        }
        if let (Mode::Http(_, server), Sender::Server) = (&mut self.mode, from)
            && let Some((head, body)) = server.end()
        {
            let request = self.requests.pop_front();
            out.extend(request.and_then(|request| request.upgrade).map(rejected));
            out.push(TapEvent::Frame(from, frame(head, body)));
        }
    }

    fn read(&mut self, out: &mut Vec<TapEvent>) -> Result<(), GapReason> {
        loop {
            match &mut self.mode {
                Mode::Http(client, server) => {
                    let waiting = &mut self.requests;
                    read_requests(client, waiting, out)?;
                    let Some(opened) = read_responses(server, waiting, out)? else {
                        let more = !client.is_empty() && waiting.is_empty();
                        if more && read_requests(client, waiting, out)? {
                            continue;
                        }
                        return Ok(());
                    };
                    let (parts, inflaters) = opened;
                    out.push(TapEvent::WebSocket(parts));
                    let (of_client, of_server) = inflaters.map(|[one, other]| (one, other)).unzip();
                    let client = std::mem::take(client).into_rest();
                    let server = std::mem::take(server).into_rest();
                    let client = MessageReader::new(client, of_client);
                    let server = MessageReader::new(server, of_server);
                    self.mode = Mode::WebSocket(client, server);
                }
                Mode::WebSocket(client, server) => {
                    for (reader, from) in [(client, Sender::Client), (server, Sender::Server)] {
                        if self.unreadable.contains(&from) {
                            continue;
                        }
                        let read = read_messages(reader, from, out);
                        if read.is_err() {
                            *reader = MessageReader::default();
                        }
                        self.unreadable.extend(unread(read, from, out));
                    }
                    return Ok(());
                }
                Mode::Values(client, server) => {
                    for (reader, from) in [(client, Sender::Client), (server, Sender::Server)] {
                        if self.unreadable.contains(&from) {
                            continue;
                        }
                        let read = read_values(reader, from, out);
                        if read.is_err() {
                            *reader = ValueReader::default();
                        }
                        self.unreadable.extend(unread(read, from, out));
                    }
                    return Ok(());
                }
                Mode::Unreadable => return Ok(()),
            }
        }
    }
}

/// Reads requests, but for those after one for a WebSocket. Returns true if there was one.
fn read_requests(
    client: &mut HttpReader,
    waiting: &mut VecDeque<Waiting>,
    out: &mut Vec<TapEvent>,
) -> Result<bool, GapReason> {
    let mut any = false;
    while waiting.back().is_none_or(|request| request.upgrade.is_none()) {
        let Some((head, body)) = client.next(Kind::Requests)? else { break };
        let Head::Request(parts) = head else { break };
        any = true;
        if waiting.len() == MAX_WAITING {
            return Err(GapReason::TooLarge);
        }
        let is_upgrade = parts
            .headers
            .get(UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let may_have_body = parts.method != Method::HEAD;
        if is_upgrade {
            waiting.push_back(Waiting { may_have_body, upgrade: Some(parts) });
            break;
        }
        waiting.push_back(Waiting { may_have_body, upgrade: None });
        out.push(TapEvent::Frame(Sender::Client, frame(Head::Request(parts), body)));
    }
    Ok(any)
}

/// The request of a WebSocket, and the inflaters of both sides where it has compressed messages.
type OpenedWebSocket = (Box<http::request::Parts>, Option<[Inflater; 2]>);

/// Reads responses. Returns the request of the WebSocket that one has opened.
fn read_responses(
    server: &mut HttpReader,
    waiting: &mut VecDeque<Waiting>,
    out: &mut Vec<TapEvent>,
) -> Result<Option<OpenedWebSocket>, GapReason> {
    loop {
        let may_have_body = waiting.front().is_none_or(|request| request.may_have_body);
        let Some((head, body)) = server.next(Kind::Responses { may_have_body })? else {
            return Ok(None);
        };
        let Head::Response(parts) = head else { return Ok(None) };
        let is_switch = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        if parts.status.is_informational() && !is_switch {
            continue;
        }
        let upgrade = waiting.pop_front().and_then(|request| request.upgrade);
        match upgrade {
            Some(request) if is_switch => {
                return Ok(Some((request, Inflater::agreed(&parts.headers))));
            }
            Some(request) => out.push(rejected(request)),
            None if is_switch => return Err(GapReason::Unreadable),
            None => {}
        }
        out.push(TapEvent::Frame(Sender::Server, frame(Head::Response(parts), body)));
    }
}

/// The request of a handshake that was rejected: an exchange like any other.
fn rejected(request: Box<http::request::Parts>) -> TapEvent {
    TapEvent::Frame(Sender::Client, frame(Head::Request(request), Bytes::new()))
}

/// The side, if its bytes could not be read. The other side's go on.
fn unread(read: Result<(), GapReason>, from: Sender, out: &mut Vec<TapEvent>) -> Option<Sender> {
    let reason = read.err()?;
    out.push(TapEvent::Gap(0, reason));
    Some(from)
}

fn read_values(
    reader: &mut ValueReader,
    from: Sender,
    out: &mut Vec<TapEvent>,
) -> Result<(), GapReason> {
    while let Some(value) = reader.next()? {
        out.push(TapEvent::Frame(from, Frame::Value(value)));
    }
    Ok(())
}

fn read_messages(
    reader: &mut MessageReader,
    from: Sender,
    out: &mut Vec<TapEvent>,
) -> Result<(), GapReason> {
    while let Some(message) = reader.next()? {
        out.push(match message {
            Message::Frame(frame) => TapEvent::Frame(from, frame),
            Message::LeftOut(reason) => TapEvent::Gap(1, reason),
            Message::Close(code) => TapEvent::Close(from, code),
        });
    }
    Ok(())
}

fn frame(head: Head, body: Bytes) -> Frame {
    match head {
        Head::Request(parts) => Frame::request(http::Request::from_parts(*parts, body)),
        Head::Response(parts) => Frame::response(http::Response::from_parts(*parts, body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a conversation whose bytes come one by one.
    fn events(is_of_values: bool, pieces: &[(Sender, &[u8])]) -> Vec<String> {
        let mut conversation = Conversation::new(is_of_values);
        let mut out = Vec::new();
        for (from, bytes) in pieces {
            for byte in *bytes {
                conversation.push(*from, &[*byte], &mut out);
            }
        }
        out.iter().map(in_words).collect()
    }

    fn in_words(event: &TapEvent) -> String {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        match event {
            TapEvent::WebSocket(parts) => format!("websocket {}", parts.uri),
            TapEvent::Frame(from, frame) => match frame {
                Frame::Request(request) => format!("{} {}", request.method(), request.uri()),
                Frame::Response(response) => {
                    format!("{} {}", response.status().as_u16(), text(response.body()))
                }
                frame => format!("{from:?} {}", text(frame.payload())),
            },
            TapEvent::Gap(frames, reason) => format!("gap {frames} {reason:?}"),
            TapEvent::Close(from, code) => format!("close {from:?} {code:?}"),
        }
    }

    #[test]
    fn an_http_connection_may_become_a_websocket() {
        let found = events(
            false,
            &[
                (Sender::Client, b"GET /a HTTP/1.1\r\n\r\n"),
                (Sender::Server, b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"),
                (Sender::Client, b"GET /ws HTTP/1.1\r\nupgrade: websocket\r\n\r\n"),
                (Sender::Server, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x01s"),
                (Sender::Client, b"\x81\x81\x00\x00\x00\x00c\x88\x80\x00\x00\x00\x00"),
            ],
        );
        let expected =
            ["GET /a", "200 x", "websocket /ws", "Server s", "Client c", "close Client None"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_rejected_handshake_is_an_exchange() {
        let found = events(
            false,
            &[
                (Sender::Client, b"GET /ws HTTP/1.1\r\nupgrade: websocket\r\n\r\n"),
                (Sender::Server, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"),
                (Sender::Client, b"GET /b HTTP/1.1\r\n\r\n"),
            ],
        );
        assert_eq!(found, ["GET /ws", "403 ", "GET /b"]);
    }

    /// The compressed messages are those of RFC 7692 sections 7.2.3.1 and 7.2.3.2.
    #[test]
    fn compressed_messages_are_read_where_the_handshake_agreed_on_them() {
        let messages = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00";
        let opened = |response: &[u8]| {
            let request = b"GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n";
            let pieces = [
                (Sender::Client, &request[..]),
                (Sender::Server, response),
                (Sender::Server, messages),
            ];
            events(false, &pieces)
        };
        let agreed = b"HTTP/1.1 101 S\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n";
        assert_eq!(opened(agreed), ["websocket /", "Server Hello", "Server Hello"]);
        let gaps = ["websocket /", "gap 1 Compressed", "gap 1 Compressed"];
        assert_eq!(opened(b"HTTP/1.1 101 S\r\n\r\n"), gaps);
    }

    #[test]
    fn a_rejection_that_the_end_of_the_stream_ends_follows_its_request() {
        let mut conversation = Conversation::new(false);
        let mut out = Vec::new();
        let request = b"GET /ws HTTP/1.1\r\nupgrade: websocket\r\n\r\n";
        conversation.push(Sender::Client, request, &mut out);
        conversation.push(Sender::Server, b"HTTP/1.1 403 Forbidden\r\n\r\nno", &mut out);
        conversation.end(Sender::Server, &mut out);
        assert_eq!(out.iter().map(in_words).collect::<Vec<_>>(), ["GET /ws", "403 no"]);
    }

    #[test]
    fn a_word_is_a_value_once_the_stream_ends() {
        let mut conversation = Conversation::new(true);
        let mut out = Vec::new();
        conversation.push(Sender::Server, b"{} TEST", &mut out);
        conversation.end(Sender::Client, &mut out);
        assert_eq!(out.iter().map(in_words).collect::<Vec<_>>(), ["Server {}"]);
        conversation.end(Sender::Server, &mut out);
        assert_eq!(out.iter().map(in_words).collect::<Vec<_>>(), ["Server {}", "Server TEST"]);
    }

    #[test]
    fn a_client_that_goes_on_before_its_handshake_is_answered_is_bounded() {
        let mut conversation = Conversation::new(false);
        let mut out = Vec::new();
        let request = b"GET /ws HTTP/1.1\r\nupgrade: websocket\r\n\r\n";
        conversation.push(Sender::Client, request, &mut out);
        conversation.push(Sender::Client, &vec![0; MAX_UNREAD], &mut out);
        assert!(out.is_empty());
        assert_eq!(conversation.kept(), MAX_UNREAD);
        conversation.push(Sender::Client, &[0], &mut out);
        assert_eq!(out.iter().map(in_words).collect::<Vec<_>>(), ["gap 0 TooLarge"]);
        assert_eq!(conversation.kept(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_said_once() {
        let found = events(false, &[(Sender::Client, b"\x16\x03\x01"), (Sender::Server, b"\x15")]);
        assert_eq!(found, ["gap 0 Unreadable"]);
        let opening = [
            (Sender::Client, &b"GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n"[..]),
            (Sender::Server, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
            (Sender::Client, b"\x8F\x00\x81\x00"),
            (Sender::Server, b"\x81\x01s"),
        ];
        assert_eq!(events(false, &opening), ["websocket /", "gap 0 Unreadable", "Server s"]);
        let found = events(true, &[(Sender::Client, b"{}{}"), (Sender::Server, b"[1]")]);
        assert_eq!(found, ["Client {}", "Client {}", "Server [1]"]);
    }
}
