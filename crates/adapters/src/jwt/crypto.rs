//! The signature algorithms of access tokens, computed by ring: `jsonwebtoken` leaves them to a
//! provider.
//!
//! HS256 and RS256 are of RFC 7518 section 3.1, ES256 of section 3.4, EdDSA of RFC 8037.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use ring::{digest, hmac};
use simple_asn1::ASN1Block;

/// Makes ring the process's provider of `jsonwebtoken`, unless another is installed already.
/// [`KeyRing::load`](crate::KeyRing::load) does it; needed only for direct calls to `jsonwebtoken`.
pub fn install_jwt_crypto() {
    // An error means that the process has a provider, which may be this one.
    let _ = PROVIDER.install_default();
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: new_signer,
    verifier_factory: new_verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: rsa_components_of_private_key,
        rsa_pub_components_from_public_key: rsa_components_of_public_key,
        ec_pub_components_from_private_key: ec_components_of_private_key,
        ed_pub_components_from_private_key: ed_component_of_private_key,
        compute_digest,
    },
};

/// A private key, or a shared secret, with its algorithm.
struct RingSigner {
    algorithm: Algorithm,
    key: PrivateKey,
}

enum PrivateKey {
    Hmac(hmac::Key),
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

fn new_signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    let bytes = key.as_bytes();
    let key = match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => {
            PrivateKey::Hmac(hmac::Key::new(hmac::HMAC_SHA256, bytes))
        }
        (Algorithm::RS256, AlgorithmFamily::Rsa) => PrivateKey::Rsa(Box::new(rsa_key_pair(bytes)?)),
        (Algorithm::ES256, AlgorithmFamily::Ec) => {
            PrivateKey::Ecdsa(Box::new(ecdsa_key_pair(bytes)?))
        }
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => {
            PrivateKey::Ed25519(Box::new(ed_key_pair(bytes)?))
        }
        _ => return Err(new_error(ErrorKind::InvalidAlgorithm)),
    };
    Ok(Box::new(RingSigner { algorithm: *algorithm, key }))
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let random = SystemRandom::new();
        match &self.key {
            PrivateKey::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            PrivateKey::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| signature::Error::new())?;
                Ok(signature)
            }
            PrivateKey::Ecdsa(key) => {
                let signature = key.sign(&random, message);
                Ok(signature.map_err(|_| signature::Error::new())?.as_ref().to_vec())
            }
            PrivateKey::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

/// A public key, or a shared secret, with its algorithm.
struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

fn new_verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac)
        | (Algorithm::RS256, AlgorithmFamily::Rsa)
        | (Algorithm::ES256, AlgorithmFamily::Ec)
        | (Algorithm::EdDSA, AlgorithmFamily::Ed) => {
            Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
        }
        _ => Err(new_error(ErrorKind::InvalidAlgorithm)),
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            DecodingKeyKind::SecretOrDer(bytes) => match self.key.family() {
                AlgorithmFamily::Hmac => {
                    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, bytes), message, signature)
                }
                AlgorithmFamily::Rsa => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, bytes)
                    .verify(message, signature),
                AlgorithmFamily::Ec => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes)
                    .verify(message, signature),
                AlgorithmFamily::Ed => {
                    UnparsedPublicKey::new(&ED25519, bytes).verify(message, signature)
                }
            },
        };
        verified.map_err(|_| signature::Error::new())
    }
}

/// Reads the DER of an RSA private key, RFC 8017 appendix A.1.2.
fn rsa_key_pair(der: &[u8]) -> Result<RsaKeyPair, Error> {
    RsaKeyPair::from_der(der)
        .map_err(|error| new_error(ErrorKind::InvalidRsaKey(error.to_string())))
}

/// Reads the PKCS #8 form of a P-256 private key.
fn ecdsa_key_pair(pkcs8: &[u8]) -> Result<EcdsaKeyPair, Error> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
        .map_err(|_| new_error(ErrorKind::InvalidEcdsaKey))
}

/// Reads the PKCS #8 form of an Ed25519 private key, with the public key or without it.
fn ed_key_pair(pkcs8: &[u8]) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
        .map_err(|_| new_error(ErrorKind::InvalidEddsaKey))
}

fn rsa_components_of_private_key(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let PublicKeyComponents { n, e } = PublicKeyComponents::from(rsa_key_pair(der)?.public());
    Ok((n, e))
}

/// Reads the modulus and the exponent of the DER form of RFC 8017 appendix A.1.1.
fn rsa_components_of_public_key(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let blocks = simple_asn1::from_der(der).unwrap_or_default();
    let [ASN1Block::Sequence(_, numbers)] = blocks.as_slice() else {
        return Err(new_error(ErrorKind::InvalidRsaKey("no sequence in the DER".into())));
    };
    match numbers.as_slice() {
        [ASN1Block::Integer(_, n), ASN1Block::Integer(_, e)] => {
            Ok((n.to_bytes_be().1, e.to_bytes_be().1))
        }
        _ => Err(new_error(ErrorKind::InvalidRsaKey("no modulus and exponent in the DER".into()))),
    }
}

fn ec_components_of_private_key(
    pkcs8: &[u8],
    algorithm: Algorithm,
) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>), Error> {
    if algorithm != Algorithm::ES256 {
        return Err(new_error(ErrorKind::InvalidAlgorithm));
    }
    let key = ecdsa_key_pair(pkcs8)?;
    // The uncompressed form of SEC 1 section 2.3.3: the byte 4, then 32 bytes for each coordinate.
    match key.public_key().as_ref() {
        [4, point @ ..] if point.len() == 64 => {
            Ok((EllipticCurve::P256, point[..32].to_vec(), point[32..].to_vec()))
        }
        _ => Err(new_error(ErrorKind::InvalidEcdsaKey)),
    }
}

fn ed_component_of_private_key(pkcs8: &[u8], curve: &EllipticCurve) -> Result<Vec<u8>, Error> {
    match curve {
        EllipticCurve::Ed25519 => Ok(ed_key_pair(pkcs8)?.public_key().as_ref().to_vec()),
        _ => Err(new_error(ErrorKind::InvalidAlgorithm)),
    }
}

fn compute_digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>, Error> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(new_error(ErrorKind::InvalidAlgorithm)),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}
