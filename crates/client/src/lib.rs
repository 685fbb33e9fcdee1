//! A client of any dialect: it makes canonical requests over real connections, through the client
//! side of the dialect.
//!
//! It knows no dialect. [`tolmach_dialect::DialectClient`] and its sessions determine the address
//! of a request, the place of its credentials and the meaning of a response, so this client serves
//! every dialect that has a client side.

mod client;
mod credentials;
mod endpoint;
mod error;
mod http_connection;
mod link;
mod net;
mod observer;
mod outcome;
mod socket;
pub mod tap;
mod value_buffer;
mod value_socket;
mod websocket;

pub use client::Client;
pub use credentials::credentials_of;
pub use endpoint::{Endpoint, InvalidEndpoint, Stream, Trust, TrustError};
pub use error::{Cause, ClientError};
pub use http_connection::{ExchangeError, HttpConnection};
pub use link::{Link, LinkArrival, LinkContent, LinkTarget};
pub use observer::{Direction, FrameObserver};
pub use outcome::{Notification, Outcome};
pub use value_socket::ValueSocket;
pub use websocket::{Opened, Received, WebSocket};
