//! Access tokens: JSON Web Tokens (RFC 7519), signed here or elsewhere.

mod claims;
mod crypto;
mod error;
mod key_ring;
mod keys;
mod options;

pub use crypto::install_jwt_crypto;
pub use error::{JwksProblem, KeyError, KeyProblem};
pub use key_ring::KeyRing;
pub use options::{KeyMaterial, KeyOptions, KeyRingOptions, PemAlgorithm};
