//! Access tokens: JSON Web Tokens (RFC 7519), signed here or elsewhere.

use crate::config;
use jsonwebtoken::jwk::{self, AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tolmach_domain::{Secret, SessionId, Timestamp, UserId};
use tolmach_engine::ports::{AccessClaims, PortError, Signer};

/// How far ahead another server's clock may be when it says from when on a token is valid.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// As long as what HS256 makes; RFC 7518 section 3.2.
const ADVISED_SECRET: usize = 32;
const TOKEN_TYPE: &str = "access";

/// A key cannot be used; the text names it and says why, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct KeyError(String);

/// The keys that tokens are verified with, and the one that they are signed with.
///
/// A key verifies only tokens of its own algorithm, whatever else their header claims. A token that
/// names a key is verified with keys of that name only; one that names none, with every key of its
/// algorithm.
pub(crate) struct KeyRing {
    keys: Vec<VerifyingKey>,
    signing: SigningKey,
}

struct VerifyingKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

struct SigningKey {
    header: Header,
    key: EncodingKey,
}

impl KeyRing {
    /// The keys of the configuration; `own` gives the gateway's own secret where it is not
    /// configured: `required` tells that it is needed for signing, otherwise it is one that has
    /// been in use before.
    pub(crate) fn load(
        auth: &config::Auth,
        own: impl FnOnce(bool) -> std::io::Result<Option<Secret>>,
    ) -> Result<Self, KeyError> {
        let (mut keys, mut signing) = (Vec::new(), None);
        for key in &auth.keys {
            let (verifying, signer) = read_key(key)
                .map_err(|reason| KeyError(format!("[[auth.keys]] {:?}: {reason}", key.kid)))?;
            if keys.iter().any(|other: &VerifyingKey| other.id == verifying.id) {
                return Err(KeyError(format!(
                    "[[auth.keys]] {:?}: another key has the same kid",
                    key.kid
                )));
            }
            keys.push(verifying);
            if signer.is_some() && std::mem::replace(&mut signing, signer).is_some() {
                return Err(KeyError(format!(
                    "[[auth.keys]] {:?}: only one key may have signing = true",
                    key.kid
                )));
            }
        }
        if !auth.jwt_keys.as_os_str().is_empty() {
            keys.extend(read_jwks(&auth.jwt_keys)?);
        }
        let configured = !auth.jwt_secret.expose().is_empty();
        let secret = match configured {
            true => Some(auth.jwt_secret.clone()),
            false => own(signing.is_none()).map_err(|error| {
                KeyError(format!("the gateway's own secret cannot be kept: {error}"))
            })?,
        };
        if let Some(secret) = secret {
            let length = secret.expose().len();
            if !configured && length < ADVISED_SECRET {
                return Err(KeyError(format!(
                    "the gateway's own secret has {length} bytes: its file was cut short; remove it to have a new one made"
                )));
            }
            warn_if_short("auth.jwt_secret", length);
            let secret = secret.expose().as_bytes();
            keys.push(VerifyingKey {
                id: None,
                algorithm: Algorithm::HS256,
                key: DecodingKey::from_secret(secret),
            });
            signing.get_or_insert_with(|| SigningKey {
                header: Header::new(Algorithm::HS256),
                key: EncodingKey::from_secret(secret),
            });
        }
        let signing = signing.ok_or_else(|| KeyError("no key signs".into()))?;
        Ok(Self { keys, signing })
    }

    /// Each key in a few words.
    pub(crate) fn describe(&self) -> Vec<String> {
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
        let user = claims.user.get();
        let claims = OwnClaims {
            id: user,
            user_id: user,
            sub: user.to_string(),
            token_type: TOKEN_TYPE,
            jti: format!("{:032x}", u128::from_be_bytes(nonce)),
            iat: claims.issued_at.whole_seconds(),
            exp: claims.expires_at.whole_seconds(),
            sid: claims.session.map(SessionId::get),
        };
        let token = jsonwebtoken::encode(&self.signing.header, &claims, &self.signing.key);
        token
            .map(Secret::new)
            .map_err(|error| PortError(format!("an access token cannot be signed: {error}")))
    }

    fn verify(&self, token: &Secret, now: Timestamp) -> Option<AccessClaims> {
        let header = jsonwebtoken::decode_header(token.expose()).ok()?;
        let fits = |key: &&VerifyingKey| {
            key.algorithm == header.alg && (header.kid.is_none() || header.kid == key.id)
        };
        let claims = self.keys.iter().filter(fits).find_map(|key| {
            let mut validation = Validation::new(key.algorithm);
            // The times are compared below with the engine's clock; tokens may be meant for other
            // services too.
            validation.required_spec_claims.clear();
            (validation.validate_exp, validation.validate_aud) = (false, false);
            jsonwebtoken::decode::<Claims>(token.expose(), &key.key, &validation).ok()
        });
        claims?.claims.read(now)
    }
}

/// What our own tokens say.
#[derive(Serialize)]
struct OwnClaims {
    id: i64,
    user_id: i64,
    sub: String,
    token_type: &'static str,
    jti: String,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<i64>,
}

/// What anybody's tokens may say.
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    user_id: Value,
    #[serde(default)]
    sub: Value,
    token_type: Option<Value>,
    iat: Option<f64>,
    nbf: Option<f64>,
    exp: f64,
    #[serde(default)]
    sid: Value,
}

impl Claims {
    /// What they come to, unless they are not to be believed now.
    fn read(self, now: Timestamp) -> Option<AccessClaims> {
        let expires_at = moment(self.exp)?;
        let begun =
            self.nbf.is_none_or(|nbf| moment(nbf).is_some_and(|nbf| nbf <= now.after(CLOCK_SKEW)));
        let meant = self.token_type.is_none_or(|kind| kind == TOKEN_TYPE);
        if now >= expires_at || !begun || !meant {
            return None;
        }
        let user = [self.id, self.user_id, self.sub].iter().find_map(user_id)?;
        // Only ours is a number; elsewhere a session goes by other names, and is none of ours.
        let session = self.sid.as_i64().and_then(|sid| SessionId::new(sid).ok());
        Some(AccessClaims {
            user,
            session,
            issued_at: self.iat.and_then(moment).unwrap_or_default(),
            expires_at,
        })
    }
}

/// Seconds since the epoch, held to what a [`Timestamp`] can be; `None` for what is no moment.
fn moment(seconds: f64) -> Option<Timestamp> {
    (seconds.is_finite() && seconds >= 0.0)
        .then(|| Timestamp::from_seconds(seconds).unwrap_or(Timestamp::from_micros(i64::MAX)))
}

fn user_id(claim: &Value) -> Option<UserId> {
    match claim {
        Value::Number(number) => UserId::new(number.as_i64()?).ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A secret that is shared with another service is what it is, and old services have short ones.
fn warn_if_short(key: &str, length: usize) {
    if length < ADVISED_SECRET {
        tracing::warn!(
            key,
            length,
            advised = ADVISED_SECRET,
            "this secret is short: whoever guesses it can log in as anybody"
        );
    }
}

fn read_key(key: &config::Key) -> Result<(VerifyingKey, Option<SigningKey>), String> {
    let algorithm = match key.algorithm {
        config::KeyAlgorithm::Hs256 => Algorithm::HS256,
        config::KeyAlgorithm::Rs256 => Algorithm::RS256,
        config::KeyAlgorithm::Es256 => Algorithm::ES256,
        config::KeyAlgorithm::EdDsa => Algorithm::EdDSA,
    };
    let (verifying, signing) = match (algorithm, &key.secret, &key.pem) {
        (Algorithm::HS256, Some(secret), None) => {
            if secret.expose().is_empty() {
                return Err("the secret has 0 bytes".into());
            }
            warn_if_short(&key.kid, secret.expose().len());
            let secret = secret.expose().as_bytes();
            (DecodingKey::from_secret(secret), Some(EncodingKey::from_secret(secret)))
        }
        (Algorithm::HS256, ..) => return Err("HS256 needs a `secret`, and no `pem`".into()),
        (_, None, Some(pem)) => read_pem(algorithm, pem)?,
        _ => return Err(format!("{algorithm:?} needs a `pem`, and no `secret`")),
    };
    let mut header = Header::new(algorithm);
    header.kid = Some(key.kid.clone());
    let signing = match (key.signing, signing) {
        (true, Some(key)) => Some(SigningKey { header, key }),
        (true, None) => {
            return Err("signing = true needs the private key, and this is the public one".into());
        }
        (false, _) => None,
    };
    Ok((VerifyingKey { id: Some(key.kid.clone()), algorithm, key: verifying }, signing))
}

fn read_pem(
    algorithm: Algorithm,
    path: &Path,
) -> Result<(DecodingKey, Option<EncodingKey>), String> {
    let pem = std::fs::read(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let wrong = |error: jsonwebtoken::errors::Error| {
        format!("{} is not a PEM file with a key for {algorithm:?}: {error}", path.display())
    };
    if !String::from_utf8_lossy(&pem).contains("PRIVATE KEY-----") {
        let public = match algorithm.family() {
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(&pem),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(&pem),
            _ => DecodingKey::from_ed_pem(&pem),
        };
        let public = public.map_err(wrong)?;
        let jwk = Jwk::from_decoding_key(&public, Some(algorithm)).map_err(wrong)?;
        return match algorithm_of(&jwk) {
            Some(found) if found == algorithm => Ok((public, None)),
            _ => Err(format!(
                "{} holds a key of another kind than {algorithm:?} needs",
                path.display()
            )),
        };
    }
    let private = match algorithm.family() {
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(&pem),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(&pem),
        _ => EncodingKey::from_ed_pem(&pem),
    };
    let private = private.map_err(wrong)?;
    let public = Jwk::from_encoding_key(&private, algorithm)
        .and_then(|jwk| DecodingKey::from_jwk(&jwk))
        .map_err(wrong)?;
    Ok((public, Some(private)))
}

/// The keys of a JWK Set, RFC 7517 section 5. Keys for encryption are passed over; others must be
/// of an algorithm that is served, as a key that silently does not count would be found out too
/// late.
fn read_jwks(path: &Path) -> Result<Vec<VerifyingKey>, KeyError> {
    let fail = |reason: String| KeyError(format!("`auth.jwt_keys` {}: {reason}", path.display()));
    let text = std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    // The parser's own words may quote a secret.
    let set: JwkSet = serde_json::from_slice(&text)
        .map_err(|error| fail(format!("is not a JWKS file, see line {}", error.line())))?;
    let for_signatures =
        |jwk: &&Jwk| !matches!(jwk.common.public_key_use, Some(jwk::PublicKeyUse::Encryption));
    let keys = set.keys.iter().filter(for_signatures).map(|jwk| {
        let id = jwk.common.key_id.clone();
        let name = id.as_deref().unwrap_or("without kid").to_owned();
        let algorithm = algorithm_of(jwk)
            .ok_or_else(|| fail(format!("key {name:?} is not for HS256, RS256, ES256 or EdDSA")))?;
        let key =
            DecodingKey::from_jwk(jwk).map_err(|error| fail(format!("key {name:?}: {error}")))?;
        if algorithm == Algorithm::HS256 {
            let length = key.try_get_as_bytes().map_or(0, <[u8]>::len);
            if length == 0 {
                return Err(fail(format!("key {name:?}: the secret has 0 bytes")));
            }
            warn_if_short(&name, length);
        }
        Ok(VerifyingKey { id, algorithm, key })
    });
    keys.collect()
}

/// The algorithm that a key is for: the one of its type, which it must not contradict.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, jwk::KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, jwk::KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, jwk::KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, jwk::KeyAlgorithm::HS256),
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|claimed| claimed == named).then_some(algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use serde_json::json;
    use std::path::PathBuf;

    const SECRET: &str = "the secret of the gateway itself";
    const OTHER_SECRET: &str = "a secret that was shared with it";
    const NOW: i64 = 1_700_000_000;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ports/test-keys").join(name)
    }

    fn ring(auth: &str) -> Result<KeyRing, KeyError> {
        let text = auth.replace("KEYS/", &format!("{}/", fixture("").display()));
        let sources = Sources {
            file: Some(("test.toml".into(), format!("[auth]\n{text}"))),
            ..Sources::default()
        };
        KeyRing::load(&Config::load(sources, &[]).unwrap().auth, |required| {
            Ok(required.then(|| Secret::new(SECRET)))
        })
    }

    fn everything() -> KeyRing {
        ring(
            r#"
            jwt_keys = "KEYS/jwks.json"
            [[auth.keys]]
            kid = "shared"
            algorithm = "HS256"
            secret = "a secret that was shared with it"
            [[auth.keys]]
            kid = "rsa"
            algorithm = "RS256"
            pem = "KEYS/rsa.public.pem"
            [[auth.keys]]
            kid = "ec"
            algorithm = "ES256"
            pem = "KEYS/ec.public.pem"
            [[auth.keys]]
            kid = "ed"
            algorithm = "EdDSA"
            pem = "KEYS/ed.public.pem"
        "#,
        )
        .unwrap_or_else(|error| panic!("{error}"))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn user(number: i64) -> UserId {
        UserId::new(number).unwrap()
    }

    /// A token made elsewhere.
    fn token(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey, claims: &Value) -> Secret {
        let mut header = Header::new(algorithm);
        header.kid = kid.map(str::to_owned);
        Secret::new(jsonwebtoken::encode(&header, claims, key).unwrap())
    }

    fn read(name: &str) -> Vec<u8> {
        std::fs::read(fixture(name)).unwrap()
    }

    fn good() -> Value {
        json!({"id": 7, "exp": NOW + 60})
    }

    #[test]
    fn what_is_signed_is_verified_until_it_expires() {
        for auth in [
            "",
            "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"a secret that was shared with it\"\nsigning = true",
            "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"RS256\"\npem = \"KEYS/rsa.private.pem\"\nsigning = true",
            "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"ES256\"\npem = \"KEYS/ec.private.pem\"\nsigning = true",
            "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"EdDSA\"\npem = \"KEYS/ed.private.pem\"\nsigning = true",
        ] {
            let ring = ring(auth).unwrap_or_else(|error| panic!("{error}"));
            let claims = AccessClaims {
                user: user(7),
                session: SessionId::new(3).ok(),
                issued_at: at(NOW),
                expires_at: at(NOW + 60),
            };
            let token = ring.sign(&claims, [1; 16]).unwrap();
            assert_eq!(ring.verify(&token, at(NOW + 59)), Some(claims.clone()), "{auth}");
            assert_eq!(ring.verify(&token, at(NOW + 60)), None, "{auth}");
            assert_ne!(
                ring.sign(&claims, [2; 16]).unwrap(),
                token,
                "tokens are unique by their nonce"
            );
            assert_eq!(
                everything().verify(&token, at(NOW)).is_some(),
                auth.is_empty(),
                "another ring knows no key called a: {auth}"
            );
        }
    }

    #[test]
    fn our_tokens_say_what_was_agreed() {
        let claims = AccessClaims {
            user: user(7),
            session: SessionId::new(3).ok(),
            issued_at: at(NOW),
            expires_at: at(NOW + 60),
        };
        let token = everything().sign(&claims, [1; 16]).unwrap();
        let said: Value = jsonwebtoken::dangerous::insecure_decode(token.expose()).unwrap().claims;
        let jti = "01".repeat(16);
        let agreed = json!({"id": 7, "user_id": 7, "sub": "7", "token_type": "access", "jti": jti, "iat": NOW, "exp": NOW + 60, "sid": 3});
        assert_eq!(said, agreed);
    }

    #[test]
    fn a_token_is_verified_with_the_keys_it_may_be_of() {
        let secret = |secret: &str| EncodingKey::from_secret(secret.as_bytes());
        let rsa = || EncodingKey::from_rsa_pem(&read("rsa.private.pem")).unwrap();
        let ec = || EncodingKey::from_ec_pem(&read("ec.private.pem")).unwrap();
        let ed = || EncodingKey::from_ed_pem(&read("ed.private.pem")).unwrap();
        let elsewhere = || EncodingKey::from_ed_pem(&read("elsewhere.private.pem")).unwrap();
        let ring = everything();
        for (why, algorithm, kid, key, accepted) in [
            ("our own secret", Algorithm::HS256, None, secret(SECRET), true),
            (
                "the shared secret, named",
                Algorithm::HS256,
                Some("shared"),
                secret(OTHER_SECRET),
                true,
            ),
            ("the shared secret, unnamed", Algorithm::HS256, None, secret(OTHER_SECRET), true),
            (
                "a secret of nobody",
                Algorithm::HS256,
                None,
                secret("a secret of nobody at all, I say"),
                false,
            ),
            ("an empty secret", Algorithm::HS256, None, secret(""), false),
            (
                "our own secret under another's name",
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
            ("that key under the name of ours", Algorithm::EdDSA, Some("ed"), elsewhere(), false),
            ("our key under the name of that", Algorithm::EdDSA, Some("elsewhere"), ed(), false),
        ] {
            let token = token(algorithm, kid, &key, &good());
            assert_eq!(ring.verify(&token, at(NOW)).is_some(), accepted, "{why}");
        }
    }

    #[test]
    fn what_is_not_a_signed_token_is_refused() {
        use base64::Engine;
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
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
    fn claims_are_believed_only_if_they_are_good_now() {
        for (claims, expected) in [
            (json!({"id": 7, "exp": NOW + 1}), Some(7)),
            (json!({"id": "7", "exp": NOW + 1}), Some(7)),
            (json!({"user_id": 7, "exp": NOW + 1}), Some(7)),
            (json!({"user_id": "7", "exp": NOW + 1}), Some(7)),
            (json!({"sub": "7", "exp": NOW + 1}), Some(7)),
            (json!({"sub": 7, "exp": NOW + 1}), Some(7)),
            (json!({"id": 7, "user_id": 8, "sub": "9", "exp": NOW + 1}), Some(7)),
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
            (json!({"id": 7, "exp": 1e300}), Some(7)),
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
    fn sessions_of_others_are_not_ours() {
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
    fn keys_that_cannot_be_used_are_named() {
        let key = |rest: &str| format!("[[auth.keys]]\nkid = \"a\"\n{rest}\n");
        let ed = key("algorithm = \"EdDSA\"\npem = \"KEYS/ed.private.pem\"\nsigning = true");
        for (auth, expected) in [
            (key("algorithm = \"HS256\"\nsecret = \"\""), "\"a\": the secret has 0 bytes"),
            (key("algorithm = \"HS256\"\npem = \"x\""), "HS256 needs a `secret`"),
            (key("algorithm = \"RS256\"\nsecret = \"x\""), "RS256 needs a `pem`"),
            (key("algorithm = \"RS256\""), "RS256 needs a `pem`"),
            (key("algorithm = \"RS256\"\npem = \"KEYS/absent.pem\""), "absent.pem cannot be read"),
            (
                key("algorithm = \"RS256\"\npem = \"KEYS/jwks.json\""),
                "is not a PEM file with a key for RS256",
            ),
            (key("algorithm = \"RS256\"\npem = \"KEYS/ec.public.pem\""), "RS256"),
            (key("algorithm = \"RS256\"\npem = \"KEYS/ec.private.pem\""), "RS256"),
            (key("algorithm = \"EdDSA\"\npem = \"KEYS/ec.public.pem\""), "EdDSA"),
            (key("algorithm = \"ES256\"\npem = \"KEYS/p384.public.pem\""), "ES256"),
            (
                key("algorithm = \"EdDSA\"\npem = \"KEYS/ed.public.pem\"\nsigning = true"),
                "needs the private key",
            ),
            (format!("{ed}{ed}"), "another key has the same kid"),
            (
                format!("{ed}{}", ed.replace("\"a\"", "\"b\"")),
                "only one key may have signing = true",
            ),
            ("jwt_keys = \"KEYS/absent.json\"".to_owned(), "absent.json: cannot be read"),
            ("jwt_keys = \"KEYS/ed.public.pem\"".to_owned(), "is not a JWKS file"),
            ("jwt_keys = \"KEYS/jwks-empty-secret.json\"".to_owned(), "the secret has 0 bytes"),
            (
                "jwt_keys = \"KEYS/jwks-other-algorithm.json\"".to_owned(),
                "is not for HS256, RS256, ES256 or EdDSA",
            ),
        ] {
            let error = ring(&auth).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(expected), "{auth}\n  said {error:?}\n  not  {expected:?}");
        }
    }

    #[test]
    fn a_signing_key_takes_the_place_of_our_own_secret() {
        let ed = "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"EdDSA\"\npem = \"KEYS/ed.private.pem\"\nsigning = true";
        assert_eq!(
            ring(ed).unwrap_or_else(|error| panic!("{error}")).describe(),
            ["EdDSA \"a\" (signs)"]
        );
        let both = format!("jwt_secret = \"{SECRET}\"\n{ed}");
        assert_eq!(
            ring(&both).unwrap_or_else(|error| panic!("{error}")).describe(),
            ["EdDSA \"a\" (signs)", "HS256 without kid"]
        );
        assert_eq!(
            ring("").unwrap_or_else(|error| panic!("{error}")).describe(),
            ["HS256 without kid (signs)"]
        );
    }
}
