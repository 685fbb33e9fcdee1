//! One running gateway for all trials of a run: the real binary.

use crate::frames::PASSWORD;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The operator's accounts, made before the gateway starts: an administrator, and a member with the business tariff.
pub(crate) const ADMINISTRATOR: &str = "administrator";
pub(crate) const BUSINESS: &str = "business";

/// A running gateway, and the runtime in which clients speak to it.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    runtime: Runtime,
    child: Mutex<Child>,
    folder: TempDir,
}

static HOUSE: OnceLock<House> = OnceLock::new();

/// The gateway of this run, started when it is first asked for.
pub(crate) fn house() -> &'static House {
    HOUSE.get_or_init(House::open)
}

/// Stops the gateway of this run, if there is one.
pub(crate) fn close() {
    if let Some(house) = HOUSE.get() {
        let mut child = house.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        let _ = std::fs::remove_dir_all(house.folder.path());
    }
}

impl House {
    fn open() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        for (login, right) in [(ADMINISTRATOR, "--admin"), (BUSINESS, "--business")] {
            let made = tolmach(folder.path(), &["user", "add", login, "--password", PASSWORD, right]).output();
            let made = made.expect("the binary can be started");
            assert!(made.status.success(), "{login}: {}", String::from_utf8_lossy(&made.stderr));
        }
        let log = std::fs::File::create(folder.path().join("log")).expect("a log file can be made");
        let mut child = tolmach(folder.path(), &["serve"]).stdout(Stdio::piped()).stderr(log).spawn().expect("the binary can be started");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("standard output is text");
        let address = ready.trim().split(' ').find_map(|word| word.strip_prefix("http=")?.parse().ok());
        let Some(address) = address else {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            panic!("{ready:?} was said instead of where it listens:\n{log}");
        };
        let runtime = Runtime::new().expect("a runtime can be made");
        Self { address, runtime, child: Mutex::new(child), folder }
    }

    /// Runs what needs a runtime.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// The binary on the data of this folder, with nothing else of the environment.
fn tolmach(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tolmach"));
    command.current_dir(folder).args(arguments).arg("--data").arg(folder.join("data")).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TOLMACH__")) {
        command.env_remove(name);
    }
    command.env("TOLMACH__HTTP__LISTEN", "127.0.0.1:0").env("TOLMACH__AUTH__BCRYPT_COST", "4");
    // What a dialect can push is tried, also where it does not unless it is told to.
    command.env("TOLMACH__DIALECTS__MORELIA__PUSH", "true");
    command
}
