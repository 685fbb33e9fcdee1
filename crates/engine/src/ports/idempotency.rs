//! Keys that make a retry harmless.

use std::time::Duration;

/// Period in which a repeated key of the same user creates nothing.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// Key of a request to create something, chosen by the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key; the same one of two users is two keys.
    pub key: String,
    /// SHA-256 of the request, so that another request with the same key is found out.
    pub fingerprint: [u8; 32],
}
