//! Errors of keys, for the operator who configured them. None quotes a secret.

use super::options::PemAlgorithm;
use std::error::Error;
use std::io;
use std::path::PathBuf;

/// A key ring that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// One of the keys with a name cannot be used.
    #[error("key {kid:?} cannot be used")]
    Key {
        /// The name of the key.
        kid: String,
        /// The cause.
        #[source]
        problem: KeyProblem,
    },
    /// The JWKS file cannot be used.
    #[error("{}, a JWKS file, cannot be used", path.display())]
    Jwks {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        #[source]
        problem: JwksProblem,
    },
    /// The secret is empty.
    #[error("the secret has 0 bytes")]
    EmptySecret,
    /// There is neither a secret nor a key that signs.
    #[error("no key signs: a secret is expected, or a key that is marked as signing")]
    NoSigningKey,
}

/// The cause why a key with a name cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// The secret is empty.
    #[error("the secret has 0 bytes")]
    EmptySecret,
    /// Two keys have the same name.
    #[error("another key has the same kid")]
    DuplicateKid,
    /// Two keys are marked as signing.
    #[error("only one key may sign, and {other:?} does")]
    SecondSigningKey {
        /// The key that is already marked.
        other: String,
    },
    /// A public key is marked as signing.
    #[error("signing needs the private key, and {} holds the public one", path.display())]
    PublicKeySigns {
        /// The path of the PEM file.
        path: PathBuf,
    },
    /// The PEM file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The path of the PEM file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The PEM file holds no key of the algorithm.
    #[error("{} is not a PEM file with a key for {algorithm}", path.display())]
    Pem {
        /// The path of the PEM file.
        path: PathBuf,
        /// The algorithm that the key was to be for.
        algorithm: PemAlgorithm,
        /// The cause, where the key is malformed and not of another kind.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

/// The cause why a JWKS file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksProblem {
    /// The file cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// The file is no JWK Set. The parser's own message may quote a secret and is left out.
    #[error("it is not a JWK Set, see line {line}")]
    Malformed {
        /// The line where parsing stopped, from 1.
        line: usize,
    },
    /// A key is for an algorithm that is not served.
    #[error("its key {key:?} is not for HS256, RS256, ES256 or EdDSA")]
    Algorithm {
        /// The name of the key.
        key: String,
    },
    /// A key is malformed.
    #[error("its key {key:?} is malformed")]
    Key {
        /// The name of the key.
        key: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A secret is empty.
    #[error("its key {key:?} has a secret of 0 bytes")]
    EmptySecret {
        /// The name of the key.
        key: String,
    },
}
