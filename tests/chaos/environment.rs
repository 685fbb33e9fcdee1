//! The gateways of a scenario: one on SQLite, or two on one PostgreSQL and one Redis, with a proxy
//! between each gateway and each server.

use crate::users::{Failure, PASSWORD, TestUser, failure};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tolmach_cli::dialects::all;
use tolmach_domain::UserId;
use tolmach_test_servers::{Durability, Postgres, Proxy, Redis, skipped};

/// The time that a gateway may take to start, and to end after a signal.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(60);

/// The lines of each log that a report has.
const LOG_LINES: usize = 60;

/// Options of the gateway: names without their prefix, and values.
pub(crate) type GatewayOptions<'a> = &'a [(&'a str, &'a str)];

/// Running gateways and the servers that they use.
pub(crate) struct Environment {
    pub(crate) nodes: Vec<Node>,
    pub(crate) writers: Vec<TestUser>,
    pub(crate) readers: Vec<TestUser>,
    pub(crate) servers: Option<Servers>,
    /// Dropped after the gateways, before the folder.
    disk: Option<Disk>,
    _folder: TempDir,
}

/// The servers that two nodes share.
pub(crate) struct Servers {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
}

/// One gateway, which may be down.
pub(crate) struct Node {
    folder: PathBuf,
    options: Vec<(String, String)>,
    /// The difference of its clock to the machine's, in seconds.
    clock_skew: Mutex<i64>,
    running: Mutex<Option<Running>>,
    /// The largest resident size of any of its processes, in bytes.
    peak_memory: AtomicU64,
    pub(crate) to_postgres: Option<Proxy>,
    pub(crate) to_redis: Option<Proxy>,
}

struct Running {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

/// The options of a node, and the proxies between it and its servers.
#[derive(Default)]
struct NodeSetup {
    options: Vec<(String, String)>,
    to_postgres: Option<Proxy>,
    to_redis: Option<Proxy>,
}

/// A file system in memory, unmounted on drop.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a killed process may still hold a file. An error leaves some megabytes until the
        // machine is restarted.
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

impl Environment {
    /// One gateway on SQLite with these options.
    pub(crate) async fn single(options: GatewayOptions<'_>) -> Result<Self, Failure> {
        let setup = NodeSetup { options: owned(options), ..NodeSetup::default() };
        Self::start(TempDir::new().map_err(failure)?, vec![setup], None).await
    }

    /// One gateway on SQLite whose data are on a file system of so many bytes. `None` if it cannot
    /// be mounted: that takes the superuser.
    pub(crate) async fn on_disk_of(bytes: u64) -> Result<Option<Self>, Failure> {
        let folder = TempDir::new().map_err(failure)?;
        let data = folder.path().join(node_name(0));
        std::fs::create_dir(&data).map_err(failure)?;
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"])
            .arg(&data)
            .output()
            .map_err(failure)?;
        if !mounted.status.success() {
            let errors = String::from_utf8_lossy(&mounted.stderr);
            skipped(&format!("no disk can be mounted: {}", errors.trim()));
            return Ok(None);
        }
        let disk = Disk(data);
        let mut environment = Self::start(folder, vec![NodeSetup::default()], None).await?;
        environment.disk = Some(disk);
        Ok(Some(environment))
    }

    /// Two gateways with these options. `None` on a machine without the servers.
    pub(crate) async fn cluster(options: GatewayOptions<'_>) -> Result<Option<Self>, Failure> {
        let Some((postgres, redis)) =
            Postgres::start_or_skip(Durability::Full).zip(Redis::start_or_skip())
        else {
            return Ok(None);
        };
        let node = || {
            let (to_postgres, to_redis) =
                (Proxy::to(&postgres.address()), Proxy::to(&redis.address()));
            let (store, bus) =
                (postgres.url_at(&to_postgres.address()), redis.url_at(&to_redis.address()));
            let needed = [
                ("STORE__URL", &*store),
                ("BUS__URL", &*bus),
                ("AUTH__JWT_SECRET", "two nodes sign and verify with one secret"),
            ];
            let options = [owned(&needed), owned(options)].concat();
            NodeSetup { options, to_postgres: Some(to_postgres), to_redis: Some(to_redis) }
        };
        let nodes = vec![node(), node()];
        let servers = Servers { postgres, redis };
        Self::start(TempDir::new().map_err(failure)?, nodes, Some(servers)).await.map(Some)
    }

    async fn start(
        folder: TempDir,
        nodes: Vec<NodeSetup>,
        servers: Option<Servers>,
    ) -> Result<Self, Failure> {
        let nodes =
            (0..).zip(nodes).map(|(number, NodeSetup { options, to_postgres, to_redis })| Node {
                folder: folder.path().join(node_name(number)),
                options,
                clock_skew: Mutex::new(0),
                running: Mutex::new(None),
                peak_memory: AtomicU64::new(0),
                to_postgres,
                to_redis,
            });
        let mut environment = Self {
            nodes: nodes.collect(),
            writers: Vec::new(),
            readers: Vec::new(),
            servers,
            disk: None,
            _folder: folder,
        };
        for dialect in all() {
            let dialect_id = dialect.manifest().id;
            for (users, purpose) in
                [(&mut environment.writers, "writer"), (&mut environment.readers, "reader")]
            {
                let login = format!("{purpose}-{dialect_id}");
                let id = environment.nodes[0].add_user(&login).await?;
                users.push(TestUser { login, id, dialect: dialect.clone() });
            }
        }
        for node in &environment.nodes {
            node.start().await?;
        }
        Ok(environment)
    }

    /// The database file of a single gateway.
    pub(crate) fn sqlite(&self) -> PathBuf {
        self.nodes[0].data().join("tolmach.sqlite")
    }

    /// The largest resident size of any gateway, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.nodes.iter().map(Node::update_peak_memory).max().unwrap_or_default()
    }

    /// The last lines of each gateway's log.
    pub(crate) fn logs(&self) -> String {
        let end = |node: &Node| {
            let log = std::fs::read_to_string(node.log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
        };
        (0..)
            .zip(&self.nodes)
            .map(|(number, node): (usize, _)| {
                format!("--- the log of node {number}\n{}\n", end(node))
            })
            .collect()
    }
}

impl Node {
    /// The address of its listener; an error while it is down. Each start takes another port.
    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        lock(&self.running)
            .as_ref()
            .map(|running| running.address)
            .ok_or_else(|| "this node is down".to_owned())
    }

    /// The address of its admin listener; an error while it is down.
    pub(crate) fn admin(&self) -> Result<SocketAddr, Failure> {
        lock(&self.running)
            .as_ref()
            .map(|running| running.admin)
            .ok_or_else(|| "this node is down".to_owned())
    }

    /// Starts it with the data of its last run, on a free port.
    pub(crate) async fn start(&self) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.folder).map_err(failure)?;
        let log =
            std::fs::File::options().create(true).append(true).open(self.log()).map_err(failure)?;
        let mut command = self.tolmach(&["serve"])?;
        command
            .env("TOLMACH__HTTP__LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|error| format!("tolmach cannot be started: {error}"))?;
        let stdout = child.stdout.take().ok_or("standard output is not piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = timeout(PROCESS_TIMEOUT, lines.next_line())
            .await
            .map_err(|_| "a gateway does not start")?
            .map_err(failure)?;
        let word = |name: &str| {
            let mut words = ready.as_deref()?.split(' ');
            words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        let (Some(address), Some(admin)) = (word("http"), word("admin")) else {
            return Err(format!(
                "expected the line with the addresses, found {ready:?}; the log:\n{}",
                std::fs::read_to_string(self.log()).unwrap_or_default()
            ));
        };
        *lock(&self.running) = Some(Running { child, address, admin });
        Ok(())
    }

    /// Sends SIGKILL, and waits for the end of the process.
    pub(crate) async fn kill(&self) -> Result<(), Failure> {
        self.update_peak_memory();
        let Some(mut running) = lock(&self.running).take() else { return Ok(()) };
        running.child.kill().await.map_err(failure)
    }

    /// Sends SIGTERM, and waits for the end of the process, which must be successful.
    pub(crate) async fn terminate(&self) -> Result<(), Failure> {
        self.update_peak_memory();
        let Some(mut running) = lock(&self.running).take() else { return Ok(()) };
        let process = running.child.id().ok_or("the gateway has ended by itself")?.to_string();
        let sent =
            Command::new("kill").args(["-s", "TERM", &process]).status().await.map_err(failure)?;
        let ended = timeout(PROCESS_TIMEOUT, running.child.wait())
            .await
            .map_err(|_| "a gateway does not end after SIGTERM")?
            .map_err(failure)?;
        if sent.success() && ended.success() {
            Ok(())
        } else {
            Err(format!("a gateway ends after SIGTERM with {ended}"))
        }
    }

    /// Sets its clock, from the next start on, so many seconds ahead of the machine's, or behind.
    pub(crate) fn set_clock_skew(&self, seconds: i64) {
        *lock(&self.clock_skew) = seconds;
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    async fn add_user(&self, login: &str) -> Result<UserId, Failure> {
        std::fs::create_dir_all(&self.folder).map_err(failure)?;
        let output = self
            .tolmach(&["user", "add", login, "--password", PASSWORD])?
            .output()
            .await
            .map_err(failure)?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let id = stdout
            .trim()
            .parse()
            .ok()
            .filter(|_| output.status.success())
            .and_then(|id| UserId::new(id).ok());
        id.ok_or_else(|| {
            format!(
                "tolmach user add {login}: {}: {stdout}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// The binary with this node's data. Its environment has the node's options and no others.
    fn tolmach(&self, arguments: &[&str]) -> Result<Command, Failure> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tolmach"));
        command
            .current_dir(&self.folder)
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .stdin(Stdio::null());
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TOLMACH__"))
        {
            command.env_remove(name);
        }
        command
            .env("TOLMACH__AUTH__BCRYPT_COST", "4")
            .env("TOLMACH__DIALECTS__MORELIA__PUSH", "true");
        for (name, value) in &self.options {
            command.env(format!("TOLMACH__{name}"), value);
        }
        let skew = *lock(&self.clock_skew);
        if skew != 0 {
            let library = faketime()
                .ok_or("there is no libfaketime on this machine; cargo xtask setup installs it")?;
            // Timers use the monotonic clock, which stays as it is.
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME", format!("{skew:+}s"))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        Ok(command)
    }

    fn update_peak_memory(&self) -> u64 {
        let process = lock(&self.running).as_ref().and_then(|running| running.child.id());
        let status = process
            .and_then(|process| std::fs::read_to_string(format!("/proc/{process}/status")).ok())
            .unwrap_or_default();
        let peak = status.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
        });
        let peak = peak.unwrap_or_default() * 1024;
        self.peak_memory.fetch_max(peak, Ordering::Relaxed).max(peak)
    }
}

/// One of the gateway's own pages, with the head of the response.
pub(crate) async fn get(node: SocketAddr, path: &str) -> Result<String, Failure> {
    let mut connection = TcpStream::connect(node).await.map_err(failure)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.map_err(failure)?;
    let mut page = String::new();
    connection.read_to_string(&mut page).await.map_err(failure)?;
    Ok(page)
}

/// The sum of a metric's series whose labels have all of these parts, such as `reason="expired"`.
pub(crate) async fn metric(node: &Node, name: &str, labels: &[&str]) -> Result<u64, Failure> {
    let page = get(node.admin()?, "/metrics").await?;
    let series = page.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    Ok(series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// The library that changes the clock of a process, in the folder where Debian installs it.
pub(crate) fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library: &PathBuf| Path::is_file(library))
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}

fn owned(options: GatewayOptions<'_>) -> Vec<(String, String)> {
    options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
