//! The processor time of a server's processes.

use std::collections::BTreeMap;
use std::time::Duration;

/// The processor time of each process of a server that runs, in user and system mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessorTimes(BTreeMap<u32, Duration>);

impl ProcessorTimes {
    /// The times of processes, as the kernel has counted them. One of several threads counts as its
    /// first thread.
    pub(crate) fn of(processes: impl IntoIterator<Item = u32>) -> Self {
        let time = |process| {
            let counted = std::fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
            Some((process, running_time(&counted)?))
        };
        Self(processes.into_iter().filter_map(time).collect())
    }

    /// The time since an earlier reading. A process that has ended since counts nothing.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let before = |process| earlier.0.get(process).copied().unwrap_or_default();
        self.0.iter().map(|(process, time)| time.saturating_sub(before(process))).sum()
    }
}

/// The first field: nanoseconds on a processor.
fn running_time(counted: &str) -> Option<Duration> {
    counted.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_processes_used_since_counts() {
        let times = |times: &[(u32, u64)]| {
            let times = times.iter().map(|(process, time)| (*process, Duration::from_nanos(*time)));
            ProcessorTimes(times.collect())
        };
        let (before, after) = (times(&[(1, 10), (2, 70)]), times(&[(1, 25), (3, 4)]));
        assert_eq!(after.since(&before), Duration::from_nanos(15 + 4));
        assert_eq!(before.since(&before), Duration::ZERO);
    }

    #[test]
    fn the_running_time_is_the_first_field() {
        assert_eq!(
            running_time("121529192 115097593 288\n"),
            Some(Duration::from_nanos(121529192))
        );
        assert_eq!(running_time(""), None);
        let own = ProcessorTimes::of([std::process::id()]);
        assert!(own.0.len() <= 1);
    }
}
