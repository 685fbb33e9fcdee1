//! The pace of housekeeping: how much a step removes, and the time until the next one.

use crate::batch::{PRUNE_STEP, PruneExtent};
use std::time::Duration;
use tokio::time::Instant;
use tolmach_domain::{FlowId, Timestamp};
use tolmach_engine::ports::PruneStep;

/// Interval of housekeeping, by the `now` of jobs.
const INTERVAL: Duration = Duration::from_secs(600);

/// Interval of looking for old messages, which reads a row of each flow that has a retention.
const SWEEP_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The duration that a step should have without its commit: a job that arrives meanwhile waits for
/// it.
const STEP_DURATION: Duration = Duration::from_millis(5);

/// The smallest number of rows that a step removes at most.
const MIN_ROWS: u64 = 64;

/// The pause after a step that jobs were carried out beside, as a multiple of its duration: few of
/// them find a step under way. It halves with every hour that housekeeping takes: more records may
/// become old than such steps remove.
const PAUSE: u32 = 99;

/// The longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The time after which a step that is due no longer waits for a moment without jobs.
const PATIENCE: Duration = Duration::from_millis(100);

/// The state of housekeeping.
pub(crate) struct Housekeeper {
    /// The latest `now` of a job.
    now: Timestamp,
    /// The value of `now` at the beginning of what is due.
    begun_at: Timestamp,
    /// The value of `now` at the last end.
    done_at: Timestamp,
    /// The value of `now` at the last beginning of a sweep over old messages.
    swept_at: Timestamp,
    /// The flow up to which the sweep under way has come.
    swept: Option<FlowId>,
    /// True while a sweep is under way.
    is_sweeping: bool,
    /// True if there are, or may be, expired records.
    is_due: bool,
    /// True if there may be deleted flows.
    has_deleted_flow: bool,
    /// The largest number of rows of the next step.
    rows: u64,
    /// The number of jobs at the last step.
    jobs: u64,
    next_step: Instant,
}

/// The next step of housekeeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// The largest number of rows to remove.
    pub(crate) rows: u64,
    /// The part that it is of.
    pub(crate) part: Part,
}

/// A part of housekeeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Deleted flows with their messages.
    DeletedFlows,
    /// Records that are too old.
    OldRecords(PruneExtent),
}

impl Housekeeper {
    /// Flows deleted before the last stop may still have messages.
    pub(crate) fn new() -> Self {
        Self {
            now: Timestamp::default(),
            begun_at: Timestamp::default(),
            done_at: Timestamp::default(),
            swept_at: Timestamp::default(),
            swept: None,
            is_sweeping: false,
            is_due: false,
            has_deleted_flow: true,
            rows: MIN_ROWS,
            jobs: 0,
            next_step: Instant::now(),
        }
    }

    /// Notes a commit of jobs, the latest at this time.
    pub(crate) fn committed(&mut self, now: Timestamp, deleted_flow: bool) {
        self.has_deleted_flow |= deleted_flow;
        self.now = self.now.max(now);
        let sweep = self.now > self.swept_at.after(SWEEP_INTERVAL);
        if sweep && !self.is_sweeping {
            (self.swept_at, self.swept, self.is_sweeping) = (self.now, None, true);
        }
        if !self.is_due && (sweep || self.now > self.done_at.after(INTERVAL)) {
            (self.is_due, self.begun_at) = (true, self.now);
        }
    }

    /// The time of the next step; `None` if nothing is to be done. A step waits for a moment
    /// without jobs, but not for long.
    pub(crate) fn next_step(&self, is_idle: bool) -> Option<Instant> {
        let wait = if is_idle { Duration::ZERO } else { PATIENCE };
        (self.is_due || self.has_deleted_flow).then(|| self.next_step + wait)
    }

    /// The step to take.
    pub(crate) fn step(&self) -> Step {
        let part = match (self.has_deleted_flow, self.is_sweeping) {
            (true, _) => Part::DeletedFlows,
            (false, true) => Part::OldRecords(PruneExtent::WithMessages { after: self.swept }),
            (false, false) => Part::OldRecords(PruneExtent::Expired),
        };
        Step { rows: self.rows, part }
    }

    /// Notes the end of a step over deleted flows.
    pub(crate) fn removed_flows(&mut self, more: bool) {
        self.has_deleted_flow = more;
    }

    /// Notes a step that failed: the next attempt is an interval later.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.next_step = now + INTERVAL;
    }

    /// Notes the end of a step over old records; `None` if another node removes them.
    pub(crate) fn pruned(&mut self, step: Option<&PruneStep>) {
        if let Some(step) = step
            && step.more
        {
            self.swept = step.after;
            return;
        }
        (self.is_due, self.is_sweeping, self.done_at) = (false, false, self.now);
    }

    /// Sets the pace of the next step by the duration of the last one: without its commit, and in
    /// all. `jobs` is the number of jobs so far.
    pub(crate) fn pace(&mut self, work: Duration, total: Duration, jobs: u64, now: Instant) {
        if work > STEP_DURATION * 2 {
            self.rows = (self.rows / 2).max(MIN_ROWS);
        } else if work < STEP_DURATION {
            self.rows = (self.rows * 2).min(PRUNE_STEP);
        }
        let hours = self.now.since(self.begun_at).as_secs() / (60 * 60);
        let factor = PAUSE >> hours.min(6);
        let pause = if jobs == self.jobs { Duration::ZERO } else { total * factor };
        (self.jobs, self.next_step) = (jobs, now + pause.min(MAX_PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn messages(after: Option<FlowId>) -> Part {
        Part::OldRecords(PruneExtent::WithMessages { after })
    }

    fn pruned(after: i64, more: bool) -> PruneStep {
        PruneStep { removed: Vec::new(), after: FlowId::new(after).ok(), more }
    }

    #[test]
    fn deleted_flows_come_first_and_a_sweep_goes_on_where_it_was() {
        let mut housekeeper = Housekeeper::new();
        assert_eq!(housekeeper.step().part, Part::DeletedFlows);
        housekeeper.removed_flows(false);
        assert_eq!(housekeeper.next_step(true), None, "nothing was done yet");
        let begin = 1_600_000_000;
        housekeeper.committed(time(begin), false);
        assert_eq!(housekeeper.step().part, messages(None));
        housekeeper.pruned(Some(&pruned(7, true)));
        housekeeper.committed(time(begin + 1), true);
        assert_eq!(housekeeper.step().part, Part::DeletedFlows);
        housekeeper.removed_flows(false);
        assert_eq!(housekeeper.step().part, messages(FlowId::new(7).ok()));
        housekeeper.pruned(Some(&pruned(9, false)));
        assert_eq!(housekeeper.next_step(true), None);
        housekeeper.committed(time(begin + 601), false);
        assert_eq!(housekeeper.next_step(true), None, "the interval is not over");
        housekeeper.committed(time(begin + 602), false);
        assert_eq!(housekeeper.step().part, Part::OldRecords(PruneExtent::Expired));
        housekeeper.pruned(None);
        assert_eq!(housekeeper.next_step(true), None, "another node does it");
        housekeeper.committed(time(begin + 24 * 60 * 60 + 1), false);
        assert_eq!(housekeeper.step().part, messages(None));
    }

    #[test]
    fn steps_are_as_long_as_they_may_be_and_leave_time_to_jobs() {
        let (mut housekeeper, now) = (Housekeeper::new(), Instant::now());
        let millis = Duration::from_millis;
        for (work, rows) in
            [(1, 128), (4, 256), (5, 256), (10, 256), (11, 128), (20, 64), (20, 64), (0, 128)]
        {
            housekeeper.pace(millis(work), millis(work), 0, now);
            assert_eq!(housekeeper.step().rows, rows, "{work}");
        }
        for _ in 0..10 {
            housekeeper.pace(millis(0), millis(1), 0, now);
        }
        assert_eq!(housekeeper.step().rows, PRUNE_STEP);
        assert_eq!(housekeeper.next_step(true), Some(now), "no job was carried out");
        for (total, jobs, pause) in [(3, 1, 297), (3, 1, 0), (30, 2, 2_000)] {
            housekeeper.pace(millis(2), millis(total), jobs, now);
            assert_eq!(housekeeper.next_step(true), Some(now + millis(pause)));
            assert_eq!(housekeeper.next_step(false), Some(now + millis(pause) + PATIENCE));
        }
    }

    #[test]
    fn what_failed_is_tried_again_an_interval_later() {
        let (mut housekeeper, now) = (Housekeeper::new(), Instant::now());
        let step = housekeeper.step();
        housekeeper.failed(now);
        assert_eq!(housekeeper.next_step(true), Some(now + INTERVAL));
        assert_eq!(housekeeper.step(), step);
    }

    #[test]
    fn pauses_are_shorter_when_housekeeping_does_not_come_to_an_end() {
        let (mut housekeeper, now) = (Housekeeper::new(), Instant::now());
        let begin = 1_600_000_000;
        for (hours, pause) in [(0, 99), (1, 49), (2, 24), (6, 1), (1_000, 1)] {
            housekeeper.committed(time(begin + hours * 60 * 60), false);
            let millisecond = Duration::from_millis(1);
            housekeeper.pace(millisecond, millisecond, hours.unsigned_abs() + 1, now);
            assert_eq!(housekeeper.next_step(true), Some(now + millisecond * pause), "{hours}");
        }
    }
}
