//! S3-compatible object storage: `moto`, from PyPI.

use crate::error::StartError;
use crate::policy;
use crate::process::{Kind, Server, find_program, private_folder};
use rustix::process::Signal;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of PyPI's package `moto[server]`.
const PROGRAM: &str = "moto_server";

/// A private object storage in memory that accepts any credentials.
pub struct S3(Server<Configured>);

impl S3 {
    /// The missing program, if this machine lacks one.
    #[must_use]
    pub fn missing() -> Option<String> {
        program()
            .is_none()
            .then(|| format!("no {PROGRAM} on this machine; cargo xtask setup installs it"))
    }

    /// Starts a server in about a second.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a server, if it is installed; otherwise the test is [`crate::skipped`].
    ///
    /// # Panics
    /// If it does not start, and in CI if it is not installed.
    #[must_use]
    pub fn start_or_skip() -> Option<Self> {
        if let Some(reason) = Self::missing() {
            policy::skipped(&reason);
            return None;
        }
        Some(Self::start())
    }

    fn try_start() -> Result<Self, StartError> {
        let program =
            program().ok_or_else(|| StartError::new(format!("{PROGRAM} is not installed")))?;
        Server::start(Configured { program }, private_folder(None)?).map(Self)
    }

    /// Its URL: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its address: `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// Creates a bucket.
    ///
    /// # Panics
    /// If it cannot be created, with the response.
    pub fn make_bucket(&self, name: &str) {
        let response = self
            .request("PUT", &format!("/{name}"))
            .unwrap_or_else(|error| panic!("the bucket {name}: {error}"));
        assert!(response.starts_with("HTTP/1.1 200"), "the bucket {name}: {response}");
    }

    /// The keys of all objects in a bucket, ordered.
    ///
    /// # Panics
    /// If they cannot be listed, with the response.
    #[must_use]
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let response = self
            .request("GET", &format!("/{bucket}"))
            .unwrap_or_else(|error| panic!("the bucket {bucket}: {error}"));
        assert!(response.starts_with("HTTP/1.1 200"), "the bucket {bucket}: {response}");
        let keys = response.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }

    /// Sends a request without a body and returns the raw response.
    fn request(&self, method: &str, path: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.0.port()))?;
        let address = self.address();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        connection.write_all(head.as_bytes())?;
        let mut response = String::new();
        connection.read_to_string(&mut response)?;
        Ok(response)
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

struct Configured {
    program: PathBuf,
}

impl Kind for Configured {
    const NAME: &'static str = "object storage";
    const END_SIGNAL: Signal = Signal::KILL;

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
    }

    fn answers(&self, folder: &Path, port: u16, _: u32) -> bool {
        // The line that it logs once it listens. Another process may have taken the port.
        std::fs::read_to_string(folder.join("log"))
            .is_ok_and(|log| log.contains(&format!("Running on http://127.0.0.1:{port}")))
    }
}

/// The program beside the Python with the tests' packages, else the one in `PATH`.
fn program() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let python = std::env::var_os("TOLMACH_PYTHON")
        .map_or_else(|| target.join("python/bin/python"), PathBuf::from);
    let beside = python.with_file_name(PROGRAM);
    if beside.is_file() { Some(beside) } else { find_program(PROGRAM) }
}
