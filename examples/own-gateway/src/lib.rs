//! A gateway of one's own: a dialect that Tolmach does not have, and what stands behind it.

mod backend;
mod dialect;

pub use backend::Backend;
pub use dialect::TinyChat;
