//! Claims of access tokens, RFC 7519 section 4.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use tolmach_domain::{SessionId, Timestamp, UserId};
use tolmach_engine::ports::AccessClaims;

/// The tolerated difference between clocks for `nbf`, the time from which a token is valid.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
const TOKEN_TYPE: &str = "access";

/// The claims of tokens that are signed here. The user stands in three of them because consumers
/// differ in which one they read.
#[derive(Serialize)]
pub(super) struct OwnClaims {
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

impl OwnClaims {
    /// The claims of a new token, unique by `nonce`.
    pub(super) fn new(claims: &AccessClaims, nonce: [u8; 16]) -> Self {
        let user = claims.user.get();
        Self {
            id: user,
            user_id: user,
            sub: user.to_string(),
            token_type: TOKEN_TYPE,
            jti: format!("{:032x}", u128::from_be_bytes(nonce)),
            iat: claims.issued_at.whole_seconds(),
            exp: claims.expires_at.whole_seconds(),
            sid: claims.session.map(SessionId::get),
        }
    }
}

/// The claims of tokens that may have been signed elsewhere.
#[derive(Deserialize)]
pub(super) struct Claims {
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
    /// The claims in the engine's form; `None` unless the token is an access token that is valid
    /// at `now` and names one user. A token without a session of this gateway is another issuer's,
    /// and may live for `max_lifetime`: from its issue, if it says when that was, and from now.
    pub(super) fn read(self, now: Timestamp, max_lifetime: Duration) -> Option<AccessClaims> {
        let expires_at = timestamp(self.exp)?;
        let begun = self
            .nbf
            .is_none_or(|nbf| timestamp(nbf).is_some_and(|nbf| nbf <= now.after(CLOCK_SKEW)));
        let is_access = self.token_type.is_none_or(|kind| kind == TOKEN_TYPE);
        if now >= expires_at || !begun || !is_access {
            return None;
        }
        let claims = [self.id, self.user_id, self.sub];
        let mut users = claims.iter().filter_map(user_id);
        let user = users.next()?;
        // Consumers differ in which claim they read: a token must not be another user's to each.
        if users.any(|other| other != user) {
            return None;
        }
        // Session ids are numbers only in tokens that were signed here.
        let session = self.sid.as_i64().and_then(|sid| SessionId::new(sid).ok());
        let issued_at = self.iat.and_then(timestamp);
        let begins = issued_at.unwrap_or(now).min(now);
        if session.is_none() && begins.after(max_lifetime) < expires_at {
            return None;
        }
        Some(AccessClaims { user, session, issued_at: issued_at.unwrap_or_default(), expires_at })
    }
}

/// Seconds since the epoch as a [`Timestamp`], at most its largest value; `None` for negative and
/// non-finite numbers.
fn timestamp(seconds: f64) -> Option<Timestamp> {
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
