//! Raw TCP: the JSON values of one dialect, back to back.
//!
//! A stream of values is read and written as the WebSocket of a [`crate::connection`]: the bounds,
//! rates, deadlines and budgets of a WebSocket are then those of a TCP connection.

mod entrance;
mod framing;
mod value_stream;

pub(crate) use entrance::TcpEntrance;
#[cfg(feature = "fuzzing")]
pub(crate) use framing::Framing;
