//! Password hashes.

use super::PortError;
use async_trait::async_trait;
use tolmach_domain::Secret;

/// Hashes passwords with a slow hash, off the runtime's threads.
#[async_trait]
pub trait Passwords: Send + Sync + 'static {
    /// A salted hash.
    async fn hash(&self, password: &Secret) -> Result<String, PasswordError>;

    /// True if `hash` is this password's. `None` is false after the same time, so that the duration
    /// does not tell whether an account exists.
    async fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool, PasswordError>;
}

/// Error of [`Passwords`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The queue of passwords to hash is full.
    #[error("too many passwords are being checked")]
    Busy,
    /// The stored hash is malformed, or hashing failed.
    #[error("the password could not be checked")]
    Failed(#[source] PortError),
}
