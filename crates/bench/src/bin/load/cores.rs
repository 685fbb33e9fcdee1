//! One half of the cores for the server, the other for its clients, so that neither takes time from
//! the other.
//!
//! With a single core both share it.

use crate::Outcome;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// Moves this thread, and the threads that it starts, to the clients' cores.
pub(crate) fn take_client_share() -> io::Result<()> {
    let (_, clients) = shares()?;
    Ok(sched_setaffinity(None, &set(&clients))?)
}

/// Moves this thread, and the threads that it starts, to the server's cores, to be held against
/// what a server does there.
pub(crate) fn take_server_share() -> io::Result<()> {
    Ok(sched_setaffinity(None, &server_share()?)?)
}

/// Does this on a thread that has all cores, and so have the processes that it starts.
pub(crate) fn with_all<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    let (servers, clients) = shares()?;
    let all: Vec<_> = servers.into_iter().chain(clients).collect();
    let thread = std::thread::spawn(move || sched_setaffinity(None, &set(&all)).map(|()| work()));
    Ok(thread.join().map_err(|_| "a server did not start")??)
}

/// The cores that are the server's, as the process found them at its start.
pub(crate) fn server_share() -> io::Result<CpuSet> {
    let (servers, _) = shares()?;
    Ok(set(&servers))
}

/// The cores of the servers and of the clients. Those of the whole machine: a thread that was moved
/// cannot see the others.
fn shares() -> io::Result<(Vec<usize>, Vec<usize>)> {
    use std::sync::OnceLock;
    static ALL: OnceLock<Vec<usize>> = OnceLock::new();
    let all = match ALL.get() {
        Some(all) => all,
        None => {
            let allowed = sched_getaffinity(None)?;
            let cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
            ALL.get_or_init(|| cores)
        }
    };
    Ok(split(all))
}

/// The first half, rounded up, and the rest; both are all of it where there is one core.
fn split(cores: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (servers, clients) = cores.split_at(cores.len().div_ceil(2));
    (servers.to_vec(), if clients.is_empty() { servers.to_vec() } else { clients.to_vec() })
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_clients_share_a_core_only_where_there_is_one() {
        for (cores, servers, clients) in [
            (&[0][..], &[0][..], &[0][..]),
            (&[0, 1], &[0], &[1]),
            (&[2, 5, 7], &[2, 5], &[7]),
            (&[0, 1, 2, 3], &[0, 1], &[2, 3]),
        ] {
            assert_eq!(split(cores), (servers.to_vec(), clients.to_vec()), "{cores:?}");
        }
    }
}
