//! One server: its process, its port, its folder and its log.

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

/// How long a server may take until it answers, and until it is gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked at meanwhile.
const GLANCE: Duration = Duration::from_millis(5);

/// How many ports are tried: between choosing one and its use, somebody else may take it.
const PORTS: usize = 10;

/// A user of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Account {
    /// Nobody, for servers that refuse to run as root.
    pub(crate) fn nobody() -> Result<Self, String> {
        let users = std::fs::read_to_string("/etc/passwd")
            .map_err(|error| format!("/etc/passwd: {error}"))?;
        let line = users
            .lines()
            .find(|line| line.starts_with("nobody:"))
            .ok_or("/etc/passwd names no user nobody")?;
        let number = |at| line.split(':').nth(at).and_then(|field| field.parse().ok());
        match (number(2), number(3)) {
            (Some(user), Some(group)) => Ok(Self { user, group }),
            _ => Err(format!("/etc/passwd: {line:?} is no user")),
        }
    }

    /// Has a program run as this user.
    pub(crate) fn put_on(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }
}

/// How one kind of server is started.
pub(crate) trait Kind {
    /// What people call it.
    const NAME: &'static str;

    /// What ends it at once.
    const END: Signal;

    /// The program and its arguments, to listen at `port` and keep its files below `folder`.
    fn command(&self, folder: &Path, port: u16) -> Command;

    /// Whether the process `pid` answers at `port` by now.
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
    /// Starts one in this folder, at a port that is free.
    pub(crate) fn start(kind: K, folder: TempDir) -> Result<Self, String> {
        let mut last = String::new();
        for _ in 0..PORTS {
            let port = free_port().map_err(|error| format!("no port on 127.0.0.1: {error}"))?;
            match launch(&kind, folder.path(), port) {
                Ok(child) => {
                    return Ok(Self { kind, port, child: Mutex::new(Some(child)), folder });
                }
                Err(Launch::PortTaken(problem)) => last = problem,
                Err(Launch::Failed(problem)) => return Err(problem),
            }
        }
        Err(format!("{}: {PORTS} ports in a row were taken: {last}", K::NAME))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sends what ends it at once, and waits until it is gone.
    pub(crate) fn end(&self) {
        self.resume();
        let Some(mut child) = self.child().take() else { return };
        let all = with_descendants(child.id());
        signal(child.id(), K::END);
        reap(&mut child);
        await_gone::<K>(&all);
    }

    /// Kills it and everything that it started, and waits until they are gone.
    pub(crate) fn kill(&self) {
        let Some(mut child) = self.child().take() else { return };
        let all = with_descendants(child.id());
        for pid in &all {
            signal(*pid, Signal::KILL);
        }
        reap(&mut child);
        await_gone::<K>(&all);
    }

    /// Stops it and everything that it started where they stand; their connections stay open and
    /// silent.
    pub(crate) fn pause(&self) {
        let Some(pid) = self.pid() else { return };
        // The first is stopped before the others are looked for, so that it starts no more.
        signal(pid, Signal::STOP);
        for pid in with_descendants(pid) {
            signal(pid, Signal::STOP);
        }
    }

    /// Lets it go on after a pause.
    pub(crate) fn resume(&self) {
        let Some(pid) = self.pid() else { return };
        for pid in with_descendants(pid).into_iter().rev() {
            signal(pid, Signal::CONT);
        }
    }

    /// Ends it if it still runs, and starts it again at the same port, on the files that it left.
    pub(crate) fn start_again(&self) -> Result<(), String> {
        self.end();
        let until = Instant::now() + PATIENCE;
        loop {
            match launch(&self.kind, self.folder.path(), self.port) {
                Ok(child) => {
                    *self.child() = Some(child);
                    return Ok(());
                }
                // A client's outgoing connection may sit on the port for a moment.
                Err(Launch::PortTaken(_)) if Instant::now() < until => thread::sleep(GLANCE),
                Err(Launch::PortTaken(problem) | Launch::Failed(problem)) => return Err(problem),
            }
        }
    }

    /// The process, while there is one.
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

/// Why a server did not come up.
enum Launch {
    PortTaken(String),
    Failed(String),
}

fn launch<K: Kind>(kind: &K, folder: &Path, port: u16) -> Result<Child, Launch> {
    let log = folder.join("log");
    let failed = |what: &str| Launch::Failed(format!("{}: {what}", K::NAME));
    let output =
        File::create(&log).map_err(|error| failed(&format!("{}: {error}", log.display())))?;
    let errors = output.try_clone().map_err(|error| failed(&error.to_string()))?;
    let mut command = ending_with_us(&kind.command(folder, port));
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    if let Some(account) = owner_to_run_as(folder).map_err(|problem| failed(&problem))? {
        account.put_on(&mut command);
    }
    let mut child =
        spawn(command).map_err(|error| failed(&format!("cannot be started: {error}")))?;
    let until = Instant::now() + PATIENCE;
    while !kind.answers(folder, port, child.id()) {
        let ended = child.try_wait().map_err(|error| failed(&error.to_string()))?;
        if ended.is_none() && Instant::now() < until {
            thread::sleep(GLANCE);
            continue;
        }
        let why = ended.map_or_else(
            || format!("does not answer after {PATIENCE:?}"),
            |status| format!("ended, {status}"),
        );
        for pid in with_descendants(child.id()) {
            signal(pid, Signal::KILL);
        }
        reap(&mut child);
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let problem = format!("{}: {why}; it said:\n{said}", K::NAME);
        return Err(if said.contains("Address already in use") {
            Launch::PortTaken(problem)
        } else {
            Launch::Failed(problem)
        });
    }
    Ok(child)
}

/// A folder that only its server may enter, below the system's folder for such.
pub(crate) fn private_folder(owner: Option<Account>) -> Result<TempDir, String> {
    let folder = tempfile::Builder::new()
        .prefix("tolmach-")
        .tempdir()
        .map_err(|error| format!("no folder for a server: {error}"))?;
    if let Some(owner) = owner {
        std::os::unix::fs::chown(folder.path(), Some(owner.user), Some(owner.group))
            .map_err(|error| format!("{}: {error}", folder.path().display()))?;
    }
    Ok(folder)
}

/// Who the folder belongs to, if that is not ourselves.
fn owner_to_run_as(folder: &Path) -> Result<Option<Account>, String> {
    use std::os::unix::fs::MetadataExt;
    let folder_of =
        std::fs::metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let foreign = folder_of.uid() != rustix::process::geteuid().as_raw();
    Ok(foreign.then(|| Account { user: folder_of.uid(), group: folder_of.gid() }))
}

/// The program of this name in one of the folders of `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// The same command, killed by the kernel when the process that starts it ends, where there is
/// `setpriv` to ask for that.
fn ending_with_us(command: &Command) -> Command {
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

/// Starts a program from one thread that lives as long as we do. The kernel ends a child when the
/// *thread* that started it is gone, and a test's thread, or one of a pool, may go first.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, Sender<io::Result<Child>>);
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, taken) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in taken {
                // Nobody waits any more: nobody would end it either.
                if let Err(unwanted) = reply.send(command.spawn())
                    && let Ok(mut child) = unwanted.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        Mutex::new(orders)
    });
    let (reply, child) = channel();
    let gone = || io::Error::other("the thread that starts servers is gone");
    starter
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

fn signal(pid: u32, signal: Signal) {
    // It may have ended by itself meanwhile, which is as well.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn reap(child: &mut Child) {
    let until = Instant::now() + PATIENCE;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        thread::sleep(GLANCE);
    }
}

/// Waits for processes that are not our children, and so cannot be waited for otherwise.
fn await_gone<K: Kind>(pids: &[u32]) {
    let until = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| parent(*pid).is_some()) {
        if Instant::now() > until {
            eprintln!("{}: some of the processes {pids:?} do not end", K::NAME);
            return;
        }
        thread::sleep(GLANCE);
    }
}

/// A process and all that it started, parents first. Without `/proc` only itself.
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

/// Who started a process, while it has not ended.
fn parent(pid: u32) -> Option<u32> {
    let words = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may hold anything, the state and the parent follow. A zombie holds
    // nothing any more.
    let mut fields = words.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A free port beside that of the server, for kinds that need two.
pub(crate) fn second_port() -> Result<u16, String> {
    free_port().map_err(|error| format!("no port on 127.0.0.1: {error}"))
}
