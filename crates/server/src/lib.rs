//! The server of a chat gateway, as a library: a binary of any project can embed it with dialects
//! of its own.
//!
//! [`Server::builder`] takes an engine, the bus that the engine's store publishes to, and dialects.
//! The server owns all I/O of the dialects: listeners, handshakes, connections, the delivery of
//! events, the drain at shutdown, metrics. It knows no database, no bus, no configuration file and
//! no dialect by name.
//!
//! The way of a frame: [`Server`] accepts a connection, the `http` module finds its route, a
//! `connection` decodes its frames and submits their requests to the engine. The way of an event:
//! the `hub` receives it from the bus, and pushes it to the send queues of its subscribers, whose
//! sending halves encode it and write it to their sockets.

mod address_group;
mod address_turns;
mod backlog;
mod broadcast;
mod builder;
mod client_route;
mod connection;
mod drain;
mod dual;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod http_connection;
mod hub;
mod identity;
mod ledger;
mod lifecycle;
mod listener;
mod memory_budget;
mod metrics;
mod options;
mod pages;
mod pinned;
mod pins;
mod places;
mod proxies;
mod proxy_protocol;
mod recording;
mod reload;
mod request_copy;
mod request_head;
mod routes;
mod send_half;
mod send_queue;
mod served_dialect;
mod server;
mod serving_rules;
mod state;
mod stream;
mod submission;
mod sync;
mod tcp;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod test_upstream;
mod tls;
#[cfg(test)]
#[path = "../tests/toy/mod.rs"]
mod toy;
mod traffic;
mod upstream;
mod user_agent;
mod wire_ids;
mod write_buffer;
mod write_timeout;

pub use builder::{BuildError, ServerBuilder};
pub use metrics::{Metrics, MetricsError};
pub use options::{
    DialectOptions, HttpOptions, Keepalive, LedgerAddresses, LedgerOptions, Limits, ServerOptions,
    Shutdown, TcpOptions,
};
pub use pins::{Pin, UnknownRevision};
pub use recording::{ConnectionRecorder, FrameRecorder, RecordedConnection, RecordedTransport};
pub use reload::DialectReloader;
pub use routes::{RouteError, Routes, check_paths};
pub use server::Server;
pub use tls::{Tls, TlsError, TlsOptions};
pub use upstream::{
    EventSink, MirrorSlot, MirroredRequest, Upstream, UpstreamClient, UpstreamConnection,
    UpstreamOutcome,
};
