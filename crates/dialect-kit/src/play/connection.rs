//! One connection of a story.

use crate::fixtures::Persona;
use crate::play::client_side::encode_request;
use crate::play::dialect_pair::DialectPair;
use crate::play::failure::{Defect, PlayError};
use crate::play::flow_states::FlowStates;
use crate::play::handshake::{accept, is_websocket, parts_of};
use crate::play::prepared::PreparedRequest;
use crate::play::server_side::ServerSide;
use http::request::Parts;
use tolmach_dialect::{ClientSession, Frame, Handshake, HandshakeRejection, Request};
use tolmach_domain::{ConnectionId, Timestamp};

/// One connection with both sides.
pub(crate) struct Connection {
    /// The user.
    pub(crate) persona: &'static Persona,
    /// The number.
    pub(crate) id: ConnectionId,
    /// The request that opened it.
    pub(crate) opening: Parts,
    /// True for a WebSocket, false for an HTTP exchange.
    pub(crate) websocket: bool,
    /// True once the server has closed it.
    pub(crate) closed: bool,
    /// The client's session.
    pub(crate) client: Box<dyn ClientSession>,
    /// The server's side.
    pub(crate) server: ServerSide,
}

impl Connection {
    /// Opens the connection that is dialled for a request; gives the frames of the request too.
    pub(crate) fn open(
        pair: DialectPair<'_>,
        id: ConnectionId,
        persona: &'static Persona,
        opening: Parts,
        (now, request): (Timestamp, &Request),
    ) -> Result<(Self, Vec<Frame>), PlayError> {
        let websocket = is_websocket(&opening);
        let name = request.command.name();
        let rejected = |side: &str, rejection: &HandshakeRejection| {
            Defect::round_trip(format!(
                "the {side} rejects the connection that is dialled for {name}: {}",
                rejection.response.status()
            ))
        };
        let mut client = pair
            .client
            .connect(&Handshake::new(id).request(&opening))
            .map_err(|rejection| rejected("client", &rejection))?;
        let frames = encode_request(client.as_mut(), now, request)?;
        let opening = match (&frames[..], websocket) {
            (_, true) => opening,
            ([Frame::Request(frame)], false) => parts_of(frame),
            (other, false) => {
                let count = other.len();
                return Err(Defect::round_trip(format!(
                    "{name} dials plain HTTP and encodes {count} frames, not one request"
                ))
                .into());
            }
        };
        let session = accept(pair.dialect, &opening, None, id)
            .map_err(|rejection| rejected("server", &rejection))?;
        let server = ServerSide::new(pair.dialect, session, persona);
        let closed = false;
        Ok((Self { persona, id, opening, websocket, closed, client, server }, frames))
    }

    /// The connection on its own, with a frame that the client has encoded.
    pub(crate) fn prepared(self, flows: FlowStates, frame: Option<Frame>) -> PreparedRequest {
        let Self { persona, id, opening, websocket, client, server, .. } = self;
        let client = Some(client);
        PreparedRequest { persona, id, opening, websocket, client, server, flows, frame }
    }
}
