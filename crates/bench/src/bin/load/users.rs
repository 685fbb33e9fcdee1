//! The users that connect in a run, with their credentials.

use crate::result::BenchResult;
use tolmach_adapters::{KeyRing, KeyRingOptions};
use tolmach_domain::{Secret, Timestamp, UserId, UserSummary};
use tolmach_engine::ports::{AccessClaims, Signer};

/// The password of every user.
pub(crate) const PASSWORD: &str = "a password";
/// The lowest bcrypt cost, for runs that do not measure logins.
pub(crate) const LOWEST_COST: u32 = 4;
/// The secret that the gateway under test verifies access tokens with.
pub(crate) const SIGNING_SECRET: &str = "a secret that is not one, for benches only";
/// The lifetime of tokens, in seconds: the gateway's default. It would renew shorter ones, by a
/// durable write, when they are first used.
const LIFETIME: i64 = 5 * 86_400;

/// A user with an account and an open session.
#[derive(Debug, Clone)]
pub(crate) struct BenchUser {
    pub(crate) id: UserId,
    pub(crate) login: String,
    /// An access token.
    pub(crate) access: Secret,
    /// An opaque token.
    pub(crate) token: Secret,
}

impl BenchUser {
    pub(crate) fn summary(&self) -> UserSummary {
        UserSummary::named(self.id, self.login.as_str())
    }
}

/// Signs access tokens as the gateway under test does.
pub(crate) struct TokenSigner(KeyRing);

impl TokenSigner {
    pub(crate) fn new() -> BenchResult<Self> {
        let secret = Some(Secret::new(SIGNING_SECRET));
        Ok(Self(KeyRing::load(&KeyRingOptions { secret, ..KeyRingOptions::default() })?))
    }

    /// An access token of a user.
    pub(crate) fn access_token(&self, user: UserId, now: Timestamp) -> BenchResult<Secret> {
        let claims =
            AccessClaims { user, session: None, issued_at: now, expires_at: expires_at(now) };
        Ok(self.0.sign(&claims, u128::from(user.get().unsigned_abs()).to_be_bytes())?)
    }
}

/// An opaque token of a user: as long as those of the gateway, from the same alphabet, and unique.
pub(crate) fn opaque_token(user: UserId) -> Secret {
    Secret::new(format!("{:043}", user.get()))
}

/// The time at which a token that is issued now expires.
pub(crate) fn expires_at(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.micros() + LIFETIME * 1_000_000)
}
