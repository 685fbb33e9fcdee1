//! PostgreSQL.

use crate::error::StartError;
use crate::policy;
use crate::process::{Account, Kind, Server, find_program, private_folder};
use crate::processor_times::ProcessorTimes;
use rustix::process::Signal;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The name of the user and of its database.
const NAME: &str = "tolmach";

/// The statements that make the user and the database.
const CREATE: &str = "create role tolmach login\ncreate database tolmach owner tolmach\n";

/// The statements that remove databases that no test needs: half of the thousand files that are
/// copied for each server would be theirs. Others can be created from `template0`.
const REDUCE: &str = "\
    update pg_database set datistemplate = false where datname = 'template1'\n\
    drop database template1\ndrop database postgres\n";

/// The data that survives a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// None: `fsync` is off. A killed server loses nothing.
    Fast,
    /// All committed data, as in production.
    Full,
}

/// A private PostgreSQL with a user and a database named `tolmach`, without a password.
pub struct Postgres(Server<Configured>);

impl Postgres {
    /// The missing program, if this machine lacks one.
    #[must_use]
    pub fn missing() -> Option<String> {
        programs().err().map(|error| error.to_string())
    }

    /// Starts a server in some 0.2 s. The first call also creates the template of all data folders.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start(durability: Durability) -> Self {
        Self::try_start(durability).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a server, if PostgreSQL is installed; otherwise the test is [`crate::skipped`].
    ///
    /// # Panics
    /// If it does not start, and in CI if it is not installed.
    #[must_use]
    pub fn start_or_skip(durability: Durability) -> Option<Self> {
        if let Some(reason) = Self::missing() {
            policy::skipped(&reason);
            return None;
        }
        Some(Self::start(durability))
    }

    fn try_start(durability: Durability) -> Result<Self, StartError> {
        let programs = programs()?;
        let account = account()?;
        let template = template(&programs, account)?;
        let folder = private_folder(account)?;
        copy(&template, &folder.path().join("data"))?;
        Server::start(Configured { program: programs.join("postgres"), durability }, folder)
            .map(Self)
    }

    /// Its URL: `postgres://tolmach@127.0.0.1:<port>/tolmach`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(&self.address())
    }

    /// Its URL with another address, such as that of a proxy.
    #[must_use]
    pub fn url_at(&self, address: &str) -> String {
        format!("postgres://{NAME}@{address}/{NAME}")
    }

    /// Its address: `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// The processor times of its processes.
    #[must_use]
    pub fn processor_times(&self) -> ProcessorTimes {
        self.0.processor_times()
    }

    /// Ends it in immediate mode, like a crash: connections are cut, and nothing is cleaned up.
    pub fn stop_immediately(&self) {
        self.0.end();
    }

    /// Kills all its processes with SIGKILL.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Suspends all its processes. Connections stay open and silent.
    pub fn pause(&self) {
        self.0.pause();
    }

    /// Resumes it after a pause.
    pub fn resume(&self) {
        self.0.resume();
    }

    /// Starts it again on the same port with the same data, after ending it if it still runs.
    ///
    /// # Panics
    /// If it does not start, with its log.
    pub fn start_again(&self) {
        self.0.start_again().unwrap_or_else(|error| panic!("{error}"));
    }
}

struct Configured {
    program: PathBuf,
    durability: Durability,
}

impl Kind for Configured {
    const NAME: &'static str = "PostgreSQL";
    const END_SIGNAL: Signal = Signal::QUIT;

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(folder)
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        if self.durability == Durability::Fast {
            command.args(["-c", "fsync=off"]);
        }
        command
    }

    fn answers(&self, folder: &Path, _: u16, pid: u32) -> bool {
        // The file that `pg_ctl` waits for. An earlier process may have left one.
        let words = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = words.lines().map(str::trim);
        lines.next() == Some(pid.to_string().as_str()) && lines.nth(6) == Some("ready")
    }
}

/// The user that runs it: PostgreSQL refuses to run as root.
fn account() -> Result<Option<Account>, StartError> {
    rustix::process::geteuid().is_root().then(Account::nobody).transpose()
}

/// The folder of its programs: the newest version in Debian's folder, else the one in `PATH`.
fn programs() -> Result<PathBuf, StartError> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(|entry| {
            let version: u32 = entry.as_ref().ok()?.file_name().to_str()?.parse().ok()?;
            Some((version, entry.ok()?.path().join("bin")))
        });
    let newest = versions
        .filter(|(_, folder)| folder.join("postgres").is_file() && folder.join("initdb").is_file())
        .max();
    let anywhere = || {
        find_program("postgres")
            .zip(find_program("initdb"))
            .and_then(|(postgres, _)| postgres.parent().map(PathBuf::from))
    };
    newest.map(|(_, folder)| folder).or_else(anywhere).ok_or_else(|| {
        let message = "no PostgreSQL (postgres, initdb) on this machine; \
             `cargo xtask setup` installs it";
        StartError::new(message)
    })
}

/// A data folder with the user and the database, created once for each version below the target
/// folder.
fn template(programs: &Path, account: Option<Account>) -> Result<PathBuf, StartError> {
    let built = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from)
        .join("servers");
    let version = run(Command::new(programs.join("postgres")).arg("--version"), "")?;
    // "postgres (PostgreSQL) 15.1", sometimes followed by the packager.
    let version = version.split_whitespace().nth(2).unwrap_or("unknown");
    let owner = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.user);
    // Other statements are another template.
    let length = CREATE.len() + REDUCE.len();
    let template = built.join(format!("postgresql-{version}-{owner}-{length}"));
    if template.exists() {
        return Ok(template);
    }
    // Created in a temporary folder, because its user may not be able to enter the target folder.
    let folder = private_folder(account)?;
    let data = folder.path().join("data");
    let mut init = Command::new(programs.join("initdb"));
    init.arg("-D").arg(&data).args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C",
    ]);
    let fill = |database: &str| {
        let mut command = Command::new(programs.join("postgres"));
        command.args(["--single", "-F", "-D"]).arg(&data).arg(database);
        command
    };
    for (mut command, input) in [(init, ""), (fill("postgres"), CREATE), (fill(NAME), REDUCE)] {
        command.current_dir(folder.path());
        if let Some(account) = account {
            account.apply(&mut command);
        }
        run(&mut command, input)?;
    }
    std::fs::create_dir_all(&built).map_err(StartError::io(built.display()))?;
    let own = tempfile::Builder::new()
        .prefix(".making-")
        .tempdir_in(&built)
        .map_err(StartError::io(built.display()))?;
    copy(&data, &own.path().join("data"))?;
    match std::fs::rename(own.path().join("data"), &template) {
        Ok(()) => Ok(template),
        // Another process has created the same one meanwhile.
        Err(_) if template.exists() => Ok(template),
        Err(error) => Err(StartError::io(template.display())(error)),
    }
}

/// Copies a folder with the owners of its files.
fn copy(from: &Path, to: &Path) -> Result<(), StartError> {
    run(Command::new("cp").arg("-a").arg(from).arg(to), "").map(drop)
}

/// Runs a program and returns its output.
fn run(command: &mut Command, input: &str) -> Result<String, StartError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| StartError::io(&name)(error);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take()
        && !input.is_empty()
    {
        pipe.write_all(input.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(StartError::new(format!("{name}: {}: {text}{errors}", output.status)))
}
