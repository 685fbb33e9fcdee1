//! The revisions of the dialect.

use tolmach_dialect::{DOC, Handshake, Revision};

/// The mobile client of Swiftly: its messages in rooms name the author and the time twice, by the
/// document's keys and by its own. Nothing in its requests tells it from others: a connection has
/// it by configuration.
pub(crate) const SWIFTLY_MOBILE: Revision = "swiftly-mobile";

/// The revision of a connection.
pub(crate) fn of(handshake: &Handshake<'_>) -> Revision {
    match handshake.revision {
        Some(SWIFTLY_MOBILE) => SWIFTLY_MOBILE,
        _ => DOC,
    }
}
