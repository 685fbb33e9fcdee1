//! Everything behind the doors, as the configuration has it.

use crate::commands::Failure;
use crate::config::{Auth, Config};
use crate::ports::{
    Bcrypt, BlobTarget, KeyError, KeyRing, MailTarget, OsEntropy, Post, SystemClock,
    create_private_folder, keep_once,
};
use crate::{dialects, metrics};
use object_store::aws::AmazonS3Builder;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tolmach_bus::{DEFAULT_ROOM, InProcess, OpenError, RedisBus};
use tolmach_domain::Secret;
use tolmach_engine::ports::{Bus, Entropy, PortError, Store};
use tolmach_engine::{Engine, GuessPolicy, Policy, Ports};
use tolmach_store::SqlStore;

/// The bytes of a secret that is made here.
const SECRET_LENGTH: usize = 32;

/// The engine, and what has to be heard and closed beside it.
pub(crate) struct World {
    pub(crate) engine: Arc<Engine>,
    pub(crate) bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
}

impl World {
    /// Opens everything, bringing the store up to date and making the data folder where there is
    /// none.
    pub(crate) async fn open(config: &Config, data: &Path) -> Result<Self, Failure> {
        let made = create_private_folder(data);
        made.map_err(|error| {
            Failure::Failed(format!("the data folder {} cannot be made: {error}", data.display()))
        })?;
        let entropy = Arc::new(OsEntropy::new()?);
        let bus = bus(config, &*entropy)?;
        let signer = Arc::new(key_ring(config, data, &*entropy)?);
        let target = mail_target(config, data)?;
        let mailer = Post::open(config.mail.from.clone(), target);
        let blobs = blob_target(config, data)?.open();
        let auth = &config.auth;
        let passwords = Bcrypt::new(auth.bcrypt_cost, auth.password_workers, auth.password_queue);
        let url = store_url(config, data);
        let options = tolmach_store::Options {
            timeout: config.store.timeout,
            read_connections: config.store.read_connections,
            ..tolmach_store::Options::default()
        };
        let store: Arc<dyn Store> = SqlStore::open(url.expose(), bus.clone(), options).await?;
        let ports = Ports {
            store: store.clone(),
            bus: bus.clone(),
            clock: Arc::new(SystemClock::default()),
            entropy,
            mailer: Arc::new(mailer.map_err(|error| {
                Failure::Failed(format!("the mail folder cannot be made: {error}"))
            })?),
            blobs: blobs.map_err(|error| {
                Failure::Failed(format!("the folder for photos cannot be made: {error}"))
            })?,
            passwords: Arc::new(passwords),
            signer,
        };
        Ok(Self { engine: Arc::new(Engine::new(ports, policy(config))), bus, store })
    }

    /// Finishes what the store has under way.
    pub(crate) async fn close(self) {
        self.store.close().await;
        self.bus.close().await;
    }
}

fn policy(config: &Config) -> Policy {
    Policy {
        registration: config.auth.registration,
        password_min: config.auth.password_min,
        token_lifetime: config.auth.token_lifetime,
        access_lifetime: config.auth.access_lifetime,
        refresh_lifetime: config.auth.refresh_lifetime,
        recovery_lifetime: config.auth.recovery_lifetime,
        guesses: guesses(&config.auth),
        public_url: config.public_url(),
        history_limit: config.limits.history,
        members_limit: config.limits.members,
    }
}

fn guesses(auth: &Auth) -> GuessPolicy {
    GuessPolicy {
        window: auth.failure_window,
        free: auth.free_failures,
        per_pair: auth.failures,
        per_login: auth.failures_of_login,
        per_address: auth.failures_of_address,
        delay: auth.failure_delay,
        delay_max: auth.failure_delay_max,
        waiting: auth.failures_waiting,
        trust: auth.trust,
    }
}

/// The bus that is configured. Whether its Redis can be reached is not waited for.
fn bus(config: &Config, entropy: &dyn Entropy) -> Result<Arc<dyn Bus>, Failure> {
    let bus = &config.bus;
    if bus.url.expose().is_empty() {
        return Ok(Arc::new(InProcess::default()));
    }
    let mut node = [0; 8];
    entropy.fill(&mut node);
    let options = tolmach_bus::Options {
        prefix: bus.prefix.clone(),
        sharded: bus.sharded,
        queue: bus.queue,
        room: DEFAULT_ROOM,
        node: u64::from_be_bytes(node),
        dialects: dialects::all().iter().map(|dialect| dialect.manifest().id).collect(),
    };
    let redis =
        Arc::new(RedisBus::open(bus.url.expose(), options).map_err(|error| wrong_bus(&error))?);
    metrics::keep_bus(Arc::downgrade(&redis));
    Ok(redis)
}

/// The bus in words. Nothing is opened.
pub(crate) fn bus_in_words(config: &Config) -> Result<String, Failure> {
    let bus = &config.bus;
    if bus.url.expose().is_empty() {
        return Ok("within this process".into());
    }
    let servers =
        RedisBus::servers(bus.url.expose(), bus.sharded).map_err(|error| wrong_bus(&error))?;
    let (redis, channels) =
        if bus.sharded { ("Redis Cluster", "sharded channels") } else { ("Redis", "channels") };
    Ok(format!("{redis} at {servers}, {channels} {}*", bus.prefix))
}

fn wrong_bus(error: &OpenError) -> Failure {
    Failure::Configuration(format!("`bus.url`: {error}"))
}

/// Where the store is. Its file is made where there is none.
pub(crate) fn store_url(config: &Config, data: &Path) -> Secret {
    let url = config.store.url.expose();
    if url.is_empty() {
        let path = data
            .join("tolmach.sqlite")
            .to_string_lossy()
            .replace('%', "%25")
            .replace('?', "%3F")
            .replace('#', "%23");
        return Secret::new(format!("sqlite://{path}?mode=rwc"));
    }
    creatable(url)
}

/// A store's URL that makes its file where there is none, unless it says otherwise.
pub(crate) fn creatable(url: &str) -> Secret {
    if url.starts_with("sqlite:") && !url.contains("mode=") {
        let mark = if url.contains('?') { '&' } else { '?' };
        return Secret::new(format!("{url}{mark}mode=rwc"));
    }
    Secret::new(url)
}

/// Where mail goes.
pub(crate) fn mail_target(config: &Config, data: &Path) -> Result<MailTarget, Failure> {
    MailTarget::parse(&config.mail.url, data.join("mail"))
        .map_err(|PortError(reason)| Failure::Configuration(format!("`mail.url`: {reason}")))
}

/// Where photos are kept.
pub(crate) fn blob_target(config: &Config, data: &Path) -> Result<BlobTarget, Failure> {
    BlobTarget::parse(&config.blobs, data.join("photos"), AmazonS3Builder::from_env())
        .map_err(|PortError(reason)| Failure::Configuration(reason))
}

/// The keys for access tokens; the gateway's own secret is made where it is needed and missing.
pub(crate) fn key_ring(
    config: &Config,
    data: &Path,
    entropy: &dyn Entropy,
) -> Result<KeyRing, KeyError> {
    let path = own_secret(data);
    KeyRing::load(&config.auth, |required| {
        let make = || {
            let mut secret = [0; SECRET_LENGTH];
            entropy.fill(&mut secret);
            secret.map(|byte| format!("{byte:02x}")).concat().into_bytes()
        };
        if !required && !path.exists() {
            return Ok(None);
        }
        let secret = String::from_utf8(keep_once(&path, make)?).map_err(io::Error::other)?;
        Ok(Some(Secret::new(secret.trim_end())))
    })
}

/// The file of the secret that is made once.
pub(crate) fn own_secret(data: &Path) -> PathBuf {
    data.join("jwt_secret")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(file: &str) -> Config {
        Config::load(
            Sources { file: Some(("test.toml".into(), file.into())), ..Sources::default() },
            &[],
        )
        .unwrap()
    }

    #[test]
    fn the_store_is_a_file_in_the_data_folder_unless_named() {
        for (url, expected) in [
            ("", "sqlite://some%3F/where/tolmach.sqlite?mode=rwc"),
            ("sqlite:///a/b.sqlite", "sqlite:///a/b.sqlite?mode=rwc"),
            ("sqlite://b.sqlite?cache=private", "sqlite://b.sqlite?cache=private&mode=rwc"),
            ("sqlite://b.sqlite?mode=rw", "sqlite://b.sqlite?mode=rw"),
            ("postgres://a:b@c", "postgres://a:b@c"),
        ] {
            let config = config(&format!("[store]\nurl = \"{url}\""));
            assert_eq!(store_url(&config, Path::new("some?/where")).expose(), expected);
        }
    }

    #[test]
    fn the_own_secret_is_made_once_and_only_where_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let path = own_secret(folder.path());
        let open = |file: &str| {
            key_ring(&config(file), folder.path(), &OsEntropy::new().unwrap())
                .unwrap_or_else(|error| panic!("{error}"))
        };
        open("[auth]\njwt_secret = \"a secret of thirty-two bytes, yes\"");
        assert!(!path.exists());
        open("");
        let made = std::fs::read_to_string(&path).unwrap();
        assert_eq!(made.len(), 2 * SECRET_LENGTH);
        open("");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), made);
        // Somebody who wrote it with an editor left a line's end.
        std::fs::write(&path, "0".repeat(31) + "\n").unwrap();
        assert!(key_ring(&config(""), folder.path(), &OsEntropy::new().unwrap()).is_err());
    }

    #[test]
    fn the_bus_is_told_in_words_without_its_password() {
        for (file, expected) in [
            ("", "within this process"),
            ("url = \"redis://:hunter2@host\"", "Redis at host:6379, channels tolmach:*"),
            (
                "url = \"redis://:hunter2@a,redis://:hunter2@b:7\"\nsharded = true\nprefix = \"x.\"",
                "Redis Cluster at a:6379, b:7, sharded channels x.*",
            ),
        ] {
            let text = bus_in_words(&config(&format!("[bus]\n{file}")))
                .unwrap_or_else(|_| panic!("{file} is right"));
            assert_eq!(text, expected);
        }
        let Err(Failure::Configuration(text)) =
            bus_in_words(&config("[bus]\nurl = \"nats://:hunter2@host\""))
        else {
            panic!()
        };
        assert!(text.starts_with("`bus.url`: ") && !text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn a_redis_that_is_away_does_not_keep_the_world_closed() {
        let folder = tempfile::tempdir().unwrap();
        let world = World::open(&config("[bus]\nurl = \"redis://127.0.0.1:1\""), folder.path())
            .await
            .unwrap_or_else(|_| panic!("it opens"));
        assert!(world.bus.last_error().is_some_and(|trouble| trouble.contains("127.0.0.1:1")));
        world.close().await;
    }
}
