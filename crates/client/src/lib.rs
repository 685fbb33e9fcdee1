//! A client of any dialect: it makes canonical requests over real connections, through the client
//! side of the dialect.
//!
//! It knows no dialect. [`tolmach_dialect::DialectClient`] and its sessions determine the address
//! of a request, the place of its credentials and the meaning of a response, so this client serves
//! every dialect that has a client side.

mod client;
mod credentials;
mod error;
mod net;
mod observer;
mod outcome;
mod socket;

pub use client::Client;
pub use credentials::credentials_of;
pub use error::{Cause, ClientError};
pub use observer::{Direction, FrameObserver};
pub use outcome::{Notification, Outcome};
