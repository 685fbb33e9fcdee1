//! A server that a run starts, watches through the operating system, and ends.

use crate::world::SIGNING_SECRET;
use crate::{Outcome, cores};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::sched_setaffinity;
use std::borrow::Cow;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// How long a server may take to say that it is ready.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What prefixes the gateway's settings in the environment.
const ENVIRONMENT_PREFIX: &str = "TOLMACH_";

/// More frames a second than anybody sends.
const UNLIMITED: &str = "1000000";

/// Which server.
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
    /// Kept open: a server may say more, and must not fail because nobody listens.
    _output: BufReader<ChildStdout>,
}

/// A key of the configuration as the environment gives it, and its value.
pub(crate) struct Setting(&'static str, Cow<'static, str>);

impl Setting {
    /// Every dialect pushes messages, also the one that does not by itself.
    pub(crate) const PUSH: Self = Self("TOLMACH__DIALECTS__MORELIA__PUSH", Cow::Borrowed("true"));

    /// The store that it uses.
    pub(crate) fn store(url: String) -> Self {
        Self("TOLMACH__STORE__URL", url.into())
    }

    /// The bus that it uses.
    pub(crate) fn bus(url: String) -> Self {
        Self("TOLMACH__BUS__URL", url.into())
    }
}

impl Server {
    /// Starts a server that keeps what it keeps in `data`, and waits until it is ready.
    pub(crate) fn start(subject: Subject, data: &Path, settings: &[Setting]) -> Outcome<Self> {
        let command = command(subject, data, settings)?;
        let cores = cores::server_share()?;
        let (sender, receiver) = mpsc::channel();
        // A thread of its own, since a process inherits the cores of the thread that starts it.
        std::thread::spawn(move || {
            let started = sched_setaffinity(None, &cores)
                .map_err(Into::into)
                .and_then(|()| start(command, &sender));
            if let Err(error) = started {
                // Nobody listens only if the run was given up.
                let _ = sender.send(Step::Failed(error));
            }
        });
        let mut child = match receiver.recv_timeout(START_LIMIT)? {
            Step::Started(child) => child,
            Step::Ready(..) => return Err("a server was ready before it was started".into()),
            Step::Failed(error) => return Err(format!("the server did not start: {error}").into()),
        };
        match receiver.recv_timeout(START_LIMIT) {
            Ok(Step::Ready(line, output)) => match address(&line) {
                Some(address) => return Ok(Self { child, address, _output: output }),
                None => end(&mut child),
            },
            Ok(Step::Started(_) | Step::Failed(_)) | Err(_) => end(&mut child),
        }
        Err("the server did not say that it is ready".into())
    }

    /// The CPU time that the process has taken so far, in user and system mode.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let ticks = cpu_ticks(&stat).ok_or("/proc/<pid>/stat is not what proc(5) says")?;
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// The memory that is resident now, in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        Ok(resident_kibibytes(&status).ok_or("/proc/<pid>/status is not what proc(5) says")? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It fails only where the process has ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// What the starting thread has to tell, in this order.
enum Step {
    Started(Child),
    Ready(String, BufReader<ChildStdout>),
    Failed(std::io::Error),
}

fn start(mut command: Command, sender: &mpsc::Sender<Step>) -> std::io::Result<()> {
    let mut child = command.spawn()?;
    let output =
        child.stdout.take().ok_or_else(|| std::io::Error::other("it has no standard output"))?;
    if let Err(mpsc::SendError(Step::Started(mut child))) = sender.send(Step::Started(child)) {
        end(&mut child);
        return Ok(());
    }
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output.read_line(&mut line)?;
    // Nobody listens only if the run was given up; whoever gave it up ends the server.
    let _ = sender.send(Step::Ready(line, output));
    Ok(())
}

fn command(subject: Subject, data: &Path, settings: &[Setting]) -> Outcome<Command> {
    let own = std::env::current_exe()?;
    let folder = own.parent().ok_or("this program has no folder")?;
    let mut command = match subject {
        Subject::Floor => Command::new(folder.join("floor")),
        Subject::Tolmach => {
            let mut command = Command::new(folder.join("tolmach"));
            let foreign = std::env::vars_os()
                .map(|(name, _)| name)
                .filter(|name| name.to_string_lossy().starts_with(ENVIRONMENT_PREFIX));
            foreign.for_each(|name| {
                command.env_remove(name);
            });
            command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
            command
                .env("TOLMACH__AUTH__JWT_SECRET", SIGNING_SECRET)
                .env("TOLMACH__LOG__FILTER", "warn");
            // What one connection may say is not what is measured.
            command
                .env("TOLMACH__LIMITS__FRAMES_PER_SECOND", UNLIMITED)
                .env("TOLMACH__LIMITS__FRAME_BURST", UNLIMITED);
            command.envs(settings.iter().map(|setting| (setting.0, &*setting.1)));
            command
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(command)
}

/// A folder for what a server keeps, removed when it is dropped. It lies beside the executables, on
/// the disk that they are on: what is temporary is often kept in memory, where a commit costs
/// nothing.
pub(crate) fn data_folder() -> Outcome<TempDir> {
    let own = std::env::current_exe()?;
    Ok(tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(own.parent().ok_or("this program has no folder")?)?)
}

/// Lets this process and its servers have as many files open as the system allows.
pub(crate) fn allow_many_files() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// How many files a process may have open.
pub(crate) fn files_allowed() -> usize {
    getrlimit(Resource::Nofile)
        .current
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX)
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

/// Fields 14 and 15 of /proc/<pid>/stat; the second field is the name, which may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident_kibibytes(status: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
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
    }
}
