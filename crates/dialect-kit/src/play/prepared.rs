//! A request that is about to reach the server.

use crate::fixtures::Persona;
use crate::play::flow_states::FlowStates;
use crate::play::server_side::ServerSide;
use http::request::Parts;
use tolmach_dialect::{ClientSession, Frame};
use tolmach_domain::ConnectionId;

/// Both sides of a connection just before the server decodes a frame.
pub(crate) struct PreparedRequest {
    /// The user of the connection.
    pub(crate) persona: &'static Persona,
    /// The number of the connection.
    pub(crate) id: ConnectionId,
    /// The request that opened the connection.
    pub(crate) opening: Parts,
    /// True for a WebSocket.
    pub(crate) websocket: bool,
    /// The client's session, which has encoded the request; `None` where the dialect has no client.
    pub(crate) client: Option<Box<dyn ClientSession>>,
    /// The server's side, which has decoded everything before it.
    pub(crate) server: ServerSide,
    /// The members of flows.
    pub(crate) flows: FlowStates,
    /// The frame that carries the request; `None` where the handshake itself makes it.
    pub(crate) frame: Option<Frame>,
}
