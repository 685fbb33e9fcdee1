//! The form of the inputs: records, each a byte for its kind and its content, separated by
//! [`SEPARATOR`]. Frames stand in them as they go over the wire, so that mutations meet the wire.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use tolmach_dialect::Frame;

/// ASCII's record separator, which JSON does not hold outside strings, nor unescaped in them.
pub(crate) const SEPARATOR: u8 = 0x1e;

/// The most records of an input that are read.
const MAX_RECORDS: usize = 256;

/// The most bytes of an input that are read.
const MAX_BYTES: usize = 1 << 20;

/// The first byte of a record.
pub(crate) mod kind {
    /// Opens a connection: the head of an HTTP request, and its body.
    pub(crate) const OPEN: u8 = b'@';
    /// Opens a raw TCP stream.
    pub(crate) const STREAM: u8 = b'~';
    /// Chooses the revision of an input, by its number.
    pub(crate) const REVISION: u8 = b'#';
    /// A text message of the peer; a binary one if it is no UTF-8.
    pub(crate) const TEXT: u8 = b'>';
    /// A binary message of the peer.
    pub(crate) const BINARY: u8 = b'=';
    /// A value of a raw stream.
    pub(crate) const VALUE: u8 = b':';
    /// An HTTP response of the peer.
    pub(crate) const RESPONSE: u8 = b'/';
    /// Refuses the requests of the next frame, with the fault of this number.
    pub(crate) const REFUSE: u8 = b'x';
    /// An event, by its number.
    pub(crate) const EVENT: u8 = b'*';
    /// Ends the connection's login.
    pub(crate) const END: u8 = b'-';
    /// A request of the client under test, by its number.
    pub(crate) const REQUEST: u8 = b'?';
}

/// The records of an input.
pub(crate) fn records(input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    input[..input.len().min(MAX_BYTES)]
        .split(|byte| *byte == SEPARATOR)
        .take(MAX_RECORDS)
        .filter_map(|record| record.split_first().map(|(kind, content)| (*kind, content)))
}

/// The records of an input, where they have no kinds.
#[cfg(feature = "gateway")]
pub(crate) fn values(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == SEPARATOR).take(MAX_RECORDS)
}

/// An input made of records.
pub(crate) fn joined(records: &[Vec<u8>]) -> Vec<u8> {
    records.join(&SEPARATOR)
}

/// The number that a record holds, as far as it holds one.
pub(crate) fn number(content: &[u8]) -> usize {
    let text = std::str::from_utf8(content).unwrap_or_default();
    text.trim().parse().unwrap_or_else(|_| content.first().map_or(0, |byte| usize::from(*byte)))
}

/// The message of a record, if its kind is that of one.
pub(crate) fn message(kind: u8, content: &[u8]) -> Option<Frame> {
    let bytes = Bytes::copy_from_slice(content);
    match kind {
        kind::TEXT if std::str::from_utf8(content).is_ok() => Some(Frame::Text(bytes)),
        kind::TEXT | kind::BINARY => Some(Frame::Binary(bytes)),
        kind::VALUE => Some(Frame::Value(bytes)),
        _ => None,
    }
}

/// A request, as far as its head is one; the path is `/` and the method `GET` otherwise.
pub(crate) fn request(content: &[u8]) -> Request<Bytes> {
    let (first, headers, body) = message_parts(content);
    let mut words = first.splitn(2, |byte| *byte == b' ');
    let method = words.next().and_then(|word| Method::from_bytes(word).ok());
    let address = words.next().and_then(|word| Uri::try_from(word).ok());
    let mut request = Request::new(body);
    *request.method_mut() = method.unwrap_or_default();
    *request.uri_mut() = address.unwrap_or_default();
    *request.headers_mut() = headers;
    request
}

/// The head of a request.
pub(crate) fn parts(request: &Request<Bytes>) -> Parts {
    request.clone().into_parts().0
}

/// A response, as far as its head is one; 200 otherwise.
pub(crate) fn response(content: &[u8]) -> Response<Bytes> {
    let (first, headers, body) = message_parts(content);
    let status = first.split(|byte| *byte == b' ').next();
    let mut response = Response::new(body);
    *response.status_mut() =
        status.and_then(|status| StatusCode::from_bytes(status).ok()).unwrap_or_default();
    *response.headers_mut() = headers;
    response
}

/// The first line, the headers and the body.
fn message_parts(content: &[u8]) -> (&[u8], HeaderMap, Bytes) {
    let end = content.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&content[..end], &content[end + 2..]),
        None => (content, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (first, headers, Bytes::copy_from_slice(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_far_as_it_is_one() {
        let read = request(b"POST /a?b=c\nContent-Type: text/plain\nbad line\n\x01: x\n\n{}\n\n");
        assert_eq!((read.method().as_str(), read.uri().to_string()), ("POST", "/a?b=c".into()));
        assert_eq!(read.headers().len(), 1);
        assert_eq!(read.body().as_ref(), b"{}\n\n");
        assert_eq!(request(b"\xff \xff").uri(), "/");
        assert_eq!(response(b"404 Not Found\n\nx").status(), 404);
    }

    #[test]
    fn records_are_read_as_they_were_joined() {
        let input = joined(&[b"@GET /".to_vec(), Vec::new(), b"*12".to_vec()]);
        let read: Vec<_> = records(&input).collect();
        assert_eq!(read, [(kind::OPEN, &b"GET /"[..]), (kind::EVENT, b"12")]);
        assert_eq!([number(b"12"), number(b"A"), number(b"")], [12, 65, 0]);
    }
}
