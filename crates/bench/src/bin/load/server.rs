//! A server under test: started, observed through the operating system, and killed.

use crate::cpu_sets::server_cpus;
use crate::result::BenchResult;
use crate::users::SIGNING_SECRET;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// The longest time to the `ready` line of a server.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The prefix of the gateway's settings in the environment.
const ENVIRONMENT_PREFIX: &str = "TOLMACH_";

/// Frames a second that no connection of a run reaches.
const UNLIMITED: &str = "1000000";

/// The server under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    /// The bare broadcast server
    Floor,
    /// The gateway
    Tolmach,
}

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Kept open: a write to a closed pipe would fail or end the server.
    _output: BufReader<ChildStdout>,
}

/// A setting of the gateway: its environment variable and its value.
pub(crate) struct Setting(&'static str, Cow<'static, str>);

impl Setting {
    /// Pushes of the dialect that by default has none.
    pub(crate) const PUSH: Self = Self("TOLMACH__DIALECTS__MORELIA__PUSH", Cow::Borrowed("true"));

    /// The URL of the store.
    pub(crate) fn store(url: String) -> Self {
        Self("TOLMACH__STORE__URL", url.into())
    }

    /// The recording of all connections, in the data folder.
    pub(crate) const RECORD: Self = Self("TOLMACH__RECORD__ENABLED", Cow::Borrowed("true"));

    /// No ledger.
    pub(crate) const NO_LEDGER: Self = Self("TOLMACH__LEDGER__ENABLED", Cow::Borrowed("false"));

    /// The time between two writes of the ledger.
    pub(crate) fn ledger_interval(interval: String) -> Self {
        Self("TOLMACH__LEDGER__WRITE_INTERVAL", interval.into())
    }

    /// The URL of the bus.
    pub(crate) fn bus(url: String) -> Self {
        Self("TOLMACH__BUS__URL", url.into())
    }
}

impl Server {
    /// Starts a server on the data folder `data` and waits until it is ready.
    pub(crate) fn start(subject: Subject, data: &Path, settings: &[Setting]) -> BenchResult<Self> {
        Self::run(command(subject, data, settings)?)
    }

    /// Starts the gateway with its default limits and its log in `log`, and waits until it is
    /// ready.
    pub(crate) fn start_at_defaults(data: &Path, log: File) -> BenchResult<Self> {
        let mut command = gateway(data)?;
        command.stderr(log);
        Self::run(command)
    }

    /// Runs a server until it is ready.
    pub(crate) fn run(command: Command) -> BenchResult<Self> {
        let (sender, receiver) = mpsc::channel();
        let cpus = server_cpus()?;
        // On a thread of its own: a process inherits the CPU affinity of the thread that spawns it.
        std::thread::spawn(move || {
            if let Err(error) = spawn_on(&cpus, command, &sender) {
                // Sending fails only if `start` timed out.
                let _ = sender.send(StartEvent::Failed(error));
            }
        });
        let mut child = match receiver.recv_timeout(START_TIMEOUT)? {
            StartEvent::Spawned(child) => child,
            StartEvent::Ready(..) => return Err("the server was ready before it started".into()),
            StartEvent::Failed(error) => {
                return Err(format!("the server did not start: {error}").into());
            }
        };
        match receiver.recv_timeout(START_TIMEOUT) {
            Ok(StartEvent::Ready(line, output)) => match address(&line) {
                Some(address) => return Ok(Self { child, address, _output: output }),
                None => kill(&mut child),
            },
            Ok(StartEvent::Spawned(_) | StartEvent::Failed(_)) | Err(_) => kill(&mut child),
        }
        Err("the server printed no `ready` line".into())
    }

    /// The CPU time of the process so far, in user and system mode.
    pub(crate) fn cpu(&self) -> BenchResult<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let ticks = cpu_ticks(&stat).ok_or("/proc/<pid>/stat is not in the format of proc(5)")?;
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// The resident memory of the process, in bytes.
    pub(crate) fn resident(&self) -> BenchResult<u64> {
        self.resident_memory().read()
    }

    /// A reader of the resident memory, for another thread.
    pub(crate) fn resident_memory(&self) -> ResidentMemory {
        ResidentMemory { process: self.child.id() }
    }
}

/// Reads the resident memory of a server.
#[derive(Debug, Clone)]
pub(crate) struct ResidentMemory {
    process: u32,
}

impl ResidentMemory {
    /// The resident memory, in bytes.
    pub(crate) fn read(&self) -> BenchResult<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let kibibytes = resident_kibibytes(&status);
        Ok(kibibytes.ok_or("/proc/<pid>/status is not in the format of proc(5)")? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

fn kill(child: &mut Child) {
    // Fails only if the process has ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// The steps of a start, in this order, or its failure.
enum StartEvent {
    Spawned(Child),
    Ready(String, BufReader<ChildStdout>),
    Failed(io::Error),
}

fn spawn_on(
    cpus: &CpuSet,
    mut command: Command,
    sender: &mpsc::Sender<StartEvent>,
) -> io::Result<()> {
    sched_setaffinity(None, cpus)?;
    let mut child = command.spawn()?;
    let output = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    if let Err(mpsc::SendError(StartEvent::Spawned(mut child))) =
        sender.send(StartEvent::Spawned(child))
    {
        kill(&mut child);
        return Ok(());
    }
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output.read_line(&mut line)?;
    // Sending fails only if `start` timed out, which kills the server.
    let _ = sender.send(StartEvent::Ready(line, output));
    Ok(())
}

fn command(subject: Subject, data: &Path, settings: &[Setting]) -> BenchResult<Command> {
    Ok(match subject {
        Subject::Floor => floor()?,
        Subject::Tolmach => {
            let mut command = gateway(data)?;
            unlimited(&mut command);
            command.envs(settings.iter().map(|setting| (setting.0, &*setting.1)));
            command
        }
    })
}

/// The bare server.
pub(crate) fn floor() -> BenchResult<Command> {
    Ok(with_output(Command::new(programs()?.join("floor"))))
}

/// Takes the limits off that the connections of a run would reach.
pub(crate) fn unlimited(command: &mut Command) {
    for limit in [
        "TOLMACH__HTTP__MAX_CONNECTIONS_PER_ADDRESS",
        "TOLMACH__LIMITS__FRAMES_PER_SECOND",
        "TOLMACH__LIMITS__FRAME_BURST",
        "TOLMACH__LIMITS__FRAMES_PER_SECOND_PER_ADDRESS",
        "TOLMACH__LIMITS__FRAME_BURST_PER_ADDRESS",
    ] {
        command.env(limit, UNLIMITED);
    }
}

/// The gateway with default settings but for the secret of its tokens.
fn gateway(data: &Path) -> BenchResult<Command> {
    let mut command = tolmach("serve", data)?;
    command.args(["--listen", "127.0.0.1:0"]).env("TOLMACH__AUTH__JWT_SECRET", SIGNING_SECRET);
    Ok(command)
}

/// A command of Tolmach, without the settings of this process.
pub(crate) fn tolmach(name: &str, data: &Path) -> BenchResult<Command> {
    let mut command = Command::new(programs()?.join("tolmach"));
    let inherited = std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with(ENVIRONMENT_PREFIX));
    inherited.for_each(|name| {
        command.env_remove(name);
    });
    command.args([name, "--data"]).arg(data).env("TOLMACH__LOG__FILTER", "warn");
    Ok(with_output(command))
}

fn with_output(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The folder of this executable, in which the servers are too.
fn programs() -> BenchResult<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().ok_or("this executable has no folder")?.to_owned())
}

/// A data folder, removed when it is dropped. It is beside the executables, on their disk: the
/// system's folder of temporary files is often in memory, where a commit costs nothing.
pub(crate) fn data_folder() -> BenchResult<TempDir> {
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(programs()?)?)
}

/// A folder in memory, for stores whose speed is not measured.
pub(crate) fn memory_folder() -> BenchResult<TempDir> {
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in("/dev/shm")?)
}

/// The address in the line `ready http=ADDR:PORT …`.
fn address(line: &str) -> Option<SocketAddr> {
    line.trim_end()
        .strip_prefix("ready ")?
        .split(' ')
        .find_map(|word| word.strip_prefix("http="))?
        .parse()
        .ok()
}

/// Fields 14 and 15 of `/proc/<pid>/stat`. The second field is the process name, which may contain
/// spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The peak of the resident memory of a process, in bytes; 0 once it has ended.
pub(crate) fn peak_memory(process: u32) -> BenchResult<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    Ok(kibibytes(&status, "VmHWM:").unwrap_or_default() * 1024)
}

fn resident_kibibytes(status: &str) -> Option<u64> {
    kibibytes(status, "VmRSS:")
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_the_address() {
        for (line, expected) in [
            ("ready http=127.0.0.1:8080\n", Some("127.0.0.1:8080")),
            ("ready http=127.0.0.1:8080 tcp=127.0.0.1:9\n", Some("127.0.0.1:8080")),
            ("ready tcp=127.0.0.1:9 http=[::1]:80\n", Some("[::1]:80")),
            ("ready http=localhost\n", None),
            ("http=127.0.0.1:8080\n", None),
            ("", None),
        ] {
            assert_eq!(
                address(line).map(|address| address.to_string()).as_deref(),
                expected,
                "{line:?}"
            );
        }
    }

    #[test]
    fn a_process_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 70 30 0 0";
        for (stat, ticks) in [
            (format!("42 (floor) {rest}"), Some(100)),
            (format!("42 (a b) c) {rest}"), Some(100)),
            ("42 (floor) S 1 2".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(cpu_ticks(&stat), ticks, "{stat}");
        }
    }

    #[test]
    fn resident_memory_is_read_from_its_line() {
        assert_eq!(resident_kibibytes("VmHWM:\t    9000 kB\nVmRSS:\t    8192 kB\n"), Some(8192));
        assert_eq!(resident_kibibytes("VmHWM:\t    9000 kB\n"), None);
        assert_eq!(kibibytes("VmHWM:\t    9000 kB\nVmRSS:\t    8192 kB\n", "VmHWM:"), Some(9000));
    }
}
