//! The boundary between a server and its dialects, without any I/O.
//!
//! A dialect has no socket, no clock, no runtime and no store. It turns frames into requests, and
//! responses and events into frames; the server owns everything else. A [`Dialect`] is one shared
//! value, a [`ServerSession`] is the state of one connection. A dialect that can also play the
//! client gives a [`DialectClient`].
//!
//! Beside the traits the crate has what every JSON dialect needs: [`json`] reads frames, [`field`]
//! tells missing, null and mistyped fields apart, [`errors`] has the table of faults in both
//! directions, [`pending`] the requests of a client, [`known_messages`] and [`placeholders`] what a
//! wire leaves out, [`time`] the forms of timestamps, [`wire_names!`] enumerations of the wire.
//! [`RawValues`] divides streams without delimiters.
//! [`FieldRule`] says where values of which role stand in a dialect's frames, and [`FieldMap`]
//! finds and changes them.
//!
//! Commands, answers, events and faults are those of the crate `tolmach_domain`, which a dialect
//! depends on too.

mod client_tag;
mod dialect;
pub mod errors;
pub mod field;
mod field_map;
mod field_rule;
mod frame;
mod handshake;
pub mod json;
pub mod known_messages;
mod manifest;
mod options;
pub mod pending;
mod pinned;
pub mod placeholders;
mod raw_values;
mod request;
mod session;
pub mod time;
mod translate;
mod wide_id_numbers;
mod wide_ids;
mod wire_names;

pub use client_tag::client_tag;
pub use dialect::{Dialect, DialectClient};
pub use field_map::{FieldMap, FieldValue, Location, Route, Unreadable};
pub use field_rule::{Condition, FieldRole, FieldRule, Part, Place, Sender};
pub use frame::{Close, Frame, FrameError, InvalidReply, Unsupported, Violation, ViolationKind};
pub use handshake::{Handshake, HandshakeRejection, Recognition, websocket_request};
pub use manifest::{
    Capabilities, CloseCodes, DOC, Document, Endpoint, Limits, Manifest, Revision, Transport,
};
pub use options::{Configure, OptionTable, OptionsError, parse_options};
pub use pinned::Pinned;
pub use raw_values::{RawKind, RawPart, RawValues};
pub use request::{Correlation, Incoming, Request, Response};
pub use session::{
    ClientSession, Delivery, ExpectedBody, RenderContext, ServerSession, Subscription, Variant,
};
pub use tolmach_domain::{Credentials, Event};
pub use translate::{Untranslatable, translate_incoming, translate_request};
pub use wide_id_numbers::WideIdNumbers;
pub use wide_ids::{WideIds, stand_in, stand_in_index};
pub use wire_names::WireNames;
