//! Openings of connections.

use crate::{Frame, Revision, WideIdNumbers};
use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Uri};
use std::sync::Arc;
use tolmach_domain::ConnectionId;

/// The deepest nesting of a frame where the server sets no other.
const DEFAULT_JSON_DEPTH: usize = 64;

/// The opening of a connection, before its first request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Handshake<'a> {
    /// The HTTP request, or the request that a WebSocket handshake began with. `None` on raw TCP.
    pub request: Option<&'a http::request::Parts>,
    /// The first frame, where the dialect is chosen by it.
    pub first_frame: Option<&'a Frame>,
    /// The number of the connection.
    pub connection: ConnectionId,
    /// True if the request asks for a WebSocket.
    pub websocket: bool,
    /// True if the connection does not leave this machine: the server listens on a loopback
    /// address, and the client's own address is one too. False where that is not known.
    pub local: bool,
    /// The revision that the connection is to use, where it is decided already.
    pub revision: Option<Revision>,
    /// The deepest nesting of a frame that the server accepts.
    pub max_json_depth: usize,
    /// True if a namespace of external ids belongs to the dialect: its sessions may hand on ids of
    /// 128 bits in [`crate::Request::wide_ids`].
    pub has_external_ids: bool,
    /// The numbers that sessions read ids of 128 bits as, and write such ids of: on the client's
    /// side, and for tools. Not together with external ids.
    pub wide_id_numbers: Option<&'a Arc<WideIdNumbers>>,
}

impl<'a> Handshake<'a> {
    /// The handshake of a connection of which only the number is known.
    pub fn new(connection: ConnectionId) -> Self {
        Self {
            request: None,
            first_frame: None,
            connection,
            websocket: false,
            local: false,
            revision: None,
            max_json_depth: DEFAULT_JSON_DEPTH,
            has_external_ids: false,
            wide_id_numbers: None,
        }
    }

    /// With an HTTP request. It is one for a WebSocket where its `Upgrade` header says so.
    pub fn request(mut self, request: &'a http::request::Parts) -> Self {
        self.request = Some(request);
        self.websocket = request
            .headers
            .get(UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
        self
    }

    /// Says whether it opens a WebSocket, where the `Upgrade` header does not: over HTTP/2.
    pub fn websocket(mut self, websocket: bool) -> Self {
        self.websocket = websocket;
        self
    }

    /// Says whether the connection does not leave this machine.
    pub fn local(mut self, local: bool) -> Self {
        self.local = local;
        self
    }

    /// With the first frame.
    pub fn first_frame(mut self, frame: &'a Frame) -> Self {
        self.first_frame = Some(frame);
        self
    }

    /// With the revision that was recognised or pinned.
    pub fn revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// With another bound on the nesting of frames.
    pub fn max_json_depth(mut self, depth: usize) -> Self {
        self.max_json_depth = depth;
        self
    }

    /// Says whether a namespace of external ids belongs to the dialect.
    pub fn external_ids(mut self, has_external_ids: bool) -> Self {
        self.has_external_ids = has_external_ids;
        self
    }

    /// With numbers in the place of ids of 128 bits.
    pub fn wide_id_numbers(mut self, numbers: &'a Arc<WideIdNumbers>) -> Self {
        self.wide_id_numbers = Some(numbers);
        self
    }
}

/// The answer to the question whether a handshake is a dialect's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognition {
    /// Not this dialect, or not for certain.
    No,
    /// This dialect, in this revision.
    Certain(Revision),
}

/// A connection is rejected at its opening.
#[derive(Debug, Clone)]
pub struct HandshakeRejection {
    /// The response to the HTTP request, or to the WebSocket handshake.
    pub response: Box<http::Response<Bytes>>,
}

impl From<http::Response<Bytes>> for HandshakeRejection {
    fn from(response: http::Response<Bytes>) -> Self {
        Self { response: Box::new(response) }
    }
}

/// The request of a WebSocket handshake for a path, without the key and the host, which the
/// transport adds. RFC 6455 section 4.1.
pub fn websocket_request(path: &'static str) -> http::request::Parts {
    let mut request = http::Request::new(());
    *request.uri_mut() = Uri::from_static(path);
    for (name, value) in
        [(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13")]
    {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request.into_parts().0
}
