//! The boundary between the gateway and the dialects, without any I/O.
//!
//! A dialect has no socket, no clock, no runtime and no store. It turns frames into lines and lines
//! into frames; the gateway owns everything else. A [`Dialect`] is one shared value, a [`Session`]
//! is what one connection remembers.

mod frame;
pub mod json;
mod line;
mod manifest;
mod session;
mod translate;

pub use frame::*;
pub use line::*;
pub use manifest::*;
pub use session::*;
pub use translate::*;

/// The name of a revision: a way of speaking a dialect that differs on the wire.
pub type Revision = &'static str;

/// The revision that a dialect's document describes: always the default.
pub const DOC: Revision = "doc";

/// One wire format. One shared value serves all connections.
pub trait Dialect: Send + Sync + 'static {
    /// Who this is, where it answers and how it is recognised. Always the same value.
    fn manifest(&self) -> &Manifest;

    /// Whether this opening is this dialect's.
    ///
    /// - Looks only at what it is given, and only once per connection.
    /// - Errs towards [`Recognition::No`]: a frame that two dialects could claim belongs to
    ///   neither.
    /// - Never panics, whatever the bytes.
    fn recognise(&self, opening: &Opening<'_>) -> Recognition;

    /// Starts what one connection remembers.
    ///
    /// - For [`Side::Server`] the opening is a peer's: whatever in it can be refused without asking
    ///   the engine is refused.
    /// - For [`Side::Client`] the opening is our own request to a server.
    /// - The session is given the first frame separately, through [`Session::decode`].
    fn open(&self, opening: &Opening<'_>, side: Side) -> Result<Box<dyn Session>, Refusal>;

    /// Where a client connects to say `ask`: the request of a WebSocket handshake (with its
    /// `Upgrade` header), or any request at all where HTTP requests are the frames. Headers carry
    /// the ask's proof where this wire proves it there.
    fn dial(&self, ask: &Ask) -> Result<http::request::Parts, Loss>;

    /// Renders a notice in one of the variants that [`Session::delivery`] names.
    ///
    /// - The same notice and variant give the same bytes, whoever hears them and however often. A
    ///   dialect may remember what earlier notices said, as long as that holds.
    fn render(&self, notice: &Notice, variant: Variant) -> Result<Frame, Loss>;
}
