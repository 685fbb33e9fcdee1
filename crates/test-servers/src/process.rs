//! A server: its process, its port, its folder and its log.

use crate::error::StartError;
use crate::processor_times::ProcessorTimes;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest wait for a server to answer, and to end.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The interval of polling meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The number of ports tried: another process may take a port between its choice and its use.
const PORT_ATTEMPTS: usize = 10;

/// A user of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Account {
    /// The user `nobody`, for servers that refuse to run as root.
    pub(crate) fn nobody() -> Result<Self, StartError> {
        let users =
            std::fs::read_to_string("/etc/passwd").map_err(StartError::io("/etc/passwd"))?;
        let line = users
            .lines()
            .find(|line| line.starts_with("nobody:"))
            .ok_or_else(|| StartError::new("/etc/passwd has no user nobody"))?;
        let number = |at| line.split(':').nth(at).and_then(|field| field.parse().ok());
        match (number(2), number(3)) {
            (Some(user), Some(group)) => Ok(Self { user, group }),
            _ => Err(StartError::new(format!("/etc/passwd: {line:?} is not a user"))),
        }
    }

    /// Makes a command run as this user.
    pub(crate) fn apply(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }
}

/// A kind of server.
pub(crate) trait Kind {
    /// Its name.
    const NAME: &'static str;

    /// The signal that ends it at once.
    const END_SIGNAL: Signal;

    /// The command that listens on `port` and stores its files below `folder`.
    fn command(&self, folder: &Path, port: u16) -> Command;

    /// True if the process `pid` answers on `port`.
    fn answers(&self, folder: &Path, port: u16, pid: u32) -> bool;
}

/// A server of one kind.
pub(crate) struct Server<K: Kind> {
    kind: K,
    port: u16,
    child: Mutex<Option<Child>>,
    folder: TempDir,
}

impl<K: Kind> Server<K> {
    /// Starts a server in this folder, on a free port.
    pub(crate) fn start(kind: K, folder: TempDir) -> Result<Self, StartError> {
        let mut last = StartError::new("no attempt");
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            match launch(&kind, folder.path(), port) {
                Ok(child) => {
                    return Ok(Self { kind, port, child: Mutex::new(Some(child)), folder });
                }
                Err(LaunchError::PortTaken(error)) => last = error,
                Err(LaunchError::Failed(error)) => return Err(error),
            }
        }
        let message = format!("{}: {PORT_ATTEMPTS} ports in a row were taken: {last}", K::NAME);
        Err(StartError::new(message))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sends [`Kind::END_SIGNAL`], and waits until its processes have ended.
    pub(crate) fn end(&self) {
        self.resume();
        let Some(mut child) = self.child().take() else { return };
        let all = with_descendants(child.id());
        signal(child.id(), K::END_SIGNAL);
        reap(&mut child);
        await_end::<K>(&all);
    }

    /// Kills it and all its descendants, and waits until they have ended.
    pub(crate) fn kill(&self) {
        let Some(mut child) = self.child().take() else { return };
        let all = with_descendants(child.id());
        for pid in &all {
            signal(*pid, Signal::KILL);
        }
        reap(&mut child);
        await_end::<K>(&all);
    }

    /// Suspends it and all its descendants. Their connections stay open and silent.
    pub(crate) fn pause(&self) {
        let Some(pid) = self.pid() else { return };
        // The parent is suspended before its descendants are listed, so that it starts no more.
        signal(pid, Signal::STOP);
        for pid in with_descendants(pid) {
            signal(pid, Signal::STOP);
        }
    }

    /// Resumes it after a pause.
    pub(crate) fn resume(&self) {
        let Some(pid) = self.pid() else { return };
        for pid in with_descendants(pid).into_iter().rev() {
            signal(pid, Signal::CONT);
        }
    }

    /// Starts it again on the same port with the same files, after ending it if it still runs.
    pub(crate) fn start_again(&self) -> Result<(), StartError> {
        self.end();
        let until = Instant::now() + TIMEOUT;
        loop {
            match launch(&self.kind, self.folder.path(), self.port) {
                Ok(child) => {
                    *self.child() = Some(child);
                    return Ok(());
                }
                // A client's outgoing connection may have the port for a short time.
                Err(LaunchError::PortTaken(_)) if Instant::now() < until => {
                    thread::sleep(POLL_INTERVAL)
                }
                Err(LaunchError::PortTaken(error) | LaunchError::Failed(error)) => {
                    return Err(error);
                }
            }
        }
    }

    /// The processor times of it and of all its descendants.
    pub(crate) fn processor_times(&self) -> ProcessorTimes {
        self.pid()
            .map_or_else(ProcessorTimes::default, |pid| ProcessorTimes::of(with_descendants(pid)))
    }

    /// The id of the process while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Kind> Drop for Server<K> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Error of a launch.
enum LaunchError {
    PortTaken(StartError),
    Failed(StartError),
}

fn launch<K: Kind>(kind: &K, folder: &Path, port: u16) -> Result<Child, LaunchError> {
    let log = folder.join("log");
    let failed = |error| LaunchError::Failed(StartError::io(K::NAME)(error));
    let output = File::create(&log).map_err(failed)?;
    let errors = output.try_clone().map_err(failed)?;
    let mut command = end_with_parent(&kind.command(folder, port));
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    if let Some(account) = foreign_owner(folder).map_err(LaunchError::Failed)? {
        account.apply(&mut command);
    }
    let mut child = spawn(command).map_err(failed)?;
    let until = Instant::now() + TIMEOUT;
    while !kind.answers(folder, port, child.id()) {
        let ended = child.try_wait().map_err(failed)?;
        if ended.is_none() && Instant::now() < until {
            thread::sleep(POLL_INTERVAL);
            continue;
        }
        let reason = ended.map_or_else(
            || format!("does not answer after {TIMEOUT:?}"),
            |status| format!("ended, {status}"),
        );
        for pid in with_descendants(child.id()) {
            signal(pid, Signal::KILL);
        }
        reap(&mut child);
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let error = StartError::new(format!("{}: {reason}; its log:\n{log}", K::NAME));
        return Err(if log.contains("Address already in use") {
            LaunchError::PortTaken(error)
        } else {
            LaunchError::Failed(error)
        });
    }
    Ok(child)
}

/// A temporary folder that only its server may enter.
pub(crate) fn private_folder(owner: Option<Account>) -> Result<TempDir, StartError> {
    let folder = tempfile::Builder::new()
        .prefix("tolmach-")
        .tempdir()
        .map_err(StartError::io("a folder for a server"))?;
    if let Some(owner) = owner {
        std::os::unix::fs::chown(folder.path(), Some(owner.user), Some(owner.group))
            .map_err(StartError::io(folder.path().display()))?;
    }
    Ok(folder)
}

/// The owner of a folder, if it is another user.
fn foreign_owner(folder: &Path) -> Result<Option<Account>, StartError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(folder).map_err(StartError::io(folder.display()))?;
    let foreign = metadata.uid() != rustix::process::geteuid().as_raw();
    Ok(foreign.then(|| Account { user: metadata.uid(), group: metadata.gid() }))
}

/// The program of this name in one of the folders of `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// The same command, killed by the kernel when this process ends, if `setpriv` is installed.
fn end_with_parent(command: &Command) -> Command {
    let words: Vec<&OsStr> = if find_program("setpriv").is_some() {
        vec![
            OsStr::new("setpriv"),
            OsStr::new("--pdeathsig"),
            OsStr::new("KILL"),
            OsStr::new("--"),
            command.get_program(),
        ]
    } else {
        vec![command.get_program()]
    };
    let mut wrapped = Command::new(words[0]);
    wrapped.args(&words[1..]).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// Starts a program from a thread that lives as long as this process. The kernel kills a child when
/// the *thread* that started it ends, and a test's thread, or one of a pool, may end before.
fn spawn(command: Command) -> io::Result<Child> {
    type Request = (Command, Sender<io::Result<Child>>);
    static STARTER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        thread::spawn(move || {
            for (mut command, reply) in requests {
                // Without a receiver nothing would end the child.
                if let Err(unwanted) = reply.send(command.spawn())
                    && let Ok(mut child) = unwanted.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        Mutex::new(sender)
    });
    let (reply, child) = channel();
    let ended = || io::Error::other("the thread that starts servers has ended");
    starter
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .map_err(|_| ended())?;
    child.recv().map_err(|_| ended())?
}

fn signal(pid: u32, signal: Signal) {
    // The process may have ended by itself, then there is nothing to do.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn reap(child: &mut Child) {
    let until = Instant::now() + TIMEOUT;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Waits for the end of processes that are not children of this one.
fn await_end<K: Kind>(pids: &[u32]) {
    let until = Instant::now() + TIMEOUT;
    while pids.iter().any(|pid| parent(*pid).is_some()) {
        if Instant::now() > until {
            eprintln!("{}: some of the processes {pids:?} do not end", K::NAME);
            return;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// A process and all its descendants, parents first. Without `/proc` only itself.
fn with_descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(above) = all.get(next).copied() {
        all.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        next += 1;
    }
    all
}

/// The parent of a process that has not ended.
fn parent(pid: u32) -> Option<u32> {
    let words = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The state and the parent follow the name, which may have any characters. A zombie has ended.
    let mut fields = words.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

/// A free port.
pub(crate) fn free_port() -> Result<u16, StartError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(StartError::io("no port on 127.0.0.1"))
}
