//! Object storage that speaks S3: `moto`, from PyPI.

use crate::policy;
use crate::process::{Kind, Server, find_program, private_folder};
use rustix::process::Signal;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that PyPI's package `moto[server]` installs.
const PROGRAM: &str = "moto_server";

/// A private object storage that keeps everything in memory, and takes any credentials.
pub struct S3(Server<Configured>);

impl S3 {
    /// What of it this machine lacks.
    #[must_use]
    pub fn missing() -> Option<String> {
        program()
            .is_none()
            .then(|| format!("no {PROGRAM} on this machine; cargo xtask setup installs it"))
    }

    /// Starts one in about a second.
    ///
    /// # Panics
    /// When it does not come up, with what it said.
    #[must_use]
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The same where it is installed. Elsewhere the caller is told to pass by, as
    /// [`crate::skipped`] says.
    ///
    /// # Panics
    /// When it does not come up, and in CI when it is not installed.
    #[must_use]
    pub fn start_or_skip() -> Option<Self> {
        if let Some(why) = Self::missing() {
            policy::skipped(&why);
            return None;
        }
        Some(Self::start())
    }

    fn try_start() -> Result<Self, String> {
        let program = program().ok_or_else(|| format!("{PROGRAM} is not installed"))?;
        Server::start(Configured { program }, private_folder(None)?).map(Self)
    }

    /// Where to find it: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// When it is not made, with what was answered.
    pub fn make_bucket(&self, name: &str) {
        let answer = self
            .ask("PUT", &format!("/{name}"))
            .unwrap_or_else(|error| panic!("the bucket {name}: {error}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "the bucket {name}: {answer}");
    }

    /// The keys of all objects in a bucket, ordered.
    ///
    /// # Panics
    /// When they are not told, with what was answered.
    #[must_use]
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let answer = self
            .ask("GET", &format!("/{bucket}"))
            .unwrap_or_else(|error| panic!("the bucket {bucket}: {error}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "the bucket {bucket}: {answer}");
        let keys = answer.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }

    fn ask(&self, method: &str, path: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.0.port()))?;
        let address = self.address();
        connection.write_all(
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
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

struct Configured {
    program: PathBuf,
}

impl Kind for Configured {
    const NAME: &'static str = "object storage";
    const END: Signal = Signal::KILL;

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
    }

    fn answers(&self, folder: &Path, port: u16, _: u32) -> bool {
        // Said once it listens, and in a log that is its own: whoever else may have taken the port
        // wrote no line there.
        std::fs::read_to_string(folder.join("log"))
            .is_ok_and(|log| log.contains(&format!("Running on http://127.0.0.1:{port}")))
    }
}

/// The program beside the Python that has the tests' packages, or else what `PATH` has.
fn program() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let python = std::env::var_os("TOLMACH_PYTHON")
        .map_or_else(|| target.join("python/bin/python"), PathBuf::from);
    let beside = python.with_file_name(PROGRAM);
    if beside.is_file() { Some(beside) } else { find_program(PROGRAM) }
}
