//! Opening and closing of the backend.

use super::bus::redis_bus;
use super::key_ring::open_key_ring;
use super::mail::mail_target;
use super::options::{bcrypt_options, policy, store_options};
use super::photos::photo_target;
use super::store_url::store_url;
use crate::config::Config;
use crate::error::CliError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tolmach_adapters::{
    Bcrypt, MailOptions, MailSender, OsEntropy, SystemClock, create_private_folder,
};
use tolmach_bus::{InProcess, RedisBus};
use tolmach_engine::ports::{Bus, Store};
use tolmach_engine::{Engine, Ports};
use tolmach_store::SqlStore;

/// The time limit of a call of the store in a process that imports, at least.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// The engine, and the parts of it that are used directly.
pub(crate) struct Backend {
    pub(crate) engine: Arc<Engine>,
    pub(crate) bus: Arc<dyn Bus>,
    /// The bus, if it is a Redis.
    pub(crate) redis: Option<Arc<RedisBus>>,
    store: Arc<dyn Store>,
}

impl Backend {
    /// Opens everything. Creates the data folder if it is missing, and brings the store up to date.
    pub(crate) async fn open(config: &Config, data: &Path) -> Result<Self, CliError> {
        Self::open_with(config, data, store_options(config)).await
    }

    /// The same for a process that imports, which waits for its turn rather than fails.
    pub(crate) async fn open_for_import(config: &Config, data: &Path) -> Result<Self, CliError> {
        let options = store_options(config);
        let timeout = options.timeout.max(IMPORT_TIMEOUT);
        let options = tolmach_store::Options { is_import: true, timeout, ..options };
        Self::open_with(config, data, options).await
    }

    async fn open_with(
        config: &Config,
        data: &Path,
        options: tolmach_store::Options,
    ) -> Result<Self, CliError> {
        create_private_folder(data)?;
        let entropy = Arc::new(OsEntropy::new()?);
        let redis = redis_bus(config, &*entropy)?;
        let bus: Arc<dyn Bus> = match &redis {
            Some(redis) => redis.clone(),
            None => Arc::new(InProcess::default()),
        };
        let signer = Arc::new(open_key_ring(&config.auth, data, &*entropy)?);
        let (mail, photos) = (mail_target(config, data)?, photo_target(config, data)?);
        let store: Arc<dyn Store> =
            SqlStore::open(store_url(config, data).expose(), bus.clone(), options).await?;
        let mail_options = MailOptions { from: config.mail.from.clone(), target: mail };
        let ports = Ports {
            store: store.clone(),
            bus: bus.clone(),
            clock: Arc::new(SystemClock::default()),
            entropy,
            mailer: Arc::new(MailSender::open(mail_options)?),
            blobs: photos.open()?,
            passwords: Arc::new(Bcrypt::new(bcrypt_options(config))),
            signer,
        };
        let engine = Arc::new(Engine::new(ports, policy(config)));
        Ok(Self { engine, bus, redis, store })
    }

    /// Waits for the store's pending writes, and closes the store and the bus.
    pub(crate) async fn close(self) {
        self.store.close().await;
        self.bus.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_redis_that_is_away_does_not_keep_the_backend_from_opening() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::with_file("[bus]\nurl = \"redis://127.0.0.1:1\"");
        let backend = Backend::open(&config, folder.path()).await.unwrap();
        let error = backend.bus.last_error();
        assert!(error.as_ref().is_some_and(|error| error.contains("127.0.0.1:1")), "{error:?}");
        backend.close().await;
    }
}
