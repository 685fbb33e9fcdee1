//! Redis.

use crate::policy;
use crate::process::{Kind, Server, find_program, private_folder, second_port};
use rustix::process::Signal;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The program that Debian calls so.
const PROGRAM: &str = "redis-server";

/// A private Redis that keeps nothing on disk.
pub struct Redis(Server<Configured>);

impl Redis {
    /// What of it this machine lacks.
    #[must_use]
    pub fn missing() -> Option<String> {
        find_program(PROGRAM)
            .is_none()
            .then(|| format!("no {PROGRAM} on this machine; cargo xtask setup installs it"))
    }

    /// Starts one in some 0.05 s.
    ///
    /// # Panics
    /// When it does not come up, with what it said.
    #[must_use]
    pub fn start() -> Self {
        Self::try_start(Configured { cluster_port: None })
            .unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The same where Redis is installed. Elsewhere the caller is told to pass by, as
    /// [`crate::skipped`] says.
    ///
    /// # Panics
    /// When it does not come up, and in CI when it is not installed.
    #[must_use]
    pub fn start_or_skip() -> Option<Self> {
        installed().then(Self::start)
    }

    /// Starts a Redis Cluster of one node, which holds all slots. It takes 2 s: a node that starts
    /// waits so long before it serves.
    ///
    /// # Panics
    /// When it does not come up, with what it said.
    #[must_use]
    pub fn cluster() -> Self {
        let cluster =
            second_port().and_then(|port| Self::try_start(Configured { cluster_port: Some(port) }));
        cluster.unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The same where Redis is installed. Elsewhere the caller is told to pass by, as
    /// [`crate::skipped`] says.
    ///
    /// # Panics
    /// When it does not come up, and in CI when it is not installed.
    #[must_use]
    pub fn cluster_or_skip() -> Option<Self> {
        installed().then(Self::cluster)
    }

    fn try_start(kind: Configured) -> Result<Self, String> {
        Server::start(kind, private_folder(None)?).map(Self)
    }

    /// Where to find it: `redis://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(&self.address())
    }

    /// The same by way of another address, such as that of a proxy.
    #[must_use]
    pub fn url_at(&self, address: &str) -> String {
        format!("redis://{address}")
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Stops it where it stands. Connections stay open and silent.
    pub fn pause(&self) {
        self.0.pause();
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) {
        self.0.resume();
    }

    /// Starts it again at the same port, ending it first if it still runs. It comes back empty.
    ///
    /// # Panics
    /// When it does not come up, with what it said.
    pub fn start_again(&self) {
        self.0.start_again().unwrap_or_else(|problem| panic!("{problem}"));
    }
}

/// Whether it is; where not, what that means is said.
fn installed() -> bool {
    Redis::missing().map(|why| policy::skipped(&why)).is_none()
}

struct Configured {
    /// Where nodes of a cluster would talk, if it is one.
    cluster_port: Option<u16>,
}

impl Kind for Configured {
    const NAME: &'static str = "Redis";
    const END: Signal = Signal::KILL;

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
        // Whoever else may have taken the port is another process.
        let ours = || {
            ask(port, "INFO server")
                .is_ok_and(|answer| answer.contains(&format!("process_id:{pid}\r\n")))
        };
        ours() && (self.cluster_port.is_none() || holds_all_slots(port))
    }
}

/// Gives a node of a cluster all slots unless it has them, and says whether it serves them by now.
fn holds_all_slots(port: u16) -> bool {
    let Ok(state) = ask(port, "CLUSTER INFO") else { return false };
    if state.contains("cluster_slots_assigned:0\r\n") {
        // It is asked again soon, whatever came of this.
        let _ = ask(port, "CLUSTER ADDSLOTSRANGE 0 16383");
    }
    state.contains("cluster_state:ok")
}

/// One inline command, and its answer as it lies on the wire.
fn ask(port: u16, command: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    // QUIT has it close behind the answer, so that the end of the answer is the end of the stream.
    connection.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}
