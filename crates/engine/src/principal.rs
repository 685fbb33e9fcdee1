//! The result of authentication.

use tolmach_domain::{Identity, Timestamp};

/// An authenticated caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The user and the session.
    pub identity: Identity,
    /// The time at which the credentials expire.
    pub expires_at: Timestamp,
}
