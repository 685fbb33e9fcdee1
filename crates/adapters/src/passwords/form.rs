//! The forms of stored password hashes.

use phc::PasswordHash;
use std::fmt;

/// The most memory that the check of one password takes, in bytes.
const MAX_MEMORY: u64 = 1 << 30;

/// The most rounds of a check.
const MAX_ROUNDS: u32 = 10_000_000;

/// The largest salt, key or hash of BLAKE2b and SHA-2 that is read, in bytes.
const MAX_BYTES: usize = 256;

/// A stored password hash, by its form.
#[derive(Clone)]
pub struct HashForm(pub(super) Form);

/// The parts of a hash.
#[derive(Clone)]
pub(super) enum Form {
    /// `$2a$`, `$2b$` or `$2y$`.
    Bcrypt {
        hash: String,
        /// True if another server made it, which gave bcrypt the beginning of a long password: not
        /// for `$2b$` alone, as [`Bcrypt`](super::Bcrypt) writes it.
        truncates: bool,
    },
    /// Django's `bcrypt_sha256$`: bcrypt of the SHA-256 in hexadecimal.
    BcryptSha256(String),
    Argon2 {
        algorithm: argon2::Algorithm,
        version: argon2::Version,
        params: argon2::Params,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    Pbkdf2 {
        digest: Digest,
        rounds: u32,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    /// `blake2b$KEY$SALT$HASH`.
    Blake2b {
        key: Vec<u8>,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    /// `sha256$PLACE$SALT$HASH`, or with `sha512`.
    Sha2 {
        digest: Digest,
        place: SaltPlace,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
}

/// A digest that a form is built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

/// The place of the salt in the text that is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SaltPlace {
    /// Before the password.
    Before,
    /// After the password.
    After,
}

/// Error of a text that is no hash of a known form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashFormError {
    /// The form is not known.
    #[error(
        "its form is not known; known are bcrypt, Django's hashers, PHC strings of argon2, scrypt \
         and pbkdf2, blake2b$KEY$SALT$HASH, and sha256$before$SALT$HASH or with sha512 or after, \
         in hexadecimal"
    )]
    Unknown,
    /// A part is missing or malformed.
    #[error("{0}: a part is missing or malformed")]
    Malformed(&'static str),
    /// A check would take too much memory or time.
    #[error("{0}: a check would take more than 1 GiB of memory or 10,000,000 rounds")]
    Costly(&'static str),
}

impl HashForm {
    /// Reads a hash, and checks that it can be verified with bounded memory and time.
    pub fn parse(text: &str) -> Result<Self, HashFormError> {
        parse(text).map(Self)
    }

    /// The name of the form, for lists.
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Form::Bcrypt { .. } => "bcrypt",
            Form::BcryptSha256(_) => "bcrypt_sha256",
            Form::Argon2 { .. } => "argon2",
            Form::Scrypt { .. } => "scrypt",
            Form::Pbkdf2 { digest: Digest::Sha1, .. } => "pbkdf2_sha1",
            Form::Pbkdf2 { digest: Digest::Sha256, .. } => "pbkdf2_sha256",
            Form::Pbkdf2 { digest: Digest::Sha512, .. } => "pbkdf2_sha512",
            Form::Blake2b { .. } => "blake2b",
            Form::Sha2 { digest: Digest::Sha512, .. } => "sha512",
            Form::Sha2 { .. } => "sha256",
        }
    }

    /// True for every form but bcrypt: it is replaced at the next login.
    pub fn is_legacy(&self) -> bool {
        !matches!(self.0, Form::Bcrypt { .. })
    }
}

/// Shows the name of the form only.
impl fmt::Debug for HashForm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("HashForm").field(&self.name()).finish()
    }
}

fn parse(text: &str) -> Result<Form, HashFormError> {
    if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
        let truncates = !text.starts_with("$2b$");
        return Ok(Form::Bcrypt { hash: bcrypt(text)?, truncates });
    }
    if text.starts_with('$') {
        return phc(text);
    }
    let (name, rest) = text.split_once('$').ok_or(HashFormError::Unknown)?;
    match name {
        "bcrypt" => Ok(Form::Bcrypt { hash: bcrypt(rest)?, truncates: true }),
        "bcrypt_sha256" => bcrypt(rest).map(Form::BcryptSha256),
        "argon2" => phc(&format!("${rest}")),
        "pbkdf2_sha1" => django_pbkdf2("pbkdf2_sha1", Digest::Sha1, rest),
        "pbkdf2_sha256" => django_pbkdf2("pbkdf2_sha256", Digest::Sha256, rest),
        "scrypt" => django_scrypt(rest),
        "blake2b" => blake2b(rest),
        "sha256" => sha2("sha256", Digest::Sha256, 32, rest),
        "sha512" => sha2("sha512", Digest::Sha512, 64, rest),
        _ => Err(HashFormError::Unknown),
    }
}

fn bcrypt(text: &str) -> Result<String, HashFormError> {
    let parts = text.parse::<bcrypt::HashParts>();
    parts.map(|_| text.to_owned()).map_err(|_| HashFormError::Malformed("bcrypt"))
}

/// A string of the PHC format.
fn phc(text: &str) -> Result<Form, HashFormError> {
    let parsed = PasswordHash::new(text).map_err(|_| HashFormError::Malformed("PHC string"))?;
    let name = match parsed.algorithm.as_str() {
        "argon2d" | "argon2i" | "argon2id" => "argon2",
        "scrypt" => "scrypt",
        "pbkdf2" | "pbkdf2-sha1" | "pbkdf2-sha256" | "pbkdf2-sha512" => "pbkdf2",
        _ => return Err(HashFormError::Unknown),
    };
    let malformed = HashFormError::Malformed(name);
    let number = |parameter: &str| parsed.params.get_decimal(parameter).ok_or(malformed);
    let salt = parsed.salt.as_ref().ok_or(malformed)?.as_ref().to_vec();
    let hash = parsed.hash.as_ref().ok_or(malformed)?.as_bytes().to_vec();
    match name {
        "argon2" => {
            let (memory, rounds, lanes) = (number("m")?, number("t")?, number("p")?);
            if u64::from(memory) * 1024 > MAX_MEMORY || rounds > MAX_ROUNDS {
                return Err(HashFormError::Costly(name));
            }
            let version = match parsed.version {
                None | Some(0x13) => argon2::Version::V0x13,
                Some(0x10) => argon2::Version::V0x10,
                Some(_) => return Err(malformed),
            };
            let params = argon2::Params::new(memory, rounds, lanes, Some(hash.len()));
            let params = params.map_err(|_| malformed)?;
            let algorithm = argon2::Algorithm::new(parsed.algorithm.as_str());
            let algorithm = algorithm.map_err(|_| malformed)?;
            Ok(Form::Argon2 { algorithm, version, params, salt, hash })
        }
        "scrypt" => {
            let log_n = u8::try_from(number("ln")?).map_err(|_| malformed)?;
            let params = scrypt_params(log_n, number("r")?, number("p")?)?;
            Ok(Form::Scrypt { params, salt, hash })
        }
        _ => {
            let digest = match parsed.algorithm.as_str() {
                "pbkdf2" | "pbkdf2-sha1" => Digest::Sha1,
                "pbkdf2-sha512" => Digest::Sha512,
                _ => Digest::Sha256,
            };
            pbkdf2(digest, number("i")?, salt, hash)
        }
    }
}

fn pbkdf2(
    digest: Digest,
    rounds: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
) -> Result<Form, HashFormError> {
    match rounds {
        0 => Err(HashFormError::Malformed("pbkdf2")),
        1..=MAX_ROUNDS => Ok(Form::Pbkdf2 { digest, rounds, salt, hash }),
        _ => Err(HashFormError::Costly("pbkdf2")),
    }
}

fn scrypt_params(log_n: u8, r: u32, p: u32) -> Result<scrypt::Params, HashFormError> {
    let blocks = 1_u64.checked_shl(log_n.into()).unwrap_or(u64::MAX);
    let memory = blocks.saturating_mul(u64::from(r)).saturating_mul(128);
    if memory > MAX_MEMORY || memory.saturating_mul(p.into()) > 64 * MAX_MEMORY {
        return Err(HashFormError::Costly("scrypt"));
    }
    scrypt::Params::new(log_n, r, p).map_err(|_| HashFormError::Malformed("scrypt"))
}

/// Django's `ITERATIONS$SALT$HASH`, the salt as a text, the hash in base64.
fn django_pbkdf2(name: &'static str, digest: Digest, text: &str) -> Result<Form, HashFormError> {
    let malformed = HashFormError::Malformed(name);
    let [rounds, salt, hash] = parts(text).ok_or(malformed)?;
    let rounds = rounds.parse().map_err(|_| malformed)?;
    let hash = base64(hash).ok_or(malformed)?;
    pbkdf2(digest, rounds, salt.as_bytes().to_vec(), hash)
}

/// Django's `N$SALT$R$P$HASH`, the salt as a text, the hash in base64.
fn django_scrypt(text: &str) -> Result<Form, HashFormError> {
    let malformed = HashFormError::Malformed("scrypt");
    let [n, salt, r, p, hash] = parts(text).ok_or(malformed)?;
    let n: u64 = n.parse().map_err(|_| malformed)?;
    if !n.is_power_of_two() {
        return Err(malformed);
    }
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| malformed)?;
    let (r, p) = (r.parse().map_err(|_| malformed)?, p.parse().map_err(|_| malformed)?);
    let params = scrypt_params(log_n, r, p)?;
    let hash = base64(hash).ok_or(malformed)?;
    Ok(Form::Scrypt { params, salt: salt.as_bytes().to_vec(), hash })
}

/// `KEY$SALT$HASH` in hexadecimal: a key of at most 64 bytes, a salt of at most 16.
fn blake2b(text: &str) -> Result<Form, HashFormError> {
    let malformed = HashFormError::Malformed("blake2b");
    let [key, salt, hash] = parts(text).ok_or(malformed)?;
    let (key, salt) = (hexadecimal(key).ok_or(malformed)?, hexadecimal(salt).ok_or(malformed)?);
    let hash = hexadecimal(hash).ok_or(malformed)?;
    if key.len() > 64 || salt.len() > 16 || !matches!(hash.len(), 32 | 64) {
        return Err(malformed);
    }
    Ok(Form::Blake2b { key, salt, hash })
}

/// `PLACE$SALT$HASH`, the salt and the hash in hexadecimal.
fn sha2(
    name: &'static str,
    digest: Digest,
    length: usize,
    text: &str,
) -> Result<Form, HashFormError> {
    let malformed = HashFormError::Malformed(name);
    let [place, salt, hash] = parts(text).ok_or(malformed)?;
    let place = match place {
        "before" => SaltPlace::Before,
        "after" => SaltPlace::After,
        _ => return Err(malformed),
    };
    let (salt, hash) = (hexadecimal(salt).ok_or(malformed)?, hexadecimal(hash).ok_or(malformed)?);
    if hash.len() != length {
        return Err(malformed);
    }
    Ok(Form::Sha2 { digest, place, salt, hash })
}

/// The parts between `$`, if there are as many.
fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    let parts: Vec<&str> = text.split('$').collect();
    parts.try_into().ok()
}

/// The bytes that standard base64 with padding says, at least 10, at most 256.
fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    (10..=MAX_BYTES).contains(&bytes.len()).then_some(bytes)
}

/// The bytes that hexadecimal digits say, at most 256.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    (text.len() <= 2 * MAX_BYTES).then(|| hex::decode(text).ok())?
}
