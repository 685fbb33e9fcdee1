//! The gateways that the trials of a run share: the real binary, as a single node with its embedded
//! defaults, or as two nodes on one PostgreSQL and one Redis.

use crate::dialects::{ENABLED_OPTIONS, pinned};
use crate::frame_record::PASSWORD;
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

/// The login of an administrator. The operator's accounts are made before a gateway starts.
pub(crate) const ADMINISTRATOR: &str = "administrator";
/// The login of a member with the business tariff, made before a gateway starts.
pub(crate) const BUSINESS: &str = "business";

/// The cluster of one node, started by its first user.
static SINGLE_NODE: Mutex<Option<Arc<Cluster>>> = Mutex::new(None);
/// The cluster of two nodes, started by its first user.
static TWO_NODES: Mutex<Option<Arc<Cluster>>> = Mutex::new(None);

/// Running gateways, and the runtime of their clients.
pub(crate) struct Cluster {
    runtime: Runtime,
    nodes: Vec<Node>,
    // Dropped after the gateways that use them.
    _servers: Option<(Postgres, Redis)>,
    _folder: TempDir,
}

/// A running gateway or bridge, killed on drop.
pub(crate) struct Node {
    address: SocketAddr,
    child: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One gateway without servers beside it.
pub(crate) fn single_node() -> Arc<Cluster> {
    let start = || Arc::new(Cluster::start(&["single"], None));
    lock(&SINGLE_NODE).get_or_insert_with(start).clone()
}

/// Two gateways that share PostgreSQL, Redis and a secret, and no file. `None` on a machine without
/// those servers, where a trial is skipped; never in CI.
pub(crate) fn two_nodes() -> Option<Arc<Cluster>> {
    let mut cluster = lock(&TWO_NODES);
    if cluster.is_none() {
        let servers = (Postgres::start_or_skip(Durability::Fast)?, Redis::start_or_skip()?);
        *cluster = Some(Arc::new(Cluster::start(&["first", "second"], Some(servers))));
    }
    cluster.clone()
}

/// Ends every gateway of this run.
pub(crate) fn stop_all() {
    for cluster in [&SINGLE_NODE, &TWO_NODES] {
        lock(cluster).take();
    }
}

impl Cluster {
    fn start(names: &[&str], servers: Option<(Postgres, Redis)>) -> Self {
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
            let data = folder.path().join(name).join("data");
            std::fs::create_dir_all(&data).expect("a folder can be made");
            std::fs::write(data.join("tolmach.toml"), pins()).expect("a file can be written");
        }
        for (login, right) in [(ADMINISTRATOR, "--admin"), (BUSINESS, "--business")] {
            let arguments = ["user", "add", login, "--password", PASSWORD, right];
            let output = tolmach(&folder.path().join(names[0]), &options, &arguments)
                .output()
                .expect("the binary can be started");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "user add {login}: {errors}");
        }
        let nodes =
            names.iter().map(|name| Node::start(&folder.path().join(name), &options, &["serve"]));
        let nodes = nodes.collect();
        let runtime = Runtime::new().expect("a runtime can be made");
        Self { runtime, nodes, _servers: servers, _folder: folder }
    }

    /// The address of the first node.
    pub(crate) fn first(&self) -> SocketAddr {
        self.nodes[0].address
    }

    /// The address of the last node; of a single node the same as [`Cluster::first`].
    pub(crate) fn last(&self) -> SocketAddr {
        self.nodes[self.nodes.len() - 1].address
    }

    /// Runs a future to its end.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// A configuration with pins of the revisions that need them.
fn pins() -> String {
    let pin = |(id, revision): (&str, &str)| {
        format!(
            "[[dialects.{id}.pin]]\nrevision = \"{revision}\"\nuser_agent = \"{id}/{revision}\"\n"
        )
    };
    pinned().into_iter().map(pin).collect()
}

impl Node {
    /// Starts the binary with these arguments, and waits until it is ready.
    pub(crate) fn start(folder: &Path, options: &[(&str, String)], arguments: &[&str]) -> Self {
        let log = folder.join("log");
        let errors = File::create(&log).expect("a log file can be made");
        let mut child = tolmach(folder, options, arguments)
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the binary can be started");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("standard output is text");
        let address =
            ready.trim().split(' ').find_map(|word| word.strip_prefix("http=")?.parse().ok());
        let Some(address) = address else {
            panic!(
                "expected the line with the address, found {ready:?}; the log:\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            );
        };
        Self { address, child }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The binary with its data in this folder. Its environment has these options and no others.
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
    // The users who exist from the start log in for each trial.
    command.env("TOLMACH__QUOTAS__SESSIONS", "0");
    for (dialect, key) in ENABLED_OPTIONS {
        let name = format!("TOLMACH__DIALECTS__{dialect}__{key}").to_uppercase();
        command.env(name, "true");
    }
    for (name, value) in options {
        command.env(format!("TOLMACH__{name}"), value);
    }
    command
}

/// Locks what is started by its first user. A panic while it starts leaves nothing there.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
