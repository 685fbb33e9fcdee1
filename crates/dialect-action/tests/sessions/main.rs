//! Both sides of a connection, through the public boundary alone.

mod client;
mod handshake;
mod peers;
mod recognition;
mod rooms;
mod server;
mod values;
