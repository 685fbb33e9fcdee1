//! Openings of connections.

use http::request::Parts;
use std::sync::Arc;
use tolmach_dialect::{
    ClientSession, Correlation, Dialect, DialectClient, Handshake, Request, ServerSession,
    WideIdNumbers,
};
use tolmach_domain::{Command, ConnectionId, Credentials, Secret, UserId};

/// The number of a connection, and the numbers of the ids of 128 bits that all connections know.
pub(super) type Numbers<'a> = (u64, &'a Arc<WideIdNumbers>);

/// A request that opens a connection, and whether it opens a WebSocket.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    /// The head of the request.
    pub(super) request: Parts,
    /// True for a WebSocket, false for one exchange of HTTP.
    pub(super) websocket: bool,
}

impl Opening {
    /// The opening by a request, which says itself whether it asks for a WebSocket.
    pub(super) fn new(request: Parts) -> Self {
        let websocket = Handshake::new(ConnectionId(0)).request(&request).websocket;
        Self { request, websocket }
    }

    /// The opening of a WebSocket of a client who has a token, for frames that were captured
    /// without theirs. `None` if all requests of the dialect are HTTP.
    pub(super) fn usual(client: &dyn DialectClient, user: UserId) -> Option<Self> {
        let token = Secret::new("token");
        let credentials = [
            Credentials::Bearer(token.clone()),
            Credentials::TokenOf(user, token.clone()),
            Credentials::Token(token),
            Credentials::Connection,
        ];
        let command = Command::ListFlows { limit: None, offset: 0, members: false };
        let dial = |credentials: Credentials| {
            let request = Request::new(Correlation::NONE, credentials, command.clone());
            client.dial(&request).ok().map(Opening::new)
        };
        credentials.into_iter().filter_map(dial).find(|opening| opening.websocket)
    }

    fn handshake<'a>(&'a self, (number, wide_ids): Numbers<'a>) -> Handshake<'a> {
        Handshake::new(ConnectionId(number))
            .wide_id_numbers(wide_ids)
            .request(&self.request)
            .websocket(self.websocket)
            .local(true)
    }

    /// Starts the server's side; `None` if it rejects the opening.
    pub(super) fn accept(
        &self,
        dialect: &dyn Dialect,
        numbers: Numbers<'_>,
    ) -> Option<Box<dyn ServerSession>> {
        dialect.accept(&self.handshake(numbers)).ok()
    }

    /// Starts the client's side; `None` if it rejects the opening.
    pub(super) fn connect(
        &self,
        client: &dyn DialectClient,
        numbers: Numbers<'_>,
    ) -> Option<Box<dyn ClientSession>> {
        client.connect(&self.handshake(numbers)).ok()
    }
}
