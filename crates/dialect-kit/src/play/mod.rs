//! Plays stories and scripts through the sessions of a dialect, without any I/O.
//!
//! The kit is the server of both: it keeps the identity of every connection, answers requests and
//! delivers events.

mod client_side;
mod connection;
mod connections;
mod credentials;
mod dialect_pair;
mod failure;
mod flow_states;
mod handshake;
mod prepared;
mod recording;
mod replay;
mod responses;
mod scripts;
mod server_side;
mod wire_entry;

pub(crate) use client_side::{decode_reply, encode_request};
pub(crate) use connections::Connections;
pub(crate) use dialect_pair::DialectPair;
pub(crate) use failure::{Defect, PlayError, Property};
pub(crate) use flow_states::FlowStates;
pub(crate) use handshake::{accept, is_websocket, parts_of};
pub(crate) use prepared::PreparedRequest;
pub(crate) use recording::{RecordedRender, RecordedStep, Recording, record};
pub(crate) use replay::{Replay, event};
pub(crate) use responses::{Marker, fit_grant, outcome_for, request_of, step_time};
pub(crate) use scripts::{play_script, prepare_script, script_points, violates};
pub(crate) use server_side::{Delivered, ServerSide, SharedFrame};
pub(crate) use wire_entry::WireEntry;
