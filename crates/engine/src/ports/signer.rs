//! Access tokens.

use super::PortError;
use tolmach_domain::{Secret, SessionId, Timestamp, UserId};

/// Signs and verifies access tokens.
pub trait Signer: Send + Sync + 'static {
    /// A signed token, unique by `nonce`.
    fn sign(&self, claims: &AccessClaims, nonce: [u8; 16]) -> Result<Secret, PortError>;

    /// The claims of a token, if its signature is valid and it has not expired at `now`.
    fn verify(&self, token: &Secret, now: Timestamp) -> Option<AccessClaims>;
}

/// The claims of an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// The user.
    pub user: UserId,
    /// The session that the token belongs to; `None` for a token of another issuer.
    pub session: Option<SessionId>,
    /// The time at which it was signed.
    pub issued_at: Timestamp,
    /// The time at which it expires.
    pub expires_at: Timestamp,
}
