//! The ports that need a few lines each, in memory.

use super::sync::lock;
use crate::ports::{
    AccessClaims, Blobs, Clock, Entropy, HashOrigin, Mail, Mailer, PasswordCheck, PasswordError,
    Passwords, PortError, Signer, StoredBlob,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tolmach_domain::{Secret, SessionId, Timestamp, UserId};

/// A clock that is set by hand; sleeping advances it and returns at once.
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock set to `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.micros()))
    }

    /// Advances it and returns the new time.
    pub fn advance(&self, duration: Duration) -> Timestamp {
        let now = self.now().after(duration);
        self.set(now);
        now
    }

    /// Sets it, also to an earlier time.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.micros(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

/// A pseudo-random sequence of bytes, the same in every run, without a repeated word within 2^64
/// calls: for tests only.
pub struct SeededEntropy {
    seed: u64,
    count: AtomicU64,
}

impl SeededEntropy {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, count: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let count = self.count.fetch_add(1, Ordering::Relaxed);
            // SplitMix64: a bijection of the counter, so that no word repeats.
            let mut word =
                self.seed.wrapping_add(count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Stores mail instead of sending it.
#[derive(Default)]
pub struct MemoryMailer(Mutex<Vec<Mail>>);

impl MemoryMailer {
    /// A mailer without mail.
    pub fn new() -> Self {
        Self::default()
    }

    /// The mail sent since the last call, oldest first.
    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *lock(&self.0))
    }
}

#[async_trait]
impl Mailer for MemoryMailer {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        lock(&self.0).push(mail);
        Ok(())
    }
}

/// Stores blobs in memory.
#[derive(Default)]
pub struct MemoryBlobs(Mutex<BTreeMap<String, Bytes>>);

impl MemoryBlobs {
    /// A store without blobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys of all blobs, ordered.
    pub fn keys(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, key: &str, content: Bytes) -> Result<(), PortError> {
        lock(&self.0).insert(key.to_owned(), content);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, PortError> {
        Ok(lock(&self.0).get(key).cloned())
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        lock(&self.0).remove(key);
        Ok(())
    }

    fn list(&self) -> BoxStream<'_, Result<StoredBlob, PortError>> {
        let blob = |(key, content): (&String, &Bytes)| {
            // There is no clock: every blob was put at the epoch.
            let stored_at = Timestamp::default();
            Ok(StoredBlob { key: key.clone(), bytes: content.len() as u64, stored_at })
        };
        let blobs: Vec<_> = lock(&self.0).iter().map(blob).collect();
        stream::iter(blobs).boxed()
    }
}

/// Passwords in the clear instead of hashes: for tests, where bcrypt would take most of the time.
#[derive(Default)]
pub struct PlainPasswords;

const PLAIN: &str = "plain:";

/// The beginning of a hash that counts as one of another server.
const LEGACY: &str = "legacy:";

#[async_trait]
impl Passwords for PlainPasswords {
    async fn hash(&self, password: &Secret, _: HashOrigin) -> Result<String, PasswordError> {
        Ok(format!("{PLAIN}{}", password.expose()))
    }

    async fn verify(
        &self,
        password: &Secret,
        hash: Option<&str>,
        _: HashOrigin,
    ) -> Result<PasswordCheck, PasswordError> {
        let Some(hash) = hash else { return Ok(PasswordCheck::Wrong) };
        match (hash.strip_prefix(PLAIN), hash.strip_prefix(LEGACY)) {
            (Some(expected), _) if expected == password.expose() => Ok(PasswordCheck::Right),
            (_, Some(expected)) if expected == password.expose() => {
                Ok(PasswordCheck::RightByLegacyHash)
            }
            (Some(_), _) | (_, Some(_)) => Ok(PasswordCheck::Wrong),
            (None, None) => Err(PasswordError::Failed(PortError::new(
                "the hash was not made by PlainPasswords",
            ))),
        }
    }

    fn check_hash(&self, hash: &str) -> Result<(), String> {
        match hash.starts_with(PLAIN) || hash.starts_with(LEGACY) {
            true => Ok(()),
            false => Err("it was not made by PlainPasswords".into()),
        }
    }
}

/// Tokens without a signature, which anyone can write: for tests.
///
/// A token is `plain.user.session.issued.expires.nonce`: session 0 for none, times in microseconds,
/// the nonce in hexadecimal.
#[derive(Default)]
pub struct PlainSigner;

impl Signer for PlainSigner {
    fn sign(&self, claims: &AccessClaims, nonce: [u8; 16]) -> Result<Secret, PortError> {
        let session = claims.session.map_or(0, SessionId::get);
        let (issued_at, expires_at) = (claims.issued_at.micros(), claims.expires_at.micros());
        Ok(Secret::new(format!(
            "plain.{}.{session}.{issued_at}.{expires_at}.{:032x}",
            claims.user,
            u128::from_be_bytes(nonce)
        )))
    }

    fn verify(&self, token: &Secret, now: Timestamp) -> Option<AccessClaims> {
        let mut parts = token.expose().strip_prefix("plain.")?.split('.').map(str::parse::<i64>);
        let mut number = || parts.next()?.ok();
        let user = UserId::new(number()?).ok()?;
        let session = match number()? {
            0 => None,
            session => Some(SessionId::new(session).ok()?),
        };
        let (issued_at, expires_at) =
            (Timestamp::from_micros(number()?), Timestamp::from_micros(number()?));
        (now < expires_at).then_some(AccessClaims { user, session, issued_at, expires_at })
    }
}
