//! Password hashes.

use super::PortError;
use crate::address_group::address_group;
use async_trait::async_trait;
use std::net::IpAddr;
use tolmach_domain::Secret;

/// Hashes passwords with a slow hash, off the runtime's threads.
///
/// - Of one class, addresses take turns; work of one address is done in the order of its arrival.
/// - Registrations do not take all the capacity, so that logins go on while many register.
/// - The number of passwords that wait is bounded. Where it is reached, the address with the most
///   of them is refused first.
#[async_trait]
pub trait Passwords: Send + Sync + 'static {
    /// A salted hash.
    async fn hash(&self, password: &Secret, origin: HashOrigin) -> Result<String, PasswordError>;

    /// Compares a password with a hash. `None` is [`PasswordCheck::Wrong`] after the time that a
    /// hash of [`hash`](Self::hash) takes, so that the duration does not tell whether an account
    /// exists.
    async fn verify(
        &self,
        password: &Secret,
        hash: Option<&str>,
        origin: HashOrigin,
    ) -> Result<PasswordCheck, PasswordError>;

    /// Refuses a hash that [`verify`](Self::verify) cannot read. The error is a sentence for
    /// operators.
    fn check_hash(&self, hash: &str) -> Result<(), String>;
}

/// The result of a comparison of a password with a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCheck {
    /// The hash is another password's, or there is none.
    Wrong,
    /// The hash is this password's.
    Right,
    /// The hash is this password's and has the form of another server: one of
    /// [`Passwords::hash`] has to replace it.
    RightByLegacyHash,
}

impl PasswordCheck {
    /// True if the hash is this password's.
    pub fn is_right(self) -> bool {
        self != Self::Wrong
    }
}

/// The origin of a password to hash, by which its turn is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashOrigin {
    /// The class of the request.
    pub class: HashClass,
    /// The address that counts as one source, see [`address_group`](crate::address_group()); `None`
    /// if it is not known.
    pub source: Option<IpAddr>,
}

impl HashOrigin {
    /// The origin of a request from an address.
    pub fn new(class: HashClass, address: Option<IpAddr>) -> Self {
        Self { class, source: address.map(address_group) }
    }
}

/// The class of a request that hashes a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashClass {
    /// A login, or another proof of an existing account.
    Login,
    /// The creation of an account.
    Registration,
}

/// Error of [`Passwords`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many passwords wait to be hashed.
    #[error("too many passwords are being checked")]
    Busy,
    /// The stored hash is malformed, or hashing failed.
    #[error("the password could not be checked")]
    Failed(#[source] PortError),
}
