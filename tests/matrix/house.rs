//! The gateways that trials of a run share: the real binary, alone with its embedded defaults, or
//! two on one PostgreSQL and one Redis.

use crate::frames::PASSWORD;
use std::fs::File;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tolmach_test_servers::{Durability, Postgres, Redis};

/// The operator's accounts, made before a gateway starts: an administrator, and a member with the
/// business tariff.
pub(crate) const ADMINISTRATOR: &str = "administrator";
pub(crate) const BUSINESS: &str = "business";

/// Running gateways, and the runtime in which clients speak to them.
pub(crate) struct House {
    runtime: Runtime,
    gateways: Vec<Gateway>,
    // What gateways stand on ends after them.
    _servers: Option<(Postgres, Redis)>,
    _folder: TempDir,
}

struct Gateway {
    address: SocketAddr,
    child: Child,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Each is opened when it is first asked for.
static SINGLE: Mutex<Option<Arc<House>>> = Mutex::new(None);
static CLUSTER: Mutex<Option<Arc<House>>> = Mutex::new(None);

/// One gateway, with nothing beside it.
pub(crate) fn single() -> Arc<House> {
    lock(&SINGLE).get_or_insert_with(|| Arc::new(House::open(&["single"], None))).clone()
}

/// Two gateways, which share PostgreSQL, Redis and a secret, and no file. `None` on a machine that
/// lacks those servers, where a trial is passed by, but never in CI.
pub(crate) fn cluster() -> Option<Arc<House>> {
    let mut cluster = lock(&CLUSTER);
    if cluster.is_none() {
        let servers = (Postgres::start_or_skip(Durability::Fast)?, Redis::start_or_skip()?);
        *cluster = Some(Arc::new(House::open(&["first", "second"], Some(servers))));
    }
    cluster.clone()
}

/// Ends every gateway of this run.
pub(crate) fn close() {
    for house in [&SINGLE, &CLUSTER] {
        lock(house).take();
    }
}

fn lock(house: &Mutex<Option<Arc<House>>>) -> MutexGuard<'_, Option<Arc<House>>> {
    // A trial that could not open it leaves none.
    house.lock().unwrap_or_else(PoisonError::into_inner)
}

impl House {
    fn open(names: &[&str], servers: Option<(Postgres, Redis)>) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let options = servers.as_ref().map_or_else(Vec::new, |(postgres, redis)| {
            let secret = "two nodes sign and verify with one secret".to_owned();
            vec![
                ("STORE__URL", postgres.url()),
                ("BUS__URL", redis.url()),
                ("AUTH__JWT_SECRET", secret),
            ]
        });
        for name in names {
            std::fs::create_dir(folder.path().join(name)).expect("a folder can be made");
        }
        for (login, right) in [(ADMINISTRATOR, "--admin"), (BUSINESS, "--business")] {
            let words = ["user", "add", login, "--password", PASSWORD, right];
            let made = tolmach(&folder.path().join(names[0]), &options, &words)
                .output()
                .expect("the binary can be started");
            assert!(made.status.success(), "{login}: {}", String::from_utf8_lossy(&made.stderr));
        }
        let gateways =
            names.iter().map(|name| Gateway::start(&folder.path().join(name), &options)).collect();
        let runtime = Runtime::new().expect("a runtime can be made");
        Self { runtime, gateways, _servers: servers, _folder: folder }
    }

    /// Where speakers connect.
    pub(crate) fn first(&self) -> SocketAddr {
        self.gateways[0].address
    }

    /// Where listeners connect: another node, if there is one.
    pub(crate) fn last(&self) -> SocketAddr {
        self.gateways[self.gateways.len() - 1].address
    }

    /// Runs what needs a runtime.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Gateway {
    fn start(folder: &Path, options: &[(&str, String)]) -> Self {
        let log = folder.join("log");
        let errors = File::create(&log).expect("a log file can be made");
        let mut child = tolmach(folder, options, &["serve"])
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the binary can be started");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("standard output is text");
        let address =
            ready.trim().split(' ').find_map(|word| word.strip_prefix("http=")?.parse().ok());
        let Some(address) = address else {
            panic!(
                "{ready:?} was said instead of where it listens:\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            );
        };
        Self { address, child }
    }
}

/// The binary with its data in this folder and these options, and with nothing else of the
/// environment.
fn tolmach(folder: &Path, options: &[(&str, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tolmach"));
    command
        .current_dir(folder)
        .args(arguments)
        .arg("--data")
        .arg(folder.join("data"))
        .stdin(Stdio::null());
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TOLMACH__"))
    {
        command.env_remove(name);
    }
    command.env("TOLMACH__HTTP__LISTEN", "127.0.0.1:0").env("TOLMACH__AUTH__BCRYPT_COST", "4");
    // What a dialect can push is tried, also where it does not unless it is told to.
    command.env("TOLMACH__DIALECTS__MORELIA__PUSH", "true");
    for (name, value) in options {
        command.env(format!("TOLMACH__{name}"), value);
    }
    command
}
