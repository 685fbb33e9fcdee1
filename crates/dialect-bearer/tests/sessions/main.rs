//! Sessions of both sides, driven directly.

mod client;
mod handshakes;
mod requests;
mod sockets;
mod support;
