//! Keys, read from options, PEM files and JWK Sets.

use super::error::{JwksProblem, KeyError, KeyProblem};
use super::options::{KeyMaterial, KeyOptions, PemAlgorithm};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use std::path::Path;
use tolmach_domain::Secret;

/// The length of an HS256 signature: the shortest secret that RFC 7518 section 3.2 allows.
const ADVISED_SECRET_BYTES: usize = 32;

/// A key that verifies.
pub(super) struct VerifyingKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// A key that signs, and the header of its tokens.
pub(super) struct SigningKey {
    pub(super) header: Header,
    pub(super) key: EncodingKey,
}

/// A key that verifies, and signs where its private part is known.
type ReadKey = (DecodingKey, Option<EncodingKey>);

/// Reads the secret of tokens that name no key.
pub(super) fn read_secret(secret: &Secret) -> (VerifyingKey, SigningKey) {
    warn_if_short("without kid", secret.expose().len());
    let bytes = secret.expose().as_bytes();
    let verifying = VerifyingKey {
        id: None,
        algorithm: Algorithm::HS256,
        key: DecodingKey::from_secret(bytes),
    };
    let signing =
        SigningKey { header: Header::new(Algorithm::HS256), key: EncodingKey::from_secret(bytes) };
    (verifying, signing)
}

/// Reads a key with a name; the second value is there if it is marked as signing.
pub(super) fn read_key(
    options: &KeyOptions,
) -> Result<(VerifyingKey, Option<SigningKey>), KeyProblem> {
    let (algorithm, (verifying, signing)) = match &options.material {
        KeyMaterial::Secret(secret) => (Algorithm::HS256, read_named_secret(&options.kid, secret)?),
        KeyMaterial::Pem { algorithm, path } => {
            (jwt_algorithm(*algorithm), read_pem(*algorithm, path)?)
        }
    };
    let mut header = Header::new(algorithm);
    header.kid = Some(options.kid.clone());
    let signing = match (options.signing, signing, &options.material) {
        (true, None, KeyMaterial::Pem { path, .. }) => {
            return Err(KeyProblem::PublicKeySigns { path: path.clone() });
        }
        (signs, key, _) => key.filter(|_| signs).map(|key| SigningKey { header, key }),
    };
    let id = Some(options.kid.clone());
    Ok((VerifyingKey { id, algorithm, key: verifying }, signing))
}

/// Reads a JWK Set, RFC 7517 section 5. Keys for encryption are left out. Any other key of an
/// algorithm that is not served is an error: left out silently, it would be missed only when its
/// first token is rejected.
pub(super) fn read_jwks(path: &Path) -> Result<Vec<VerifyingKey>, KeyError> {
    let keys = std::fs::read(path).map_err(JwksProblem::Read).and_then(|text| parse_jwks(&text));
    keys.map_err(|problem| KeyError::Jwks { path: path.to_owned(), problem })
}

fn read_named_secret(kid: &str, secret: &Secret) -> Result<ReadKey, KeyProblem> {
    let bytes = secret.expose().as_bytes();
    if bytes.is_empty() {
        return Err(KeyProblem::EmptySecret);
    }
    warn_if_short(kid, bytes.len());
    Ok((DecodingKey::from_secret(bytes), Some(EncodingKey::from_secret(bytes))))
}

/// Logs a warning for a short secret. It is not an error, because the secrets of old services that
/// tokens are shared with are often short.
fn warn_if_short(kid: &str, length: usize) {
    if length < ADVISED_SECRET_BYTES {
        tracing::warn!(
            kid,
            length,
            advised = ADVISED_SECRET_BYTES,
            "short secret: a peer that guesses it can sign tokens of every user"
        );
    }
}

fn read_pem(algorithm: PemAlgorithm, path: &Path) -> Result<ReadKey, KeyProblem> {
    let pem =
        std::fs::read(path).map_err(|source| KeyProblem::Read { path: path.to_owned(), source })?;
    let mismatch = |source: Option<jsonwebtoken::errors::Error>| KeyProblem::Pem {
        path: path.to_owned(),
        algorithm,
        source: source.map(Into::into),
    };
    let malformed = |error| mismatch(Some(error));
    let expected = jwt_algorithm(algorithm);
    if String::from_utf8_lossy(&pem).contains("PRIVATE KEY-----") {
        let private = match algorithm {
            PemAlgorithm::Rs256 => EncodingKey::from_rsa_pem(&pem),
            PemAlgorithm::Es256 => EncodingKey::from_ec_pem(&pem),
            PemAlgorithm::EdDsa => EncodingKey::from_ed_pem(&pem),
        };
        let private = private.map_err(malformed)?;
        let public = Jwk::from_encoding_key(&private, expected)
            .and_then(|jwk| DecodingKey::from_jwk(&jwk))
            .map_err(malformed)?;
        return Ok((public, Some(private)));
    }
    let public = match algorithm {
        PemAlgorithm::Rs256 => DecodingKey::from_rsa_pem(&pem),
        PemAlgorithm::Es256 => DecodingKey::from_ec_pem(&pem),
        PemAlgorithm::EdDsa => DecodingKey::from_ed_pem(&pem),
    };
    let public = public.map_err(malformed)?;
    let jwk = Jwk::from_decoding_key(&public, Some(expected)).map_err(malformed)?;
    match algorithm_of(&jwk) {
        Some(found) if found == expected => Ok((public, None)),
        _ => Err(mismatch(None)),
    }
}

fn jwt_algorithm(algorithm: PemAlgorithm) -> Algorithm {
    match algorithm {
        PemAlgorithm::Rs256 => Algorithm::RS256,
        PemAlgorithm::Es256 => Algorithm::ES256,
        PemAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

fn parse_jwks(text: &[u8]) -> Result<Vec<VerifyingKey>, JwksProblem> {
    let set: JwkSet = serde_json::from_slice(text)
        .map_err(|error| JwksProblem::Malformed { line: error.line() })?;
    let for_signatures =
        |jwk: &&Jwk| !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
    set.keys.iter().filter(for_signatures).map(read_jwk).collect()
}

fn read_jwk(jwk: &Jwk) -> Result<VerifyingKey, JwksProblem> {
    let id = jwk.common.key_id.clone();
    let name = || id.as_deref().unwrap_or("without kid").to_owned();
    let algorithm = algorithm_of(jwk).ok_or_else(|| JwksProblem::Algorithm { key: name() })?;
    let key = DecodingKey::from_jwk(jwk)
        .map_err(|error| JwksProblem::Key { key: name(), source: error.into() })?;
    if algorithm == Algorithm::HS256 {
        match key.try_get_as_bytes().map_or(0, <[u8]>::len) {
            0 => return Err(JwksProblem::EmptySecret { key: name() }),
            length => warn_if_short(&name(), length),
        }
    }
    Ok(VerifyingKey { id, algorithm, key })
}

/// The algorithm of a key's type; `None` if it is not served, or if the key names another.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, KeyAlgorithm::HS256),
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|claimed| claimed == named).then_some(algorithm)
}
