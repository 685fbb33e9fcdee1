//! A server of another dialect, and the client's side of its wire.

use http::Uri;
use http::request::Parts;
use std::sync::Arc;
use tolmach_client::{Endpoint, Trust};
use tolmach_dialect::{ClientSession, Dialect, Handshake, Request, Transport, WideIdNumbers};
use tolmach_domain::{ConnectionId, Credentials};

/// A server, and the dialect that it serves.
#[derive(Clone)]
pub struct Wire {
    /// The address. The path of its URL takes the place of the dialect's own for WebSockets of one
    /// path, and precedes the dialect's paths where HTTP requests are its frames.
    pub endpoint: Endpoint,
    /// The certificates that it is trusted by.
    pub trust: Trust,
    /// The dialect, in the one revision that the server has.
    pub dialect: Arc<dyn Dialect>,
}

impl Wire {
    /// The request that a client connects with in order to make `request`; `None` if this wire has
    /// none.
    pub(crate) fn dial(&self, request: &Request) -> Option<Parts> {
        self.placed(self.dialect.client()?.dial(request).ok()?)
    }

    /// The request of the WebSocket that only receives events; `None` if this wire has none.
    pub(crate) fn listen(&self, credentials: &Credentials) -> Option<Parts> {
        self.placed(self.dialect.client()?.listen(credentials)?)
    }

    /// The client's side of a connection that `head` opened. `numbers` are those of the server's
    /// ids of 128 bits.
    pub(crate) fn connect(
        &self,
        head: &Parts,
        connection: ConnectionId,
        numbers: &Arc<WideIdNumbers>,
    ) -> Option<Box<dyn ClientSession>> {
        let handshake = Handshake::new(connection).request(head).wide_id_numbers(numbers);
        self.dialect.client()?.connect(&handshake).ok()
    }

    /// True if a server of this wire recognises a message that it got before.
    pub(crate) fn knows_repeated_messages(&self) -> bool {
        self.dialect.client().is_some_and(|client| client.keys_messages())
    }

    /// The request with its path below that of the server's URL.
    fn placed(&self, mut head: Parts) -> Option<Parts> {
        let Some(own) = self.endpoint.path() else { return Some(head) };
        let has_http = |endpoint: &tolmach_dialect::Endpoint| endpoint.transport == Transport::Http;
        let is_prefix = self.dialect.manifest().endpoints.iter().any(has_http);
        let dialled = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        head.uri = if is_prefix {
            format!("{}{dialled}", own.trim_end_matches('/')).parse().ok()?
        } else {
            own.parse::<Uri>().ok()?
        };
        Some(head)
    }
}
