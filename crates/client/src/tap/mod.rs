//! A relay that changes no byte, and the frames that a copy of its bytes makes.

mod budget;
mod conversation;
mod http_reader;
mod inflater;
mod message_reader;
mod relay;
mod value_reader;

pub use conversation::TapEvent;
pub use relay::{Relay, TapObserver, TapTransport};
