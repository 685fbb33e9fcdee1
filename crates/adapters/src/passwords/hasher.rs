//! Passwords, hashed with bcrypt off the async threads.

use super::form::HashForm;
use super::legacy::verify;
use crate::password_queue::PasswordQueue;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::oneshot;
use tolmach_domain::Secret;
use tolmach_engine::ports::{HashOrigin, PasswordCheck, PasswordError, Passwords, PortError};

/// The part of a password that bcrypt reads, in bytes.
const BCRYPT_LIMIT: usize = 72;

/// The niceness of hashing threads, low enough that delivery keeps its latency: with all cores busy
/// a thread of niceness 10 gets about a tenth of one.
const NICENESS: i32 = 10;

/// Options of [`Bcrypt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BcryptOptions {
    /// The cost of a hash, 4 to 31: one more takes twice as long. Default: 12.
    pub cost: u32,
    /// Passwords hashed at once; 0 for one per core. Registrations take at most half of them, and
    /// at least one. Default: 0.
    pub workers: usize,
    /// Passwords waiting to be hashed, of logins and of registrations each. A further one is
    /// [`PasswordError::Busy`], unless its address has fewer of them than another, whose newest one
    /// is then. Default: 256.
    pub queue: usize,
}

impl Default for BcryptOptions {
    fn default() -> Self {
        Self { cost: 12, workers: 0, queue: 256 }
    }
}

/// Hashes passwords with bcrypt: a bounded number at once, a bounded number waiting. Verifies the
/// hashes of [`HashForm`] too.
///
/// ```
/// use tolmach_adapters::{Bcrypt, BcryptOptions};
/// use tolmach_domain::Secret;
/// use tolmach_engine::ports::{HashClass, HashOrigin, PasswordCheck, Passwords};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bcrypt = Bcrypt::new(BcryptOptions { cost: 4, ..BcryptOptions::default() });
/// let password = Secret::new("correct horse");
/// let origin = HashOrigin { class: HashClass::Registration, source: None };
/// let hash = bcrypt.hash(&password, origin).await?;
/// let origin = HashOrigin { class: HashClass::Login, source: None };
/// assert_eq!(bcrypt.verify(&password, Some(&hash), origin).await?, PasswordCheck::Right);
/// assert_eq!(bcrypt.verify(&password, None, origin).await?, PasswordCheck::Wrong);
/// # Ok(())
/// # }
/// ```
pub struct Bcrypt {
    cost: u32,
    /// A hash of the same cost that no password has: compared with where there is no account, so
    /// that the response takes as long.
    dummy_hash: String,
    queue: Arc<PasswordQueue>,
}

impl Bcrypt {
    /// A hasher. Starts no thread yet.
    pub fn new(options: BcryptOptions) -> Self {
        let BcryptOptions { cost, workers, queue } = options;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if workers == 0 { cores() } else { workers };
        let dummy_hash = format!(
            "$2b${cost:02}${salt}{hash}",
            salt = "tolmachtolmachtolmachO",
            hash = "tolmachtolmachtolmachtolmachtoK"
        );
        Self { cost, dummy_hash, queue: PasswordQueue::new(workers, queue) }
    }

    async fn run<T, E>(
        &self,
        origin: HashOrigin,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, PasswordError>
    where
        T: Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let worker = self.queue.worker(origin).await.map_err(|_| PasswordError::Busy)?;
        let (sender, receiver) = oneshot::channel();
        // A thread of its own: niceness is per thread, and cannot be lowered again.
        let thread = std::thread::Builder::new().name("password".into()).spawn(move || {
            // An error means that the system refuses: the thread then runs at the normal priority.
            let _ = rustix::process::nice(NICENESS);
            let result = work();
            // Held until the work is done, even if the caller was cancelled meanwhile.
            drop(worker);
            // An error means that the caller was cancelled.
            let _ = sender.send(result);
        });
        thread.map_err(failed)?;
        receiver.await.map_err(failed)?.map_err(failed)
    }
}

#[async_trait]
impl Passwords for Bcrypt {
    async fn hash(&self, password: &Secret, origin: HashOrigin) -> Result<String, PasswordError> {
        let (password, cost) = (prepare(password), self.cost);
        self.run(origin, move || bcrypt::hash(password.expose(), cost)).await
    }

    async fn verify(
        &self,
        password: &Secret,
        hash: Option<&str>,
        origin: HashOrigin,
    ) -> Result<PasswordCheck, PasswordError> {
        let (password, prepared) = (password.clone(), prepare(password));
        let form = HashForm::parse(hash.unwrap_or(&self.dummy_hash)).map_err(failed)?;
        let is_legacy = form.is_legacy();
        let matches = self.run(origin, move || verify(&form, &password, &prepared)).await?;
        Ok(match (hash.is_some() && matches, is_legacy) {
            (false, _) => PasswordCheck::Wrong,
            (true, false) => PasswordCheck::Right,
            (true, true) => PasswordCheck::RightByLegacyHash,
        })
    }

    fn check_hash(&self, hash: &str) -> Result<(), String> {
        HashForm::parse(hash).map(drop).map_err(|error| error.to_string())
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> PasswordError {
    PasswordError::Failed(PortError::caused_by("a password cannot be hashed", error))
}

/// The input of bcrypt: the password, or its SHA-256 in base64 where bcrypt would not read all of
/// it, that is after 72 bytes or a zero byte.
fn prepare(password: &Secret) -> Secret {
    let bytes = password.expose().as_bytes();
    if bytes.len() <= BCRYPT_LIMIT && !bytes.contains(&0) {
        password.clone()
    } else {
        Secret::new(STANDARD.encode(Sha256::digest(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tolmach_engine::ports::HashClass;

    const ORIGIN: HashOrigin = HashOrigin { class: HashClass::Login, source: None };

    fn bcrypt(cost: u32, queue: usize) -> Bcrypt {
        Bcrypt::new(BcryptOptions { cost, workers: 1, queue })
    }

    fn quick() -> Bcrypt {
        bcrypt(4, 0)
    }

    #[tokio::test]
    async fn a_password_counts_to_its_last_byte() {
        let long = |end: &str| format!("{}{end}", "x".repeat(100));
        let edge = |length: usize| "y".repeat(length);
        for (password, other) in [
            ("a".to_owned(), "b".to_owned()),
            ("a".into(), "A".into()),
            ("a".into(), "a ".into()),
            ("пароль".into(), "парол".into()),
            (long("1"), long("2")),
            (edge(71), edge(72)),
            (edge(72), edge(73)),
            (edge(73), edge(74)),
            ("nul\0one".into(), "nul\0two".into()),
            ("nul\0".into(), "nul".into()),
        ] {
            let bcrypt = quick();
            let hash = bcrypt.hash(&Secret::new(&password), ORIGIN).await.unwrap();
            assert!(hash.starts_with("$2b$04$"), "{hash}");
            assert_eq!(
                bcrypt.verify(&Secret::new(&password), Some(&hash), ORIGIN).await,
                Ok(PasswordCheck::Right),
                "{password:?}"
            );
            assert_eq!(
                bcrypt.verify(&Secret::new(&other), Some(&hash), ORIGIN).await,
                Ok(PasswordCheck::Wrong),
                "{password:?} {other:?}"
            );
        }
    }

    #[tokio::test]
    async fn hashes_of_other_implementations_are_read() {
        // Test vectors of crypt_blowfish, with both prefixes.
        for hash in [
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        ] {
            assert_eq!(
                quick().verify(&Secret::new("U*U"), Some(hash), ORIGIN).await,
                Ok(PasswordCheck::Right)
            );
            assert_eq!(
                quick().verify(&Secret::new("U*V"), Some(hash), ORIGIN).await,
                Ok(PasswordCheck::Wrong)
            );
        }
    }

    #[tokio::test]
    async fn without_an_account_no_password_matches_and_the_cost_is_the_same() {
        for cost in [4, 5] {
            let bcrypt = bcrypt(cost, 0);
            let parts: ::bcrypt::HashParts = bcrypt.dummy_hash.parse().unwrap();
            assert_eq!(parts.get_cost(), cost);
            assert_eq!(
                bcrypt.verify(&Secret::new("a"), None, ORIGIN).await,
                Ok(PasswordCheck::Wrong)
            );
        }
    }

    #[tokio::test]
    async fn a_malformed_hash_is_an_error() {
        assert!(matches!(
            quick().verify(&Secret::new("a"), Some("secret"), ORIGIN).await,
            Err(PasswordError::Failed(_))
        ));
    }

    #[tokio::test]
    async fn work_beyond_the_queue_is_refused_until_a_permit_is_free_again() {
        let bcrypt = bcrypt(4, 1);
        let password = Secret::new("a");
        let hash = || Box::pin(bcrypt.hash(&password, ORIGIN));
        let held = bcrypt.queue.worker(ORIGIN).await.unwrap();
        let mut first = hash();
        assert!((&mut first).now_or_never().is_none());
        assert_eq!(hash().await, Err(PasswordError::Busy));
        // A cancelled caller leaves its place.
        drop(first);
        let mut second = hash();
        assert!((&mut second).now_or_never().is_none());
        drop(held);
        assert!(second.await.is_ok());
        assert!(hash().await.is_ok());
    }
}
