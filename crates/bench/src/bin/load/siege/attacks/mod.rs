//! The attacks, by the part of the gateway that they are aimed at.

pub(super) mod accounts;
pub(super) mod connections;
pub(super) mod http;
pub(super) mod requests;
pub(super) mod websocket;
