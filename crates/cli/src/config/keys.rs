//! The keys for access tokens: `[[auth.keys]]`.

use super::values::{expected, secret};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::path::PathBuf;
use tolmach_adapters::{KeyMaterial, KeyOptions, PemAlgorithm};
use tolmach_domain::Secret;
use toml::Value;

/// One table `[[auth.keys]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyTable {
    kid: String,
    algorithm: KeyAlgorithm,
    /// The secret of a key for HS256.
    #[serde(default, deserialize_with = "optional_secret")]
    secret: Option<Secret>,
    /// The file of any other key.
    #[serde(default, deserialize_with = "pem_path")]
    pem: Option<PathBuf>,
    #[serde(default)]
    signing: bool,
}

/// The algorithm of a key, RFC 7518 section 3.1 and RFC 8037.
#[derive(Clone, Copy, Deserialize)]
enum KeyAlgorithm {
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// Reads a list of keys. Each is read by itself, so that no message quotes a value in its place.
pub(super) fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<KeyOptions>, D::Error> {
    let tables = expected(
        from,
        "tables are expected: [[auth.keys]] with kid, algorithm, secret or pem, and signing",
        |value| match value {
            Value::Array(keys) => keys.iter().all(Value::is_table).then_some(keys),
            _ => None,
        },
    )?;
    let read = |table: Value| {
        let table: KeyTable =
            table.try_into().map_err(|error| D::Error::custom(error.message()))?;
        options(table).map_err(D::Error::custom)
    };
    tables.into_iter().map(read).collect()
}

fn options(table: KeyTable) -> Result<KeyOptions, String> {
    let KeyTable { kid, algorithm, secret, pem, signing } = table;
    let algorithm = match algorithm {
        KeyAlgorithm::Hs256 => None,
        KeyAlgorithm::Rs256 => Some(PemAlgorithm::Rs256),
        KeyAlgorithm::Es256 => Some(PemAlgorithm::Es256),
        KeyAlgorithm::EdDsa => Some(PemAlgorithm::EdDsa),
    };
    let material = match (algorithm, secret, pem) {
        (None, Some(secret), None) => KeyMaterial::Secret(secret),
        (None, ..) => {
            return Err(format!("key {kid:?}: HS256 needs a `secret`, and no `pem`"));
        }
        (Some(algorithm), None, Some(path)) => KeyMaterial::Pem { algorithm, path },
        (Some(algorithm), ..) => {
            return Err(format!("key {kid:?}: {algorithm} needs a `pem`, and no `secret`"));
        }
    };
    Ok(KeyOptions { kid, material, signing })
}

fn optional_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    secret(from).map(Some)
}

/// Reads the path of a PEM file. The text is not quoted, because it may be the key itself.
fn pem_path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let text = secret(from)?;
    if text.expose().contains("-----") {
        return Err(D::Error::custom("`pem` is the name of a file, not the key itself"));
    }
    Ok(Some(PathBuf::from(text.expose())))
}
