//! What is broken: one gateway on SQLite, or two on one PostgreSQL and one Redis, each behind
//! networks of its own.

use crate::people::{PASSWORD, Person, Trouble, dialects};
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
use tolmach_domain::UserId;
use tolmach_test_servers::{Durability, Postgres, Proxy, Redis};

/// How long a gateway may take to start, and to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of a log that are told.
const LOG: usize = 60;

/// Running gateways and what they stand on.
pub(crate) struct Stand {
    pub(crate) nodes: Vec<Node>,
    pub(crate) writers: Vec<Person>,
    pub(crate) readers: Vec<Person>,
    pub(crate) cluster: Option<Cluster>,
    /// Let go after the gateways, before the folder.
    disk: Option<Disk>,
    _folder: TempDir,
}

/// A disk that is mounted for as long as this lives.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever was killed may still hold a file. If it fails, a few megabytes stay until
        // the machine is restarted.
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}

/// What two nodes share.
pub(crate) struct Cluster {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
}

/// How a node is configured, and the networks between it and what it stands on.
#[derive(Default)]
struct Wiring {
    options: Vec<(String, String)>,
    to_postgres: Option<Proxy>,
    to_redis: Option<Proxy>,
}

/// One gateway, which may be down.
pub(crate) struct Node {
    folder: PathBuf,
    options: Vec<(String, String)>,
    /// How far its clock is from the others', in seconds.
    skew: Mutex<i64>,
    running: Mutex<Option<Running>>,
    /// The most memory that it ever held, in bytes.
    peak: AtomicU64,
    pub(crate) to_postgres: Option<Proxy>,
    pub(crate) to_redis: Option<Proxy>,
}

struct Running {
    child: Child,
    address: SocketAddr,
}

impl Stand {
    /// One gateway with its embedded defaults.
    pub(crate) async fn single() -> Result<Self, Trouble> {
        Self::of(TempDir::new().map_err(text)?, vec![Wiring::default()], None).await
    }

    /// One gateway whose data lie on a disk of so many bytes; `None` where none can be made, which
    /// takes the superuser.
    pub(crate) async fn on_disk_of(bytes: u64) -> Result<Option<Self>, Trouble> {
        let folder = TempDir::new().map_err(text)?;
        let data = folder.path().join(node_name(0));
        std::fs::create_dir(&data).map_err(text)?;
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"])
            .arg(&data)
            .output()
            .map_err(text)?;
        if !mounted.status.success() {
            tolmach_test_servers::skipped(&format!(
                "no disk can be mounted: {}",
                String::from_utf8_lossy(&mounted.stderr).trim()
            ));
            return Ok(None);
        }
        let disk = Disk(data);
        let mut stand = Self::of(folder, vec![Wiring::default()], None).await?;
        stand.disk = Some(disk);
        Ok(Some(stand))
    }

    /// Two gateways with these options beside what they need; `None` on a machine that lacks the
    /// servers.
    pub(crate) async fn cluster(options: &[(&str, &str)]) -> Result<Option<Self>, Trouble> {
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
            let options = needed
                .iter()
                .chain(options)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            Wiring { options, to_postgres: Some(to_postgres), to_redis: Some(to_redis) }
        };
        let nodes = vec![node(), node()];
        Self::of(TempDir::new().map_err(text)?, nodes, Some(Cluster { postgres, redis }))
            .await
            .map(Some)
    }

    async fn of(
        folder: TempDir,
        nodes: Vec<Wiring>,
        cluster: Option<Cluster>,
    ) -> Result<Self, Trouble> {
        let nodes =
            (0..).zip(nodes).map(|(number, Wiring { options, to_postgres, to_redis })| Node {
                folder: folder.path().join(node_name(number)),
                options,
                skew: Mutex::new(0),
                running: Mutex::new(None),
                peak: AtomicU64::new(0),
                to_postgres,
                to_redis,
            });
        let mut stand = Self {
            nodes: nodes.collect(),
            writers: Vec::new(),
            readers: Vec::new(),
            cluster,
            disk: None,
            _folder: folder,
        };
        for spoken in dialects() {
            let id = spoken.dialect.manifest().id;
            for (people, purpose) in
                [(&mut stand.writers, "writer"), (&mut stand.readers, "reader")]
            {
                let login = format!("{purpose}-{id}");
                let user = stand.nodes[0].add_user(&login).await?;
                people.push(Person {
                    login,
                    id: user,
                    dialect: spoken.dialect.clone(),
                    keyed: spoken.keyed,
                });
            }
        }
        for node in &stand.nodes {
            node.start().await?;
        }
        Ok(stand)
    }

    /// The file that a gateway alone keeps everything in.
    pub(crate) fn sqlite(&self) -> PathBuf {
        self.nodes[0].data().join("tolmach.sqlite")
    }

    /// The most memory that any of the gateways ever held, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.nodes.iter().map(Node::note_peak).max().unwrap_or_default()
    }

    /// The end of what the gateways logged, for people who look for the cause of a violation.
    pub(crate) fn logs(&self) -> String {
        let end = |node: &Node| {
            let log = std::fs::read_to_string(node.log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            lines[lines.len().saturating_sub(LOG)..].join("\n")
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
    /// Where it listens, unless it is down. A start takes another port.
    pub(crate) fn address(&self) -> Result<SocketAddr, Trouble> {
        lock(&self.running)
            .as_ref()
            .map(|running| running.address)
            .ok_or_else(|| "this node is down".to_owned())
    }

    /// Starts it on what it left, at a port that is free.
    pub(crate) async fn start(&self) -> Result<(), Trouble> {
        std::fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(|error| error.to_string())?;
        let mut command = self.tolmach(&["serve"])?;
        command
            .env("TOLMACH__HTTP__LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|error| format!("tolmach cannot be started: {error}"))?;
        let stdout = child.stdout.take().ok_or("its standard output is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = timeout(PATIENCE, lines.next_line())
            .await
            .map_err(|_| "a gateway does not start")?
            .map_err(|error| error.to_string())?;
        let address = ready.as_deref().and_then(|line| {
            line.split(' ').find_map(|word| word.strip_prefix("http=")?.parse().ok())
        });
        let Some(address) = address else {
            return Err(format!(
                "{ready:?} was said instead of where it listens:\n{}",
                std::fs::read_to_string(self.log()).unwrap_or_default()
            ));
        };
        *lock(&self.running) = Some(Running { child, address });
        Ok(())
    }

    /// `kill -9`.
    pub(crate) async fn kill(&self) -> Result<(), Trouble> {
        self.note_peak();
        let Some(mut running) = lock(&self.running).take() else { return Ok(()) };
        running.child.kill().await.map_err(|error| error.to_string())
    }

    /// Asks it to end, as an operator does, and waits until it has; it has to end well.
    pub(crate) async fn terminate(&self) -> Result<(), Trouble> {
        self.note_peak();
        let Some(mut running) = lock(&self.running).take() else { return Ok(()) };
        let process = running.child.id().ok_or("it has ended by itself")?.to_string();
        let sent = Command::new("kill")
            .args(["-s", "TERM", &process])
            .status()
            .await
            .map_err(|error| error.to_string())?;
        let ended = timeout(PATIENCE, running.child.wait())
            .await
            .map_err(|_| "a gateway does not end")?
            .map_err(|error| error.to_string())?;
        if sent.success() && ended.success() {
            Ok(())
        } else {
            Err(format!("a gateway that was told to stop: {ended}"))
        }
    }

    /// From its next start on its clock is so many seconds ahead of the machine's, or behind.
    pub(crate) fn skew(&self, seconds: i64) {
        *lock(&self.skew) = seconds;
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    async fn add_user(&self, login: &str) -> Result<UserId, Trouble> {
        std::fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
        let made = self
            .tolmach(&["user", "add", login, "--password", PASSWORD])?
            .output()
            .await
            .map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&made.stdout);
        let id = said
            .trim()
            .parse()
            .ok()
            .filter(|_| made.status.success())
            .and_then(|id| UserId::new(id).ok());
        id.ok_or_else(|| {
            format!(
                "tolmach user add {login}: {}: {said}{}",
                made.status,
                String::from_utf8_lossy(&made.stderr)
            )
        })
    }

    /// The binary on this node's data, with nothing else of the environment than its options.
    fn tolmach(&self, arguments: &[&str]) -> Result<Command, Trouble> {
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
        let skew = *lock(&self.skew);
        if skew != 0 {
            let library = faketime()
                .ok_or("no libfaketime on this machine; cargo xtask setup installs it")?;
            // Only what the time is, not how fast it passes: timers go by the monotonic clock.
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME", format!("{skew:+}s"))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        Ok(command)
    }

    fn note_peak(&self) -> u64 {
        let process = lock(&self.running).as_ref().and_then(|running| running.child.id());
        let status = process
            .and_then(|process| std::fs::read_to_string(format!("/proc/{process}/status")).ok())
            .unwrap_or_default();
        let peak = status.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
        });
        let peak = peak.unwrap_or_default() * 1024;
        self.peak.fetch_max(peak, Ordering::Relaxed).max(peak)
    }
}

/// The library that tells a process another time, where Debian puts it.
pub(crate) fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library: &PathBuf| Path::is_file(library))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A page of a gateway's own, with its head.
pub(crate) async fn get(node: SocketAddr, path: &str) -> Result<String, Trouble> {
    let mut connection = TcpStream::connect(node).await.map_err(text)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.map_err(text)?;
    let mut page = String::new();
    connection.read_to_string(&mut page).await.map_err(text)?;
    Ok(page)
}

fn text(error: impl std::fmt::Display) -> Trouble {
    error.to_string()
}
