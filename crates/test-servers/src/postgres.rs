//! PostgreSQL.

use crate::policy;
use crate::process::{Account, Kind, Server, find_program, private_folder};
use rustix::process::Signal;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The user, and the database that it owns.
const NAME: &str = "tolmach";

/// What a template holds beside what `initdb` makes. The template is named after it: another world,
/// another template.
const WORLD: &str = "create role tolmach login\ncreate database tolmach owner tolmach\n";

/// What survives a machine that loses its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: `fsync` is off. A server that is killed loses nothing either way.
    Fast,
    /// What was committed, as anybody runs it.
    Full,
}

/// A private PostgreSQL with a user and a database named `tolmach`; no password is asked.
pub struct Postgres(Server<Configured>);

impl Postgres {
    /// What of it this machine lacks.
    #[must_use]
    pub fn missing() -> Option<String> {
        programs().err()
    }

    /// Starts one, some 0.2 s after the first, which also makes the template that all are copied
    /// from.
    ///
    /// # Panics
    /// When it does not come up, with what it said.
    #[must_use]
    pub fn start(durability: Durability) -> Self {
        Self::try_start(durability).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The same where PostgreSQL is installed. Elsewhere the caller is told to pass by, as
    /// [`crate::skipped`] says.
    ///
    /// # Panics
    /// When it does not come up, and in CI when it is not installed.
    #[must_use]
    pub fn start_or_skip(durability: Durability) -> Option<Self> {
        if let Some(why) = Self::missing() {
            policy::skipped(&why);
            return None;
        }
        Some(Self::start(durability))
    }

    fn try_start(durability: Durability) -> Result<Self, String> {
        let programs = programs()?;
        let account = account()?;
        let template = template(&programs, account)?;
        let folder = private_folder(account)?;
        copy(&template, &folder.path().join("data"))?;
        Server::start(Configured { program: programs.join("postgres"), durability }, folder)
            .map(Self)
    }

    /// Where to find it: `postgres://tolmach@127.0.0.1:<port>/tolmach`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(&self.address())
    }

    /// The same by way of another address, such as that of a proxy.
    #[must_use]
    pub fn url_at(&self, address: &str) -> String {
        format!("postgres://{NAME}@{address}/{NAME}")
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// Ends it in immediate mode, as a machine that is switched off does: every connection is cut,
    /// and nothing is tidied up.
    pub fn stop_immediately(&self) {
        self.0.end();
    }

    /// `kill -9` of every process of it.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Stops every process of it where it stands. Connections stay open and silent.
    pub fn pause(&self) {
        self.0.pause();
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) {
        self.0.resume();
    }

    /// Starts it again at the same port with the same data, ending it first if it still runs.
    ///
    /// # Panics
    /// When it does not come up, with what it said.
    pub fn start_again(&self) {
        self.0.start_again().unwrap_or_else(|problem| panic!("{problem}"));
    }
}

struct Configured {
    program: PathBuf,
    durability: Durability,
}

impl Kind for Configured {
    const NAME: &'static str = "PostgreSQL";
    const END: Signal = Signal::QUIT;

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
        // It writes there what `pg_ctl` waits for. What another process left is another process's.
        let words = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = words.lines().map(str::trim);
        lines.next() == Some(pid.to_string().as_str()) && lines.nth(6) == Some("ready")
    }
}

/// Who runs it: PostgreSQL refuses to be root.
fn account() -> Result<Option<Account>, String> {
    rustix::process::geteuid().is_root().then(Account::nobody).transpose()
}

/// The folder with its programs: the newest of those that Debian installs side by side, or else
/// what `PATH` has.
fn programs() -> Result<PathBuf, String> {
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
        "no PostgreSQL (postgres, initdb) on this machine; cargo xtask setup installs it".to_owned()
    })
}

/// A data folder as `initdb` makes it, with the user and the database. Made once for a version, and
/// below the target folder.
fn template(programs: &Path, account: Option<Account>) -> Result<PathBuf, String> {
    let built = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from)
        .join("servers");
    let version = run(Command::new(programs.join("postgres")).arg("--version"), "")?;
    // "postgres (PostgreSQL) 15.1", and then perhaps who packed it.
    let version = version.split_whitespace().nth(2).unwrap_or("unknown");
    let owner = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.user);
    let template = built.join(format!("postgresql-{version}-{owner}-{}", WORLD.len()));
    if template.exists() {
        return Ok(template);
    }
    // Where it is made, its owner can reach it; whose folders lie above the target folder is not
    // known.
    let folder = private_folder(account)?;
    let data = folder.path().join("data");
    let mut make = Command::new(programs.join("initdb"));
    make.arg("-D").arg(&data).args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C",
    ]);
    let mut fill = Command::new(programs.join("postgres"));
    fill.args(["--single", "-F", "-D"]).arg(&data).arg("postgres");
    for (command, input) in [(&mut make, ""), (&mut fill, WORLD)] {
        command.current_dir(folder.path());
        if let Some(account) = account {
            account.put_on(command);
        }
        run(command, input)?;
    }
    std::fs::create_dir_all(&built).map_err(|error| format!("{}: {error}", built.display()))?;
    let own = tempfile::Builder::new()
        .prefix(".making-")
        .tempdir_in(&built)
        .map_err(|error| format!("{}: {error}", built.display()))?;
    copy(&data, &own.path().join("data"))?;
    match std::fs::rename(own.path().join("data"), &template) {
        Ok(()) => Ok(template),
        // Another process was quicker, and made the same.
        Err(_) if template.exists() => Ok(template),
        Err(error) => Err(format!("{}: {error}", template.display())),
    }
}

/// Copies a folder with the owners of its files.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    run(Command::new("cp").arg("-a").arg(from).arg(to), "").map(drop)
}

/// Runs a program to its end and takes its output.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| format!("{name}: {error}");
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
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(format!("{name}: {}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}
