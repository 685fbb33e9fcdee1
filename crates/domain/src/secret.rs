//! Passwords and tokens, which must not reach a log.

use crate::{SessionId, UserId};
use std::fmt;

/// A password or a token in the clear. `Debug` hides it; there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps what must stay secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for hashing it or writing it to the peer that it belongs to.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// How a request proves who asks, as the wire carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing is offered: only what anybody may do.
    Nothing,
    /// Whoever this connection has proven to be before (a login, or a token at the handshake).
    Connection,
    /// An opaque session token.
    Token(Secret),
    /// An opaque session token that must belong to this user.
    TokenOf(UserId, Secret),
    /// A signed access token (JWT).
    Bearer(Secret),
}

/// Who a proof proved to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The session that the proof belongs to; `None` for a token that was minted elsewhere.
    pub session: Option<SessionId>,
}

/// In which right something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authority {
    /// As an ordinary user: membership decides.
    #[default]
    Member,
    /// As an administrator: refused unless the account is one.
    Administrator,
}
