//! Passwords, hashed with bcrypt off the async threads.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tolmach_domain::Secret;
use tolmach_engine::ports::{PasswordError, Passwords};

/// What bcrypt reads of a password, in bytes.
const BCRYPT_LIMIT: usize = 72;

/// How far hashing gives way to those who deliver messages: with all cores busy it has a tenth of
/// one of them.
const NICENESS: i32 = 10;

/// Hashes with bcrypt: so many at once, so many waiting, the others are refused.
pub(crate) struct Bcrypt {
    cost: u32,
    /// What a password is compared with where there is no account: nobody's, of the same cost.
    nobodys: String,
    /// Running and waiting.
    places: Arc<Semaphore>,
    /// Running.
    workers: Arc<Semaphore>,
}

impl Bcrypt {
    /// `cost` is 4 to 31; `workers` run at once (0: one per core), and `queue` wait.
    pub(crate) fn new(cost: u32, workers: usize, queue: usize) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if workers == 0 { cores() } else { workers };
        let nobodys = format!(
            "$2b${cost:02}${salt}{hash}",
            salt = "tolmachtolmachtolmachO",
            hash = "tolmachtolmachtolmachtolmachtoK"
        );
        let places =
            Arc::new(Semaphore::new(workers.saturating_add(queue).min(Semaphore::MAX_PERMITS)));
        Self { cost, nobodys, places, workers: Arc::new(Semaphore::new(workers)) }
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> bcrypt::BcryptResult<T> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let worker = self.workers.clone().acquire_owned().await.map_err(failed)?;
        let (answer, answered) = oneshot::channel();
        // A thread of its own, since it gives way to everything else, and cannot take that back.
        let thread = std::thread::Builder::new().name("password".into()).spawn(move || {
            // Where the system does not allow it, it works like any other thread.
            let _ = rustix::process::nice(NICENESS);
            let done = work();
            // Held to the end of the work, also when whoever asked has gone.
            drop::<[OwnedSemaphorePermit; 2]>([place, worker]);
            // Whoever asked may have gone.
            let _ = answer.send(done);
        });
        thread.map_err(failed)?;
        let done = answered.await.map_err(failed)?;
        done.map_err(failed)
    }
}

#[async_trait]
impl Passwords for Bcrypt {
    async fn hash(&self, password: &Secret) -> Result<String, PasswordError> {
        let (password, cost) = (prepare(password), self.cost);
        self.work(move || bcrypt::hash(password.expose(), cost)).await
    }

    async fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool, PasswordError> {
        let (password, known, hash) =
            (prepare(password), hash.is_some(), hash.unwrap_or(&self.nobodys).to_owned());
        let right = self.work(move || bcrypt::verify(password.expose(), &hash)).await?;
        Ok(known && right)
    }
}

fn failed(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Failed(error.to_string())
}

/// What bcrypt is given: the password, or its hash where bcrypt would not read the whole.
fn prepare(password: &Secret) -> Secret {
    let bytes = password.expose().as_bytes();
    // A zero ends a password for bcrypt, and passwords that are all zeros are one.
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

    fn quick() -> Bcrypt {
        Bcrypt::new(4, 1, 0)
    }

    #[tokio::test]
    async fn only_the_whole_password_is_right() {
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
            let hash = bcrypt.hash(&Secret::new(&password)).await.unwrap();
            assert!(hash.starts_with("$2b$04$"), "{hash}");
            assert_eq!(
                bcrypt.verify(&Secret::new(&password), Some(&hash)).await,
                Ok(true),
                "{password:?}"
            );
            assert_eq!(
                bcrypt.verify(&Secret::new(&other), Some(&hash)).await,
                Ok(false),
                "{password:?} {other:?}"
            );
        }
    }

    #[tokio::test]
    async fn hashes_of_other_makers_are_read() {
        // The vectors of the original implementation, in its three spellings.
        for hash in [
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        ] {
            assert_eq!(quick().verify(&Secret::new("U*U"), Some(hash)).await, Ok(true));
            assert_eq!(quick().verify(&Secret::new("U*V"), Some(hash)).await, Ok(false));
        }
    }

    #[tokio::test]
    async fn nobodys_password_is_never_right_and_costs_the_same() {
        for cost in [4, 5] {
            let bcrypt = Bcrypt::new(cost, 1, 0);
            let parts: bcrypt::HashParts = bcrypt.nobodys.parse().unwrap();
            assert_eq!(parts.get_cost(), cost);
            assert_eq!(bcrypt.verify(&Secret::new("a"), None).await, Ok(false));
        }
    }

    #[tokio::test]
    async fn a_hash_that_is_none_is_a_failure() {
        assert!(matches!(
            quick().verify(&Secret::new("a"), Some("secret")).await,
            Err(PasswordError::Failed(_))
        ));
    }

    #[tokio::test]
    async fn who_finds_no_place_is_refused_and_places_come_back() {
        let bcrypt = Bcrypt::new(4, 1, 1);
        let password = Secret::new("a");
        let held = bcrypt.workers.clone().acquire_owned().await.unwrap();
        let (mut first, mut second) =
            (Box::pin(bcrypt.hash(&password)), Box::pin(bcrypt.hash(&password)));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(bcrypt.hash(&password).await, Err(PasswordError::Busy));
        // One who goes away gives the place back.
        drop(second);
        let mut third = Box::pin(bcrypt.hash(&password));
        assert!((&mut third).now_or_never().is_none());
        drop(held);
        assert!(first.await.is_ok() && third.await.is_ok());
        assert!(bcrypt.hash(&password).await.is_ok());
    }
}
