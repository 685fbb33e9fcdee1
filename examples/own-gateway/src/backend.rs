//! The store, the bus and the engine behind the dialects, all below one folder.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use tolmach_adapters::{
    Bcrypt, BcryptOptions, KeyRing, KeyRingOptions, MailOptions, MailSender, MailTarget, OsEntropy,
    PhotoFolder, SystemClock, create_private_folder, read_or_create,
};
use tolmach_bus::InProcess;
use tolmach_domain::Secret;
use tolmach_engine::ports::{Bus, Entropy, Store};
use tolmach_engine::{Engine, Policy, Ports};
use tolmach_store::SqlStore;

/// An engine on one SQLite file.
pub struct Backend {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// The events of the store, within this process.
    pub bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
}

impl Backend {
    /// Opens everything below `data`, and creates what does not exist yet.
    pub async fn open(data: &Path) -> Result<Self, Box<dyn Error>> {
        create_private_folder(data)?;
        let bus: Arc<dyn Bus> = Arc::new(InProcess::default());
        let entropy = Arc::new(OsEntropy::new()?);
        let url = format!("sqlite://{}?mode=rwc", data.join("own-gateway.sqlite").display());
        let options = tolmach_store::Options::default();
        let store: Arc<dyn Store> = SqlStore::open(&url, bus.clone(), options).await?;
        // The secret that signs access tokens is made once and kept.
        let secret = read_or_create(&data.join("jwt_secret"), || {
            let mut secret = [0; 32];
            entropy.fill(&mut secret);
            secret.map(|byte| format!("{byte:02x}")).concat().into_bytes()
        })?;
        let keys = KeyRingOptions {
            secret: Some(Secret::new(String::from_utf8(secret)?)),
            ..KeyRingOptions::default()
        };
        let mail =
            MailOptions { target: MailTarget::Folder(data.join("mail")), ..MailOptions::default() };
        let ports = Ports {
            store: store.clone(),
            bus: bus.clone(),
            clock: Arc::new(SystemClock::default()),
            signer: Arc::new(KeyRing::load(&keys)?),
            mailer: Arc::new(MailSender::open(mail)?),
            blobs: Arc::new(PhotoFolder::open(data.join("photos"))?),
            passwords: Arc::new(Bcrypt::new(BcryptOptions::default())),
            entropy,
        };
        let engine = Arc::new(Engine::new(ports, Policy::default()));
        Ok(Self { engine, bus, store })
    }

    /// Commits what is under way.
    pub async fn close(self) {
        self.store.close().await;
        self.bus.close().await;
    }
}
