//! Verification of the hashes of other servers.

use super::form::{Digest, Form, HashForm, SaltPlace};
use blake2::Blake2bMac;
use blake2::digest::consts::{U32, U64};
use blake2::digest::{FixedOutput, Update};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq;
use tolmach_domain::Secret;

/// Error of a hash that cannot be computed.
#[derive(Debug, thiserror::Error)]
pub(super) enum VerifyError {
    #[error("bcrypt")]
    Bcrypt(#[from] bcrypt::BcryptError),
    #[error("argon2: {0}")]
    Argon2(argon2::Error),
    #[error("scrypt: the length of the hash is not valid")]
    Scrypt,
    #[error("BLAKE2b: the length of the key or the salt is not valid")]
    Blake2b,
}

/// True if a hash is this password's. `prepared` is the password as [`Bcrypt`](super::Bcrypt)
/// hashes it.
pub(super) fn verify(
    form: &HashForm,
    password: &Secret,
    prepared: &Secret,
) -> Result<bool, VerifyError> {
    let bytes = password.expose().as_bytes();
    let (found, hash) = match &form.0 {
        Form::Bcrypt { hash, truncates } => {
            let reads_beginning = *truncates && !bytes.contains(&0);
            let input = if reads_beginning { bytes } else { prepared.expose().as_bytes() };
            return Ok(bcrypt::verify(input, hash)?);
        }
        Form::BcryptSha256(hash) => {
            let digest = hex::encode(Sha256::digest(bytes));
            return Ok(bcrypt::verify(digest, hash)?);
        }
        Form::Argon2 { algorithm, version, params, salt, hash } => {
            let mut found = vec![0; hash.len()];
            let argon2 = argon2::Argon2::new(*algorithm, *version, params.clone());
            argon2.hash_password_into(bytes, salt, &mut found).map_err(VerifyError::Argon2)?;
            (found, hash)
        }
        Form::Scrypt { params, salt, hash } => {
            let mut found = vec![0; hash.len()];
            let done = scrypt::scrypt(bytes, salt, params, &mut found);
            done.map_err(|_| VerifyError::Scrypt)?;
            (found, hash)
        }
        Form::Pbkdf2 { digest, rounds, salt, hash } => {
            let mut found = vec![0; hash.len()];
            let derive = match digest {
                Digest::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>,
                Digest::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>,
                Digest::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>,
            };
            derive(bytes, salt, *rounds, &mut found);
            (found, hash)
        }
        Form::Blake2b { key, salt, hash } => {
            let key = (!key.is_empty()).then_some(key.as_slice());
            let invalid = |_| VerifyError::Blake2b;
            let found = if hash.len() == 32 {
                let mac = Blake2bMac::<U32>::new_with_salt_and_personal(key, salt, &[]);
                mac.map_err(invalid)?.chain(bytes).finalize_fixed().to_vec()
            } else {
                let mac = Blake2bMac::<U64>::new_with_salt_and_personal(key, salt, &[]);
                mac.map_err(invalid)?.chain(bytes).finalize_fixed().to_vec()
            };
            (found, hash)
        }
        Form::Sha2 { digest, place, salt, hash } => {
            let (first, second) = match place {
                SaltPlace::Before => (salt.as_slice(), bytes),
                SaltPlace::After => (bytes, salt.as_slice()),
            };
            let found = match digest {
                Digest::Sha512 => {
                    Sha512::new().chain_update(first).chain_update(second).finalize().to_vec()
                }
                Digest::Sha1 | Digest::Sha256 => {
                    Sha256::new().chain_update(first).chain_update(second).finalize().to_vec()
                }
            };
            (found, hash)
        }
    };
    Ok(found.ct_eq(hash).into())
}

#[cfg(test)]
mod tests {
    use super::super::form::HashFormError;
    use super::*;

    /// Hashes of `password`: by Python's hashlib in the forms of Django, of the PHC format and of
    /// this crate; argon2 by its reference implementation.
    const HASHES: [(&str, &str); 14] = [
        (
            "pbkdf2_sha256",
            "pbkdf2_sha256$1000$salt123$XX9AIwVx2pYcnIAm+U69vjdUImcvNehHD5atN4rwDb0=",
        ),
        ("pbkdf2_sha1", "pbkdf2_sha1$1000$salt123$oRMeYl+nONnh056w5puAhvTfdI8="),
        (
            "scrypt",
            "scrypt$1024$salt123$8$1$x/0OcMtS0xTj2BRM741uiTTvobrQTNC0I6wR/NZYYPwdJg+aDYRl2M\
             0ybLdgxY4I/xR+uRj9vrIjFEtmXspaOA==",
        ),
        (
            "pbkdf2_sha256",
            "$pbkdf2-sha256$i=1000$c29tZXNhbHQxMjM0NTY3OA$UVU0bBjn23nqieo6m4O1vg6ncz2xffKg6\
             dXMzXCtZ4E",
        ),
        (
            "pbkdf2_sha512",
            "$pbkdf2-sha512$i=1000$c29tZXNhbHQxMjM0NTY3OA$3rR/v0MMKEa6IoobirvnRg2w+QjhpOU8D\
             /JuOAK4T6k",
        ),
        (
            "scrypt",
            "$scrypt$ln=10,r=8,p=1$c29tZXNhbHQxMjM0NTY3OA$/YMs48sDZgpnop3PE7oyFJZKtY6WcvetA\
             75ejH0GJd4",
        ),
        (
            "blake2b",
            "blake2b$000102030405060708090a0b0c0d0e0f10111213$000102030405060708090a0b0c0d0\
             e0f$307d38afa4bfe835a95742c33867c5288ba09b17e4e8b14a449bef2254025941",
        ),
        (
            "blake2b",
            "blake2b$$000102030405060708090a0b0c0d0e0f$f39360b5be606ae2b1e501d289660b05a6f8\
             74bebe32795c553c1a8a3ec1ba109eb7b68e8bd3c5dd50ed0232db45818e6a0f6eb79a228dd1f5\
             fbe5cfc91863a8",
        ),
        (
            "sha256",
            "sha256$before$677261696e$3de6341a82b291f50424b431a778504fd1fc473363aadea776b1d\
             3a44d75f25a",
        ),
        (
            "sha256",
            "sha256$after$677261696e$59bc8b9d7e3b71ae3ed58962598d2394b489827c7e6a39d4e8ade9\
             4b23043dec",
        ),
        (
            "sha512",
            "sha512$before$677261696e$802e6e478cc649f09aa2f3012fece8ba64fbd03c6269aa4fedb4b\
             b39570f73d462371c5389d1e970a59312d665d9076a75746b37db66492480dfb7f594c80a09",
        ),
        (
            "sha512",
            "sha512$after$$b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb9\
             80b1d7785e5976ec049b46df5f1326af5a2ea6d103fd07c95385ffab0cacbc86",
        ),
        (
            "argon2",
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        ),
        (
            "argon2",
            "argon2$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$\
             iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
        ),
    ];

    fn matches(hash: &str, password: &str) -> bool {
        let form = HashForm::parse(hash).expect(hash);
        let password = Secret::new(password);
        verify(&form, &password, &password).expect(hash)
    }

    #[test]
    fn hashes_of_other_servers_match_their_password_only() {
        for (name, hash) in HASHES {
            let form = HashForm::parse(hash).expect(hash);
            assert_eq!((form.name(), form.is_legacy()), (name, true), "{hash}");
            assert!(matches(hash, "password"), "{hash}");
            for wrong in ["Password", "password ", "", "passwor"] {
                assert!(!matches(hash, wrong), "{hash} {wrong:?}");
            }
        }
    }

    #[test]
    fn bcrypt_of_other_servers_reads_the_beginning_of_a_long_password() {
        let long = "x".repeat(80);
        let hash = bcrypt::hash(&long, 4).unwrap();
        for prefix in ["$2a$", "$2y$", "bcrypt$$2b$"] {
            let hash = hash.replace("$2b$", prefix);
            assert!(matches(&hash, &long), "{prefix}");
            assert!(!matches(&hash, &"x".repeat(71)), "{prefix}");
            assert!(!HashForm::parse(&hash).unwrap().is_legacy());
        }
        let digest = hex::encode(Sha256::digest(long.as_bytes()));
        let hash = format!("bcrypt_sha256${}", bcrypt::hash(digest, 4).unwrap());
        assert!(matches(&hash, &long));
        assert!(!matches(&hash, &"x".repeat(81)));
    }

    #[test]
    fn a_hash_that_cannot_be_verified_is_refused() {
        for (hash, expected) in [
            ("password", HashFormError::Unknown),
            ("", HashFormError::Unknown),
            ("md5$salt$5f4dcc3b5aa765d61d8327deb882cf99", HashFormError::Unknown),
            ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", HashFormError::Malformed("PHC string")),
            ("$2b$12$short", HashFormError::Malformed("bcrypt")),
            ("pbkdf2_sha256$x$salt$aGFzaGhhc2g=", HashFormError::Malformed("pbkdf2_sha256")),
            ("pbkdf2_sha256$1000$salt", HashFormError::Malformed("pbkdf2_sha256")),
            ("scrypt$1000$salt$8$1$aGFzaGhhc2hoYXNo", HashFormError::Malformed("scrypt")),
            ("sha256$beside$00$00", HashFormError::Malformed("sha256")),
            ("blake2b$0$0$0", HashFormError::Malformed("blake2b")),
        ] {
            assert_eq!(HashForm::parse(hash).unwrap_err(), expected, "{hash}");
        }
    }

    #[test]
    fn a_check_takes_bounded_memory_and_time() {
        let (salt, hash) = ("c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4");
        let padded = "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4=";
        for (accepted, refused) in [
            (
                format!("$argon2id$v=19$m=1048576,t=1,p=1${salt}${hash}"),
                format!("$argon2id$v=19$m=1048577,t=1,p=1${salt}${hash}"),
            ),
            (
                format!("$scrypt$ln=20,r=8,p=1${salt}${hash}"),
                format!("$scrypt$ln=21,r=8,p=1${salt}${hash}"),
            ),
            (
                format!("pbkdf2_sha256$10000000$salt${padded}"),
                format!("pbkdf2_sha256$10000001$salt${padded}"),
            ),
        ] {
            assert!(HashForm::parse(&accepted).is_ok(), "{accepted}");
            let error = HashForm::parse(&refused).unwrap_err();
            assert!(matches!(error, HashFormError::Costly(_)), "{refused}: {error}");
        }
    }
}
