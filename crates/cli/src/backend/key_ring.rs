//! The keys for access tokens.

use crate::config::Auth;
use crate::error::UsageError;
use std::io;
use std::path::{Path, PathBuf};
use tolmach_adapters::{KeyError, KeyRing, KeyRingOptions, read_or_create};
use tolmach_domain::Secret;
use tolmach_engine::ports::Entropy;

/// The random bytes of a secret that is made here; its file has two hexadecimal digits for each.
const SECRET_BYTES: usize = 32;
/// The shortest content of the file that is not taken for one that was cut short.
const MIN_FILE_BYTES: usize = 32;

/// The file of the secret that a gateway makes for itself if none is configured.
pub(crate) struct SecretFile(PathBuf);

impl SecretFile {
    /// The file in a data folder.
    pub(crate) fn in_folder(data: &Path) -> Self {
        Self(data.join("jwt_secret"))
    }

    /// The secret; `None` if the file is missing.
    pub(crate) fn read(&self) -> Result<Option<Secret>, UsageError> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => self.check(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(UsageError::SecretFile { path: self.0.clone(), source }),
        }
    }

    /// The secret; a missing file is created with a random one.
    fn read_or_create(&self, entropy: &dyn Entropy) -> Result<Secret, UsageError> {
        let make = || {
            let mut secret = [0; SECRET_BYTES];
            entropy.fill(&mut secret);
            secret.map(|byte| format!("{byte:02x}")).concat().into_bytes()
        };
        let text = read_or_create(&self.0, make)
            .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
            .map_err(|source| UsageError::SecretFile { path: self.0.clone(), source })?;
        self.check(&text)
    }

    /// The secret in a text; the end of the line, as an editor leaves it, does not count.
    fn check(&self, text: &str) -> Result<Secret, UsageError> {
        let secret = text.trim_end();
        if secret.len() < MIN_FILE_BYTES {
            return Err(UsageError::ShortSecret { path: self.0.clone(), length: secret.len() });
        }
        Ok(Secret::new(secret))
    }
}

/// The keys that are configured. Without a configured secret, that of `file` is used if there is
/// one; if no key would sign otherwise, it is `missing()` where the file is missing.
pub(crate) fn key_ring(
    auth: &Auth,
    file: &SecretFile,
    missing: impl FnOnce(&SecretFile) -> Result<Secret, UsageError>,
) -> Result<KeyRing, UsageError> {
    let configured = Some(&auth.jwt_secret).filter(|secret| !secret.expose().is_empty());
    let has_signing_key = auth.keys.iter().any(|key| key.signing);
    let secret = match configured {
        Some(secret) => Some(secret.clone()),
        None => match file.read()? {
            None if !has_signing_key => Some(missing(file)?),
            secret => secret,
        },
    };
    let jwks = Some(&auth.jwt_keys).filter(|path| !path.as_os_str().is_empty());
    let options = KeyRingOptions {
        secret,
        keys: auth.keys.clone(),
        jwks: jwks.cloned(),
        max_token_lifetime: auth.max_token_lifetime,
    };
    KeyRing::load(&options).map_err(|source| {
        let key = match source {
            KeyError::Jwks { .. } => "auth.jwt_keys",
            _ => "auth.keys",
        };
        UsageError::Keys { key, source }
    })
}

/// The keys that are configured, with a secret that is created if no key would sign otherwise.
pub(super) fn open_key_ring(
    auth: &Auth,
    data: &Path,
    entropy: &dyn Entropy,
) -> Result<KeyRing, UsageError> {
    key_ring(auth, &SecretFile::in_folder(data), |file| file.read_or_create(entropy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use tolmach_adapters::OsEntropy;

    #[test]
    fn the_own_secret_is_made_once_and_only_where_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt_secret");
        let open = |file: &str| {
            let config = Config::with_file(file);
            open_key_ring(&config.auth, folder.path(), &OsEntropy::new().unwrap())
        };
        open("[auth]\njwt_secret = \"a secret of thirty-two bytes, yes\"").unwrap();
        assert!(!path.exists());
        open("").unwrap();
        let made = std::fs::read_to_string(&path).unwrap();
        assert_eq!(made.len(), 2 * SECRET_BYTES);
        open("").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), made);
        std::fs::write(&path, format!("{made}\n")).unwrap();
        open("").unwrap();
        // 31 bytes and the end of a line, which does not count.
        std::fs::write(&path, "0".repeat(31) + "\n").unwrap();
        let error = open("").err().unwrap().to_string();
        assert!(error.contains("jwt_secret, has 31 bytes: it was cut short"), "{error}");
    }
}
