//! HTTP: the server's own pages, the dialects whose frames are HTTP requests, and WebSocket
//! handshakes.

mod accounts;
mod admin;
mod body;
mod exchange;
mod own_pages;
mod response_budget;
mod responses;
mod service;
mod upgrade;

pub(crate) use admin::{serve_admin_request, serve_without_place};
pub(crate) use response_budget::ResponseBudget;
pub(crate) use service::serve_request;
