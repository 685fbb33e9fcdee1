//! Proptest strategies for everything that the engine may accept, not only what the stories have.
//!
//! Every value that may be unknown is `None` now and then.

mod events;
mod requests;
mod responses;
mod values;

pub use events::{event, event_kind};
pub use requests::{command, request};
pub use responses::{answer, fault, response};
pub use values::{
    content, flow, flow_id, login, message, message_id, name, text, timestamp, user, user_id,
    user_summary,
};
