//! Clients of any dialect before a server of another.
//!
//! A [`Bridge`] takes the place of the engine in a [`tolmach_server::Server`]: requests are encoded
//! by the client's side of the upstream's dialect, answers and events are decoded by it. The server
//! keeps everything that it does for its own engine.

mod accounts;
mod bridge;
mod caches;
mod completion;
mod deliveries;
mod directory;
mod forms;
mod link;
mod metrics;
mod mirror;
mod mirrored_answers;
mod mirrored_ids;
mod options;
mod requests;
mod session;
mod sessions;
mod shared;
mod sync;
mod transport;
mod wire;

pub use bridge::Bridge;
pub use options::BridgeOptions;
pub use wire::Wire;
