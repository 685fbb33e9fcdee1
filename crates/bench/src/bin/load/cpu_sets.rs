//! CPU affinity: one half of the CPUs for the server and the other for its clients, so that neither
//! takes time from the other. With a single CPU both share it.

use crate::result::BenchResult;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;
use std::sync::OnceLock;

/// Moves this thread, and the threads that it starts, to the clients' CPUs.
pub(crate) fn use_client_cpus() -> io::Result<()> {
    let (_, clients) = halves()?;
    Ok(sched_setaffinity(None, &set(&clients))?)
}

/// Moves this thread, and the threads that it starts, to the server's CPUs.
pub(crate) fn use_server_cpus() -> io::Result<()> {
    Ok(sched_setaffinity(None, &server_cpus()?)?)
}

/// Runs `work` on a thread that may use all CPUs, as may the processes that it starts.
pub(crate) fn with_all_cpus<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> BenchResult<T> {
    let (servers, clients) = halves()?;
    let all: Vec<_> = servers.into_iter().chain(clients).collect();
    let thread = std::thread::spawn(move || sched_setaffinity(None, &set(&all)).map(|()| work()));
    Ok(thread.join().map_err(|_| "a server did not start")??)
}

/// The server's CPUs.
pub(crate) fn server_cpus() -> io::Result<CpuSet> {
    let (servers, _) = halves()?;
    Ok(set(&servers))
}

/// The CPUs of the servers and those of the clients, of all that the process was allowed at its
/// first call: the affinity of a thread that was moved since names only a part of them.
fn halves() -> io::Result<(Vec<usize>, Vec<usize>)> {
    static ALL: OnceLock<Vec<usize>> = OnceLock::new();
    let all = match ALL.get() {
        Some(all) => all,
        None => {
            let allowed = sched_getaffinity(None)?;
            let cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
            ALL.get_or_init(|| cpus)
        }
    };
    Ok(split(all))
}

/// The first half, rounded up, and the rest; both are all of it where there is one CPU.
fn split(cpus: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (servers, clients) = cpus.split_at(cpus.len().div_ceil(2));
    (servers.to_vec(), if clients.is_empty() { servers.to_vec() } else { clients.to_vec() })
}

fn set(cpus: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_clients_share_a_cpu_only_where_there_is_one() {
        for (cpus, servers, clients) in [
            (&[0][..], &[0][..], &[0][..]),
            (&[0, 1], &[0], &[1]),
            (&[2, 5, 7], &[2, 5], &[7]),
            (&[0, 1, 2, 3], &[0, 1], &[2, 3]),
        ] {
            assert_eq!(split(cpus), (servers.to_vec(), clients.to_vec()), "{cpus:?}");
        }
    }
}
