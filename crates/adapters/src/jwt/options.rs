//! Options of a key ring.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tolmach_domain::Secret;

/// The keys that access tokens are signed and verified with.
#[derive(Debug, Clone)]
pub struct KeyRingOptions {
    /// The secret of HS256 tokens that name no key; at least 32 bytes are advised. It signs unless
    /// one of `keys` does.
    pub secret: Option<Secret>,
    /// Keys with a name (`kid`).
    pub keys: Vec<KeyOptions>,
    /// The path of a JWK Set (RFC 7517 section 5) with keys that only verify.
    pub jwks: Option<PathBuf>,
    /// The longest lifetime of a token of another issuer, which is one that names no session here.
    /// Default: 7 days.
    pub max_token_lifetime: Duration,
}

impl Default for KeyRingOptions {
    fn default() -> Self {
        Self {
            secret: None,
            keys: Vec::new(),
            jwks: None,
            max_token_lifetime: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// One key with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOptions {
    /// The name: `kid` in the header of a token.
    pub kid: String,
    /// The key itself.
    pub material: KeyMaterial,
    /// True if new tokens are signed with this key. One key at most.
    pub signing: bool,
}

/// A key, or the file that it is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// A shared secret for HS256.
    Secret(Secret),
    /// An asymmetric key: a private one signs and verifies, a public one verifies.
    Pem {
        /// The algorithm that the key is for.
        algorithm: PemAlgorithm,
        /// The path of a PEM file.
        path: PathBuf,
    },
}

/// The algorithm of an asymmetric key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, RFC 7518 section 3.3. Keys of 2048 bits or more.
    Rs256,
    /// ECDSA over P-256 with SHA-256, RFC 7518 section 3.4.
    Es256,
    /// Ed25519, RFC 8037 section 3.1.
    EdDsa,
}

impl fmt::Display for PemAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        })
    }
}
