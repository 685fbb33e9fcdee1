//! HTTP/1.1 messages in a stream of bytes. RFC 9112.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use httparse::{EMPTY_HEADER, Status};
use tolmach_capture::GapReason;

/// The most bytes of a head.
const MAX_HEAD: usize = 64 << 10;
/// The most headers.
const MAX_HEADERS: usize = 128;
/// The largest body.
pub(super) const MAX_BODY: usize = 16 << 20;
/// The longest line of a chunk's size.
const MAX_LINE: usize = 1 << 10;

/// A stream of messages of one side.
#[derive(Debug, Default)]
pub(super) struct HttpReader {
    buffer: BytesMut,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Body(Box<Body>),
}

#[derive(Debug)]
struct Body {
    head: Head,
    length: Length,
    content: BytesMut,
}

/// The length of a body.
#[derive(Debug, Clone, Copy)]
enum Length {
    /// This number of bytes is left.
    Left(usize),
    /// This number of bytes of a chunk is left, with those of its line break.
    Chunk(usize),
    /// The line of a chunk's size comes next.
    ChunkSize,
    /// The lines after the last chunk.
    Trailers,
    /// All bytes until the end of the stream.
    UntilEnd,
}

/// The head of a message.
#[derive(Debug)]
pub(super) enum Head {
    Request(Box<http::request::Parts>),
    Response(Box<http::response::Parts>),
}

/// The side of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Requests,
    /// A response to a request; false if it has no body whatever its headers say.
    Responses {
        may_have_body: bool,
    },
}

impl HttpReader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The bytes that no message was made of.
    pub(super) fn into_rest(self) -> BytesMut {
        self.buffer
    }

    /// The bytes that no message was made of yet.
    pub(super) fn unread(&self) -> usize {
        self.buffer.len()
    }

    /// The bytes that wait, with those of the body that has begun.
    pub(super) fn kept(&self) -> usize {
        let content = match &self.state {
            State::Head => 0,
            State::Body(body) => body.content.len(),
        };
        self.buffer.len() + content
    }

    /// True if nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next message, once all of it is there.
    pub(super) fn next(&mut self, kind: Kind) -> Result<Option<(Head, Bytes)>, GapReason> {
        if matches!(self.state, State::Head) {
            let Some(head) = self.head(kind)? else { return Ok(None) };
            let length = length(&head, kind)?;
            self.state = State::Body(Box::new(Body { head, length, content: BytesMut::new() }));
        }
        let State::Body(body) = &mut self.state else { return Ok(None) };
        if !body.read(&mut self.buffer)? {
            return Ok(None);
        }
        Ok(self.take())
    }

    /// The message that the end of the stream ends, if there is one.
    pub(super) fn end(&mut self) -> Option<(Head, Bytes)> {
        match &self.state {
            State::Body(body) if matches!(body.length, Length::UntilEnd) => self.take(),
            _ => None,
        }
    }

    fn take(&mut self) -> Option<(Head, Bytes)> {
        match std::mem::take(&mut self.state) {
            State::Head => None,
            State::Body(body) => Some((body.head, body.content.freeze())),
        }
    }

    fn head(&mut self, kind: Kind) -> Result<Option<Head>, GapReason> {
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let (length, head) = match kind {
            Kind::Requests => {
                let mut request = httparse::Request::new(&mut headers);
                let Status::Complete(length) = unbroken(request.parse(&self.buffer))? else {
                    return self.incomplete();
                };
                (length, request_head(&request).ok_or(GapReason::Unreadable)?)
            }
            Kind::Responses { .. } => {
                let mut response = httparse::Response::new(&mut headers);
                let Status::Complete(length) = unbroken(response.parse(&self.buffer))? else {
                    return self.incomplete();
                };
                (length, response_head(&response).ok_or(GapReason::Unreadable)?)
            }
        };
        self.buffer.advance(length);
        Ok(Some(head))
    }

    fn incomplete(&self) -> Result<Option<Head>, GapReason> {
        if self.buffer.len() > MAX_HEAD { Err(GapReason::TooLarge) } else { Ok(None) }
    }
}

impl Body {
    /// Reads on. Returns true once all of it is there.
    fn read(&mut self, buffer: &mut BytesMut) -> Result<bool, GapReason> {
        loop {
            match self.length {
                Length::Left(left) => {
                    let count = left.min(buffer.len());
                    self.add(buffer, count)?;
                    self.length = Length::Left(left - count);
                    return Ok(left == count);
                }
                Length::UntilEnd => {
                    self.add(buffer, buffer.len())?;
                    return Ok(false);
                }
                Length::Chunk(left) => {
                    let content = left.saturating_sub(2).min(buffer.len());
                    self.add(buffer, content)?;
                    let left = left - content;
                    // The line break, where all of the chunk is there.
                    let ends = if left <= 2 { left.min(buffer.len()) } else { 0 };
                    buffer.advance(ends);
                    if left > ends {
                        self.length = Length::Chunk(left - ends);
                        return Ok(false);
                    }
                    self.length = Length::ChunkSize;
                }
                Length::ChunkSize => {
                    let Some(line) = line(buffer)? else { return Ok(false) };
                    let digits = line[..].split(|byte| *byte == b';').next().unwrap_or_default();
                    let digits = std::str::from_utf8(digits).unwrap_or_default().trim();
                    let size = usize::from_str_radix(digits, 16);
                    let size = size.map_err(|_| GapReason::Unreadable)?;
                    if size > MAX_BODY {
                        return Err(GapReason::TooLarge);
                    }
                    self.length =
                        if size == 0 { Length::Trailers } else { Length::Chunk(size + 2) };
                }
                Length::Trailers => match line(buffer)? {
                    None => return Ok(false),
                    Some(line) if line.is_empty() => return Ok(true),
                    Some(_) => {}
                },
            }
        }
    }

    fn add(&mut self, buffer: &mut BytesMut, count: usize) -> Result<(), GapReason> {
        if self.content.len() + count > MAX_BODY {
            return Err(GapReason::TooLarge);
        }
        self.content.extend_from_slice(&buffer.split_to(count));
        Ok(())
    }
}

fn unbroken(parsed: httparse::Result<usize>) -> Result<Status<usize>, GapReason> {
    parsed.map_err(|_| GapReason::Unreadable)
}

/// Takes a line without its end, once that is there.
fn line(buffer: &mut BytesMut) -> Result<Option<BytesMut>, GapReason> {
    let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
        return if buffer.len() > MAX_LINE { Err(GapReason::Unreadable) } else { Ok(None) };
    };
    let mut line = buffer.split_to(end + 1);
    line.truncate(end);
    if line.last() == Some(&b'\r') {
        line.truncate(end - 1);
    }
    Ok(Some(line))
}

/// The length of a message's body. RFC 9112 section 6.3.
fn length(head: &Head, kind: Kind) -> Result<Length, GapReason> {
    let headers = match head {
        Head::Request(parts) => &parts.headers,
        Head::Response(parts) => &parts.headers,
    };
    if let Head::Response(parts) = head {
        let without = parts.status.is_informational()
            || parts.status == StatusCode::NO_CONTENT
            || parts.status == StatusCode::NOT_MODIFIED;
        if without || kind == (Kind::Responses { may_have_body: false }) {
            return Ok(Length::Left(0));
        }
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_chunked = |coding: &str| coding.to_ascii_lowercase().trim_end().ends_with("chunked");
    if text(http::header::TRANSFER_ENCODING).is_some_and(is_chunked) {
        return Ok(Length::ChunkSize);
    }
    match text(http::header::CONTENT_LENGTH) {
        Some(length) => {
            let length: usize = length.trim().parse().map_err(|_| GapReason::Unreadable)?;
            if length > MAX_BODY { Err(GapReason::TooLarge) } else { Ok(Length::Left(length)) }
        }
        None if kind == Kind::Requests => Ok(Length::Left(0)),
        None => Ok(Length::UntilEnd),
    }
}

fn request_head(parsed: &httparse::Request<'_, '_>) -> Option<Head> {
    let mut request = http::Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = Uri::try_from(parsed.path?).ok()?;
    *request.headers_mut() = header_map(parsed.headers)?;
    Some(Head::Request(Box::new(request.into_parts().0)))
}

fn response_head(parsed: &httparse::Response<'_, '_>) -> Option<Head> {
    let mut response = http::Response::new(());
    *response.status_mut() = StatusCode::from_u16(parsed.code?).ok()?;
    *response.headers_mut() = header_map(parsed.headers)?;
    Some(Head::Response(Box::new(response.into_parts().0)))
}

fn header_map(headers: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bodies of the messages of a stream that comes byte by byte.
    fn bodies(stream: &str, kind: Kind) -> Result<Vec<String>, GapReason> {
        let mut reader = HttpReader::default();
        let mut bodies = Vec::new();
        for byte in stream.bytes() {
            reader.push(&[byte]);
            while let Some((_, body)) = reader.next(kind)? {
                bodies.push(String::from_utf8(body.to_vec()).unwrap());
            }
        }
        bodies.extend(reader.end().map(|(_, body)| String::from_utf8(body.to_vec()).unwrap()));
        Ok(bodies)
    }

    #[test]
    fn messages_are_read_however_their_bytes_come() {
        let responses = Kind::Responses { may_have_body: true };
        for (stream, kind, expected) in [
            (
                "GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
                Kind::Requests,
                &["", ""][..],
            ),
            ("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", Kind::Requests, &["{}"]),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n\
                 2\r\nab\r\n3;x=y\r\ncde\r\n0\r\na: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                Kind::Requests,
                &["abcde", ""],
            ),
            (
                "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\nrest",
                responses,
                &["", "rest"],
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
                Kind::Responses { may_have_body: false },
                &[""],
            ),
        ] {
            assert_eq!(bodies(stream, kind).unwrap(), expected, "{stream}");
        }
    }

    #[test]
    fn what_is_no_http_is_unreadable() {
        for (stream, reason) in [
            ("\x16\x03\x01\x02\x00", GapReason::Unreadable),
            ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", GapReason::Unreadable),
            ("POST / HTTP/1.1\r\ncontent-length: 16777217\r\n\r\n", GapReason::TooLarge),
        ] {
            assert_eq!(bodies(stream, Kind::Requests), Err(reason), "{stream:?}");
        }
    }
}
