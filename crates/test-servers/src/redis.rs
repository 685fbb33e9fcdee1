//! Redis.

use crate::error::StartError;
use crate::policy;
use crate::process::{Kind, Server, find_program, free_port, private_folder};
use rustix::process::Signal;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The name of the program in Debian's package.
const PROGRAM: &str = "redis-server";

/// A private Redis that stores nothing on disk.
pub struct Redis(Server<Configured>);

impl Redis {
    /// The missing program, if this machine lacks one.
    #[must_use]
    pub fn missing() -> Option<String> {
        find_program(PROGRAM)
            .is_none()
            .then(|| format!("no {PROGRAM} on this machine; cargo xtask setup installs it"))
    }

    /// Starts a server in some 0.05 s.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::try_start(Configured { cluster_port: None }).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a server, if Redis is installed; otherwise the test is [`crate::skipped`].
    ///
    /// # Panics
    /// If it does not start, and in CI if it is not installed.
    #[must_use]
    pub fn start_or_skip() -> Option<Self> {
        installed().then(Self::start)
    }

    /// Starts a Redis Cluster of one node with all slots. It takes 2 s, because a node waits this
    /// long before it serves.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn cluster() -> Self {
        let cluster =
            free_port().and_then(|port| Self::try_start(Configured { cluster_port: Some(port) }));
        cluster.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a cluster, if Redis is installed; otherwise the test is [`crate::skipped`].
    ///
    /// # Panics
    /// If it does not start, and in CI if it is not installed.
    #[must_use]
    pub fn cluster_or_skip() -> Option<Self> {
        installed().then(Self::cluster)
    }

    fn try_start(kind: Configured) -> Result<Self, StartError> {
        Server::start(kind, private_folder(None)?).map(Self)
    }

    /// Its URL: `redis://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(&self.address())
    }

    /// Its URL with another address, such as that of a proxy.
    #[must_use]
    pub fn url_at(&self, address: &str) -> String {
        format!("redis://{address}")
    }

    /// Its address: `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Suspends it. Connections stay open and silent.
    pub fn pause(&self) {
        self.0.pause();
    }

    /// Resumes it after a pause.
    pub fn resume(&self) {
        self.0.resume();
    }

    /// Starts it again on the same port without data, after ending it if it still runs.
    ///
    /// # Panics
    /// If it does not start, with its log.
    pub fn start_again(&self) {
        self.0.start_again().unwrap_or_else(|error| panic!("{error}"));
    }
}

/// True if Redis is installed; otherwise the test is reported as skipped.
fn installed() -> bool {
    Redis::missing().map(|reason| policy::skipped(&reason)).is_none()
}

struct Configured {
    /// The port of the cluster's bus; `None` without a cluster.
    cluster_port: Option<u16>,
}

impl Kind for Configured {
    const NAME: &'static str = "Redis";
    const END_SIGNAL: Signal = Signal::KILL;

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--dir").arg(folder).args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no"]);
        if let Some(cluster_port) = self.cluster_port {
            let cluster_port = cluster_port.to_string();
            command.args([
                "--cluster-enabled",
                "yes",
                "--cluster-announce-ip",
                "127.0.0.1",
                "--cluster-port",
                &cluster_port,
            ]);
        }
        command
    }

    fn answers(&self, _: &Path, port: u16, pid: u32) -> bool {
        // Another process may have taken the port.
        let is_ours = || {
            run(port, "INFO server")
                .is_ok_and(|reply| reply.contains(&format!("process_id:{pid}\r\n")))
        };
        is_ours() && (self.cluster_port.is_none() || has_all_slots(port))
    }
}

/// Assigns all slots to a node of a cluster unless it has them. True if it serves them.
fn has_all_slots(port: u16) -> bool {
    let Ok(state) = run(port, "CLUSTER INFO") else { return false };
    if state.contains("cluster_slots_assigned:0\r\n") {
        // The caller polls, so a failure is repeated.
        let _ = run(port, "CLUSTER ADDSLOTSRANGE 0 16383");
    }
    state.contains("cluster_state:ok")
}

/// Runs an inline command and returns the raw reply.
fn run(port: u16, command: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    // QUIT makes it close the connection, so that the end of the stream is the end of the reply.
    connection.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut reply = String::new();
    connection.read_to_string(&mut reply)?;
    Ok(reply)
}
