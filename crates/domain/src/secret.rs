//! Secrets, credentials and the identity that they prove.

use crate::{SessionId, UserId};
use std::fmt;

/// A password or a token in the clear. `Debug` hides it, and there is no `Display`, so that it does
/// not reach a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to hash it or to send it to the peer that it belongs to.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// The credentials of a request, as its wire has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// None: for requests that need no login.
    Nothing,
    /// The identity of the connection (from a login, or a token at the handshake).
    Connection,
    /// An opaque session token.
    Token(Secret),
    /// An opaque session token that must belong to this user.
    TokenOf(UserId, Secret),
    /// A signed access token (JWT).
    Bearer(Secret),
}

/// The identity that credentials prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The session of the credentials; `None` for a token of another issuer.
    pub session: Option<SessionId>,
}

/// The authority that a request claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authority {
    /// A user's: membership decides.
    #[default]
    Member,
    /// An administrator's: refused unless the account has the right.
    Administrator,
}
