//! Opaque tokens and their hashes.

use crate::Engine;
use crate::ports::TokenHash;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use tolmach_domain::Secret;

impl Engine {
    /// A new opaque token: 256 random bits as 64 hexadecimal digits.
    pub(crate) fn new_token(&self) -> Secret {
        Secret::new(self.random_hex::<32>())
    }

    /// `N` random bytes as lower-case hexadecimal digits.
    pub(crate) fn random_hex<const N: usize>(&self) -> String {
        let mut bytes = [0; N];
        self.ports.entropy.fill(&mut bytes);
        bytes.iter().fold(String::with_capacity(2 * N), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        })
    }
}

/// The form in which a token is stored.
pub(crate) fn hash_token(token: &Secret) -> TokenHash {
    TokenHash(Sha256::digest(token.expose().as_bytes()).into())
}
