//! The key ring: signs and verifies access tokens.

use super::claims::{Claims, OwnClaims};
use super::crypto::install_jwt_crypto;
use super::error::{KeyError, KeyProblem};
use super::keys::{SigningKey, VerifyingKey, read_jwks, read_key, read_secret};
use super::options::KeyRingOptions;
use jsonwebtoken::Validation;
use std::time::Duration;
use tolmach_domain::{Secret, Timestamp};
use tolmach_engine::ports::{AccessClaims, PortError, Signer};

/// The keys that tokens are verified with, and the one that they are signed with.
///
/// A key verifies only tokens of its own algorithm, whatever else their header claims. A token that
/// names a key is verified with keys of that name only; one that names none, with every key of its
/// algorithm.
///
/// ```
/// use tolmach_adapters::{KeyRing, KeyRingOptions};
/// use tolmach_domain::{Secret, Timestamp, UserId};
/// use tolmach_engine::ports::{AccessClaims, Signer};
///
/// let secret = Some(Secret::new("thirty-two random bytes or more…"));
/// let keys = KeyRing::load(&KeyRingOptions { secret, ..KeyRingOptions::default() })?;
/// let claims = AccessClaims {
///     user: UserId::new(7)?,
///     session: None,
///     issued_at: Timestamp::from_seconds(0.0).unwrap_or_default(),
///     expires_at: Timestamp::from_seconds(900.0).unwrap_or_default(),
/// };
/// let token = keys.sign(&claims, [0; 16])?;
/// assert_eq!(keys.verify(&token, claims.issued_at), Some(claims));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyRing {
    keys: Vec<VerifyingKey>,
    signing: SigningKey,
    max_token_lifetime: Duration,
}

impl KeyRing {
    /// Reads the keys, and the files that they are in.
    pub fn load(options: &KeyRingOptions) -> Result<Self, KeyError> {
        install_jwt_crypto();
        let (mut keys, mut signing): (Vec<VerifyingKey>, Option<SigningKey>) = (Vec::new(), None);
        for key in &options.keys {
            let failed = |problem| KeyError::Key { kid: key.kid.clone(), problem };
            let (verifying, signer) = read_key(key).map_err(failed)?;
            if keys.iter().any(|other| other.id == verifying.id) {
                return Err(failed(KeyProblem::DuplicateKid));
            }
            keys.push(verifying);
            match (&signing, signer) {
                (Some(other), Some(_)) => {
                    let other = other.header.kid.clone().unwrap_or_default();
                    return Err(failed(KeyProblem::SecondSigningKey { other }));
                }
                (None, Some(signer)) => signing = Some(signer),
                (_, None) => {}
            }
        }
        if let Some(path) = &options.jwks {
            keys.extend(read_jwks(path)?);
        }
        if let Some(secret) = &options.secret {
            if secret.expose().is_empty() {
                return Err(KeyError::EmptySecret);
            }
            let (verifying, signer) = read_secret(secret);
            keys.push(verifying);
            signing.get_or_insert(signer);
        }
        let signing = signing.ok_or(KeyError::NoSigningKey)?;
        Ok(Self { keys, signing, max_token_lifetime: options.max_token_lifetime })
    }

    /// One line per key, without its secret: algorithm, name, and whether it signs.
    pub fn describe(&self) -> Vec<String> {
        let describe = |key: &VerifyingKey| {
            let signs =
                key.id == self.signing.header.kid && key.algorithm == self.signing.header.alg;
            let name = key.id.as_ref().map_or("without kid".to_owned(), |id| format!("{id:?}"));
            format!("{:?} {name}{}", key.algorithm, if signs { " (signs)" } else { "" })
        };
        self.keys.iter().map(describe).collect()
    }
}

impl Signer for KeyRing {
    fn sign(&self, claims: &AccessClaims, nonce: [u8; 16]) -> Result<Secret, PortError> {
        let claims = OwnClaims::new(claims, nonce);
        jsonwebtoken::encode(&self.signing.header, &claims, &self.signing.key)
            .map(Secret::new)
            .map_err(|error| PortError::caused_by("an access token cannot be signed", error))
    }

    fn verify(&self, token: &Secret, now: Timestamp) -> Option<AccessClaims> {
        let header = jsonwebtoken::decode_header(token.expose()).ok()?;
        let fits = |key: &&VerifyingKey| {
            key.algorithm == header.alg && (header.kid.is_none() || header.kid == key.id)
        };
        let claims = self.keys.iter().filter(fits).find_map(|key| {
            let mut validation = Validation::new(key.algorithm);
            // Times are compared with the engine's clock in `Claims::read`, and the `aud` of a
            // token that was signed elsewhere may be another service.
            validation.required_spec_claims.clear();
            (validation.validate_exp, validation.validate_aud) = (false, false);
            jsonwebtoken::decode::<Claims>(token.expose(), &key.key, &validation).ok()
        });
        claims?.claims.read(now, self.max_token_lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{KeyMaterial, KeyOptions, PemAlgorithm};
    use PemAlgorithm::{EdDsa, Es256, Rs256};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use ring::hmac;
    use ring::rand::SystemRandom;
    use ring::signature::{RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
    use serde_json::{Value, json};
    use std::path::{Path, PathBuf};
    use tolmach_domain::{SessionId, UserId};
    use tolmach_engine::ErrorChain;

    const SECRET: &str = "the secret of the gateway itself";
    const OTHER_SECRET: &str = "a secret that was shared with it";
    const NOW: i64 = 1_700_000_000;
    /// The longest lifetime of a token of another issuer by default, in seconds.
    const WEEK: i64 = 7 * 24 * 60 * 60;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/jwt/test-keys").join(name)
    }

    fn shared(kid: &str, secret: &str) -> KeyOptions {
        let material = KeyMaterial::Secret(Secret::new(secret));
        KeyOptions { kid: kid.into(), material, signing: false }
    }

    fn pem(kid: &str, algorithm: PemAlgorithm, file: &str) -> KeyOptions {
        let material = KeyMaterial::Pem { algorithm, path: fixture(file) };
        KeyOptions { kid: kid.into(), material, signing: false }
    }

    fn signing(key: KeyOptions) -> KeyOptions {
        KeyOptions { signing: true, ..key }
    }

    /// These keys, and the secret where none of them signs.
    fn options(keys: Vec<KeyOptions>) -> KeyRingOptions {
        let secret = keys.iter().all(|key| !key.signing).then(|| Secret::new(SECRET));
        KeyRingOptions { secret, keys, ..KeyRingOptions::default() }
    }

    fn load(options: &KeyRingOptions) -> KeyRing {
        KeyRing::load(options).unwrap_or_else(|error| panic!("{}", ErrorChain(&error)))
    }

    fn everything() -> KeyRing {
        let keys = vec![
            shared("shared", OTHER_SECRET),
            pem("rsa", Rs256, "rsa.public.pem"),
            pem("ec", Es256, "ec.public.pem"),
            pem("ed", EdDsa, "ed.public.pem"),
        ];
        load(&KeyRingOptions { jwks: Some(fixture("jwks.json")), ..options(keys) })
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn user(number: i64) -> UserId {
        UserId::new(number).unwrap()
    }

    /// A token of another issuer, which may use algorithms that the key ring does not serve.
    fn token(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey, claims: &Value) -> Secret {
        install_jwt_crypto();
        let mut header = Header::new(algorithm);
        header.kid = kid.map(str::to_owned);
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signed = format!(
            "{}.{}",
            encode(serde_json::to_string(&header).unwrap()),
            encode(claims.to_string())
        );
        let rsa = |padding: &'static dyn RsaEncoding| {
            let pair = RsaKeyPair::from_der(key.as_bytes()).unwrap();
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
            signature
        };
        let signature = match algorithm {
            Algorithm::HS512 => {
                let key = hmac::Key::new(hmac::HMAC_SHA512, key.as_bytes());
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            Algorithm::RS512 => rsa(&RSA_PKCS1_SHA512),
            Algorithm::PS256 => rsa(&RSA_PSS_SHA256),
            _ => return Secret::new(jsonwebtoken::encode(&header, claims, key).unwrap()),
        };
        Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn read(name: &str) -> Vec<u8> {
        std::fs::read(fixture(name)).unwrap()
    }

    fn good() -> Value {
        json!({"id": 7, "exp": NOW + 60})
    }

    #[test]
    fn a_signed_token_is_verified_until_it_expires() {
        for key in [
            None,
            Some(shared("a", OTHER_SECRET)),
            Some(pem("a", Rs256, "rsa.private.pem")),
            Some(pem("a", Es256, "ec.private.pem")),
            Some(pem("a", EdDsa, "ed.private.pem")),
        ] {
            let options = options(key.into_iter().map(signing).collect());
            let ring = load(&options);
            let claims = AccessClaims {
                user: user(7),
                session: SessionId::new(3).ok(),
                issued_at: at(NOW),
                expires_at: at(NOW + 60),
            };
            let token = ring.sign(&claims, [1; 16]).unwrap();
            assert_eq!(ring.verify(&token, at(NOW + 59)), Some(claims.clone()), "{options:?}");
            assert_eq!(ring.verify(&token, at(NOW + 60)), None, "{options:?}");
            assert_ne!(
                ring.sign(&claims, [2; 16]).unwrap(),
                token,
                "tokens are unique by their nonce"
            );
            assert_eq!(
                everything().verify(&token, at(NOW)).is_some(),
                options.keys.is_empty(),
                "a ring without the key must not verify: {options:?}"
            );
        }
    }

    #[test]
    fn the_claims_of_own_tokens_are_those_of_the_documentation() {
        let claims = AccessClaims {
            user: user(7),
            session: SessionId::new(3).ok(),
            issued_at: at(NOW),
            expires_at: at(NOW + 60),
        };
        let token = everything().sign(&claims, [1; 16]).unwrap();
        let encoded: Value =
            jsonwebtoken::dangerous::insecure_decode(token.expose()).unwrap().claims;
        let jti = "01".repeat(16);
        let expected = json!({
            "id": 7, "user_id": 7, "sub": "7", "token_type": "access", "jti": jti, "iat": NOW,
            "exp": NOW + 60, "sid": 3,
        });
        assert_eq!(encoded, expected);
    }

    #[test]
    fn a_token_is_verified_only_with_keys_of_its_name_and_algorithm() {
        let secret = |secret: &str| EncodingKey::from_secret(secret.as_bytes());
        let rsa = || EncodingKey::from_rsa_pem(&read("rsa.private.pem")).unwrap();
        let ec = || EncodingKey::from_ec_pem(&read("ec.private.pem")).unwrap();
        let ed = || EncodingKey::from_ed_pem(&read("ed.private.pem")).unwrap();
        let elsewhere = || EncodingKey::from_ed_pem(&read("elsewhere.private.pem")).unwrap();
        let ring = everything();
        for (why, algorithm, kid, key, accepted) in [
            ("the own secret", Algorithm::HS256, None, secret(SECRET), true),
            (
                "the shared secret, named",
                Algorithm::HS256,
                Some("shared"),
                secret(OTHER_SECRET),
                true,
            ),
            ("the shared secret, unnamed", Algorithm::HS256, None, secret(OTHER_SECRET), true),
            (
                "an unknown secret",
                Algorithm::HS256,
                None,
                secret("a secret that is in no key ring"),
                false,
            ),
            ("an empty secret", Algorithm::HS256, None, secret(""), false),
            (
                "the own secret under another name",
                Algorithm::HS256,
                Some("shared"),
                secret(SECRET),
                false,
            ),
            ("an unknown name", Algorithm::HS256, Some("unknown"), secret(SECRET), false),
            ("a stronger algorithm than the key's", Algorithm::HS512, None, secret(SECRET), false),
            ("RSA", Algorithm::RS256, Some("rsa"), rsa(), true),
            ("RSA under the name of a secret", Algorithm::RS256, Some("shared"), rsa(), false),
            ("RSA with another padding", Algorithm::PS256, Some("rsa"), rsa(), false),
            ("RSA with another hash", Algorithm::RS512, Some("rsa"), rsa(), false),
            (
                "the public RSA key as a secret",
                Algorithm::HS256,
                Some("rsa"),
                EncodingKey::from_secret(&read("rsa.public.pem")),
                false,
            ),
            (
                "the same, unnamed",
                Algorithm::HS256,
                None,
                EncodingKey::from_secret(&read("rsa.public.pem")),
                false,
            ),
            ("ECDSA", Algorithm::ES256, Some("ec"), ec(), true),
            ("EdDSA", Algorithm::EdDSA, Some("ed"), ed(), true),
            ("EdDSA, unnamed", Algorithm::EdDSA, None, ed(), true),
            (
                "another issuer's key from the JWKS file",
                Algorithm::EdDSA,
                Some("elsewhere"),
                elsewhere(),
                true,
            ),
            (
                "that key under the name of an own one",
                Algorithm::EdDSA,
                Some("ed"),
                elsewhere(),
                false,
            ),
            ("an own key under the name of that", Algorithm::EdDSA, Some("elsewhere"), ed(), false),
        ] {
            let token = token(algorithm, kid, &key, &good());
            assert_eq!(ring.verify(&token, at(NOW)).is_some(), accepted, "{why}");
        }
    }

    #[test]
    fn a_token_without_a_good_signature_is_rejected() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let claims = encode(&good().to_string());
        let genuine =
            token(Algorithm::HS256, None, &EncodingKey::from_secret(SECRET.as_bytes()), &good());
        let (signed, signature) = genuine.expose().rsplit_once('.').unwrap();
        let other_claims = encode(&json!({"id": 8, "exp": NOW + 60}).to_string());
        let header = signed.split('.').next().unwrap();
        for text in [
            format!("{}.{claims}.", encode(r#"{"alg":"none","typ":"JWT"}"#)),
            format!("{}.{claims}.{signature}", encode(r#"{"alg":"none","typ":"JWT"}"#)),
            format!("{}.{claims}.", encode(r#"{"alg":"HS256","typ":"JWT"}"#)),
            format!("{header}.{other_claims}.{signature}"),
            format!("{signed}."),
            format!("{signed}.{signature}."),
            signed.to_owned(),
            String::new(),
            "..".into(),
            "a.b.c".into(),
            "…".into(),
        ] {
            assert_eq!(everything().verify(&Secret::new(&text), at(NOW)), None, "{text}");
        }
        assert!(everything().verify(&genuine, at(NOW)).is_some());
    }

    #[test]
    fn claims_count_only_while_they_are_valid() {
        for (claims, expected) in [
            (json!({"id": 7, "exp": NOW + 1}), Some(7)),
            (json!({"id": "7", "exp": NOW + 1}), Some(7)),
            (json!({"user_id": 7, "exp": NOW + 1}), Some(7)),
            (json!({"user_id": "7", "exp": NOW + 1}), Some(7)),
            (json!({"sub": "7", "exp": NOW + 1}), Some(7)),
            (json!({"sub": 7, "exp": NOW + 1}), Some(7)),
            (json!({"id": 7, "user_id": "7", "sub": 7, "exp": NOW + 1}), Some(7)),
            (json!({"id": 7, "user_id": 8, "sub": "9", "exp": NOW + 1}), None),
            (json!({"id": 7, "sub": "9", "exp": NOW + 1}), None),
            (json!({"id": 7, "sub": "auth0|7", "exp": NOW + 1}), Some(7)),
            (json!({"id": null, "user_id": 8, "exp": NOW + 1}), Some(8)),
            (json!({"id": "5f1c", "user_id": 8, "exp": NOW + 1}), Some(8)),
            (json!({"sub": "auth0|7", "exp": NOW + 1}), None),
            (json!({"id": 0, "exp": NOW + 1}), None),
            (json!({"id": -7, "exp": NOW + 1}), None),
            (json!({"id": 7.5, "exp": NOW + 1}), None),
            (json!({"id": [7], "exp": NOW + 1}), None),
            (json!({"id": 1_i64 << 53, "exp": NOW + 1}), None),
            (json!({"exp": NOW + 1}), None),
            (json!({"id": 7}), None),
            (json!({"id": 7, "exp": NOW}), None),
            (json!({"id": 7, "exp": NOW - 1}), None),
            (json!({"id": 7, "exp": (NOW + 1).to_string()}), None),
            (json!({"id": 7, "exp": null}), None),
            (json!({"id": 7, "exp": -1}), None),
            (json!({"id": 7, "exp": NOW as f64 + 0.5}), Some(7)),
            (json!({"id": 7, "exp": 1e300}), None),
            (json!({"id": 7, "exp": NOW + WEEK}), Some(7)),
            (json!({"id": 7, "exp": NOW + WEEK + 1}), None),
            (json!({"id": 7, "exp": NOW + 1, "iat": NOW + 1 - WEEK}), Some(7)),
            (json!({"id": 7, "exp": NOW + 1, "iat": NOW - WEEK}), None),
            (json!({"id": 7, "exp": NOW + WEEK + 1, "sid": 3}), Some(7)),
            (json!({"id": 7, "exp": NOW + 1, "token_type": "access"}), Some(7)),
            (json!({"id": 7, "exp": NOW + 1, "token_type": "refresh"}), None),
            (json!({"id": 7, "exp": NOW + 1, "token_type": 1}), None),
            (json!({"id": 7, "exp": NOW + 1, "nbf": NOW - 1}), Some(7)),
            (json!({"id": 7, "exp": NOW + 1, "nbf": NOW + 60}), Some(7)),
            (json!({"id": 7, "exp": NOW + 100, "nbf": NOW + 61}), None),
            (json!({"id": 7, "exp": NOW + 1, "aud": "elsewhere", "iss": ["elsewhere"]}), Some(7)),
            (json!([7]), None),
        ] {
            let token = token(
                Algorithm::HS256,
                None,
                &EncodingKey::from_secret(SECRET.as_bytes()),
                &claims,
            );
            let found = everything().verify(&token, at(NOW)).map(|claims| claims.user.get());
            assert_eq!(found, expected, "{claims}");
        }
    }

    #[test]
    fn a_session_id_of_another_issuer_is_left_out() {
        for (sid, expected) in [
            (json!(3), Some(3)),
            (json!("3"), None),
            (json!("9b1c-uuid"), None),
            (json!(0), None),
            (Value::Null, None),
        ] {
            let claims = json!({"id": 7, "exp": NOW + 1, "sid": sid});
            let token = token(
                Algorithm::HS256,
                None,
                &EncodingKey::from_secret(SECRET.as_bytes()),
                &claims,
            );
            let found = everything().verify(&token, at(NOW)).unwrap().session.map(SessionId::get);
            assert_eq!(found, expected, "{sid}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_named_with_the_reason() {
        let ed = || signing(pem("a", EdDsa, "ed.private.pem"));
        for (keys, expected) in [
            (vec![shared("a", "")], "key \"a\" cannot be used: the secret has 0 bytes"),
            (vec![pem("a", Rs256, "absent.pem")], "absent.pem cannot be read: "),
            (vec![pem("a", Rs256, "jwks.json")], "is not a PEM file with a key for RS256"),
            (vec![pem("a", Rs256, "ec.public.pem")], "for RS256"),
            (vec![pem("a", Rs256, "ec.private.pem")], "for RS256"),
            (vec![pem("a", EdDsa, "ec.public.pem")], "for EdDSA"),
            (vec![pem("a", Es256, "p384.public.pem")], "for ES256"),
            (vec![signing(pem("a", EdDsa, "ed.public.pem"))], "signing needs the private key"),
            (vec![ed(), ed()], "another key has the same kid"),
            (
                vec![ed(), KeyOptions { kid: "b".into(), ..ed() }],
                "key \"b\" cannot be used: only one key may sign, and \"a\" does",
            ),
        ] {
            let error = KeyRing::load(&options(keys)).err();
            let error = error.map(|error| ErrorChain(&error).to_string()).unwrap_or_default();
            assert!(error.contains(expected), "found {error:?}, not {expected:?}");
        }
    }

    #[test]
    fn a_jwks_file_that_cannot_be_used_is_named_with_the_reason() {
        for (file, expected) in [
            ("absent.json", "absent.json, a JWKS file, cannot be used: it cannot be read: "),
            ("ed.public.pem", "it is not a JWK Set, see line 1"),
            ("jwks-empty-secret.json", "has a secret of 0 bytes"),
            ("jwks-other-algorithm.json", "is not for HS256, RS256, ES256 or EdDSA"),
        ] {
            let options = KeyRingOptions { jwks: Some(fixture(file)), ..options(Vec::new()) };
            let error = KeyRing::load(&options).err();
            let error = error.map(|error| ErrorChain(&error).to_string()).unwrap_or_default();
            assert!(error.contains(expected), "found {error:?}, not {expected:?}");
        }
    }

    #[test]
    fn a_ring_that_cannot_sign_is_refused() {
        let verifying = vec![pem("a", EdDsa, "ed.public.pem")];
        for (options, expected) in [
            (KeyRingOptions::default(), "no key signs"),
            (KeyRingOptions { keys: verifying, ..KeyRingOptions::default() }, "no key signs"),
            (
                KeyRingOptions { secret: Some(Secret::new("")), ..KeyRingOptions::default() },
                "the secret has 0 bytes",
            ),
        ] {
            let error = KeyRing::load(&options).err();
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(expected), "found {error:?}, not {expected:?}");
        }
    }

    #[test]
    fn a_signing_key_takes_the_place_of_the_secret() {
        let ed = signing(pem("a", EdDsa, "ed.private.pem"));
        let only_ed = options(vec![ed]);
        let both = KeyRingOptions { secret: Some(Secret::new(SECRET)), ..only_ed.clone() };
        assert_eq!(load(&only_ed).describe(), ["EdDSA \"a\" (signs)"]);
        assert_eq!(load(&both).describe(), ["EdDSA \"a\" (signs)", "HS256 without kid"]);
        assert_eq!(load(&options(Vec::new())).describe(), ["HS256 without kid (signs)"]);
    }

    #[test]
    fn options_show_no_secret() {
        let options = options(vec![shared("a", OTHER_SECRET)]);
        let text = format!("{options:?}");
        assert!(!text.contains(SECRET) && !text.contains(OTHER_SECRET), "{text}");
    }
}
