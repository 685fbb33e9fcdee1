//! WebSocket connections.

#[expect(clippy::module_inception, reason = "the connection itself; the other files are its parts")]
mod connection;
mod end;
mod inbound;
mod liveness;
mod pipeline;
mod session;
mod shared_path;
mod step;
#[cfg(test)]
mod tests;

pub(crate) use connection::{Connection, websocket_config};
pub(crate) use inbound::Inbound;
pub(crate) use session::ConnectionSession;
pub(crate) use shared_path::serve_shared;
