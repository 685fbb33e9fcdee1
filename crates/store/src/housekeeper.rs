//! The pace of housekeeping: how much a step removes, and the time until the next one.

use crate::batch::{PRUNE_STEP, PruneExtent};
use std::time::Duration;
use tokio::time::Instant;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{PrunePlace, PruneStep};

/// Interval of housekeeping, by the `now` of jobs.
const INTERVAL: Duration = Duration::from_secs(600);

/// Interval of looking for old messages, which reads a row of each flow that has a retention.
const SWEEP_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The time after the beginning of a sweep in which no other node begins one: shorter than the
/// interval, so that the node that began it begins the next one, too.
const SWEEP_CLAIM: Duration = Duration::from_secs(23 * 60 * 60);

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
    /// The `now` of the latest job that has one. A clock that was ahead and is right again is
    /// believed.
    now: Timestamp,
    /// The value of `now` at the beginning of what is due.
    begun_at: Timestamp,
    /// The value of `now` at the last end.
    done_at: Timestamp,
    /// The value of `now` at the last beginning of a sweep over old messages.
    swept_at: Timestamp,
    /// The value of `now` since which a sweep is due and has not begun.
    sweep_due_at: Option<Timestamp>,
    /// The place up to which the sweep under way has come.
    swept: Option<PrunePlace>,
    /// True while a sweep is under way.
    is_sweeping: bool,
    /// True if the sweep under way is this node's: no other one has begun it.
    is_claimed: bool,
    /// True if there are, or may be, expired records.
    is_due: bool,
    /// True if there may be deleted flows.
    has_deleted_flow: bool,
    /// True if the removal of a deleted flow failed, and waits until old records are removed.
    is_flow_postponed: bool,
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
    /// The time by which records are too old.
    pub(crate) now: Timestamp,
}

/// A part of housekeeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Deleted flows with their messages.
    DeletedFlows,
    /// The beginning of a sweep over old messages, unless another node has begun one since a time.
    ClaimSweep {
        /// The time.
        since: Timestamp,
    },
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
            sweep_due_at: None,
            swept: None,
            is_sweeping: false,
            is_claimed: false,
            is_due: false,
            has_deleted_flow: true,
            is_flow_postponed: false,
            rows: MIN_ROWS,
            jobs: 0,
            next_step: Instant::now(),
        }
    }

    /// Notes a commit of jobs, the latest at this time; at the epoch if no job has a time.
    pub(crate) fn committed(&mut self, now: Timestamp, deleted_flow: bool) {
        self.has_deleted_flow |= deleted_flow;
        if now == Timestamp::default() {
            return;
        }
        self.now = now;
        // After the clock went back, intervals begin anew.
        for noted in [&mut self.begun_at, &mut self.done_at, &mut self.swept_at] {
            *noted = now.min(*noted);
        }
        let sweep = self.begins_sweep();
        if sweep {
            (self.swept_at, self.swept) = (now, None);
            (self.is_sweeping, self.is_claimed) = (true, false);
        }
        if !self.is_due && (sweep || now > self.done_at.after(INTERVAL)) {
            (self.is_due, self.begun_at) = (true, now);
        }
    }

    /// True if a sweep has been due for an interval in which the clock did not go back: a clock
    /// that was ahead at a start may be set right meanwhile, and messages cannot be brought back.
    fn begins_sweep(&mut self) -> bool {
        if self.is_sweeping || self.now <= self.swept_at.after(SWEEP_INTERVAL) {
            self.sweep_due_at = None;
            return false;
        }
        let due_at = self.sweep_due_at.map_or(self.now, |due_at| due_at.min(self.now));
        let begins = self.now > due_at.after(INTERVAL);
        self.sweep_due_at = (!begins).then_some(due_at);
        begins
    }

    /// The time of the next step; `None` if nothing is to be done. A step waits for a moment
    /// without jobs, but not for long.
    pub(crate) fn next_step(&self, is_idle: bool) -> Option<Instant> {
        let wait = if is_idle { Duration::ZERO } else { PATIENCE };
        (self.is_due || self.has_deleted_flow).then(|| self.next_step + wait)
    }

    /// The step to take.
    pub(crate) fn step(&self) -> Step {
        let is_flow_next = self.has_deleted_flow && !(self.is_flow_postponed && self.is_due);
        let part = if is_flow_next {
            Part::DeletedFlows
        } else if !self.is_sweeping {
            Part::OldRecords(PruneExtent::Expired)
        } else if !self.is_claimed {
            Part::ClaimSweep { since: self.now.before(SWEEP_CLAIM) }
        } else {
            Part::OldRecords(PruneExtent::WithMessages { after: self.swept })
        };
        Step { rows: self.rows, part, now: self.now }
    }

    /// Notes the end of a step over deleted flows.
    pub(crate) fn removed_flows(&mut self, more: bool) {
        (self.has_deleted_flow, self.is_flow_postponed) = (more, false);
    }

    /// Notes the outcome of claiming a sweep. False if another node has begun one: records that
    /// expire are removed all the same.
    pub(crate) fn claimed(&mut self, is_claimed: bool) {
        (self.is_sweeping, self.is_claimed) = (is_claimed, is_claimed);
    }

    /// Notes a step that failed: the next one is an interval later, and as small as can be. A sweep
    /// under way ends, because one transaction removes messages and what has expired: a flow that
    /// takes too long does not keep expired records for good. A deleted flow that cannot be removed
    /// is tried again after old records, and they after it.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.is_flow_postponed = self.step().part == Part::DeletedFlows;
        (self.is_sweeping, self.swept) = (false, None);
        (self.rows, self.next_step) = (MIN_ROWS, now + INTERVAL);
    }

    /// Notes the end of a step over old records.
    pub(crate) fn pruned(&mut self, step: &PruneStep) {
        if step.more {
            self.swept = step.after;
            return;
        }
        (self.is_due, self.is_sweeping, self.done_at) = (false, false, self.now);
        self.is_flow_postponed = false;
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
    use tolmach_domain::FlowId;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    const EXPIRED: Part = Part::OldRecords(PruneExtent::Expired);

    fn place(flow: i64) -> Option<PrunePlace> {
        FlowId::new(flow).ok().map(|flow| PrunePlace { flow, posted: None })
    }

    fn messages(after: Option<PrunePlace>) -> Part {
        Part::OldRecords(PruneExtent::WithMessages { after })
    }

    fn pruned(after: i64, more: bool) -> PruneStep {
        PruneStep { removed: Vec::new(), after: place(after), more }
    }

    /// The step to take, after the claim of a sweep that no other node has begun.
    fn step_of(housekeeper: &mut Housekeeper) -> Step {
        let Step { part, now, .. } = housekeeper.step();
        if let Part::ClaimSweep { since } = part {
            assert_eq!(since, now.before(SWEEP_CLAIM));
            housekeeper.claimed(true);
        }
        housekeeper.step()
    }

    #[test]
    fn deleted_flows_come_first_and_a_sweep_goes_on_where_it_was() {
        let mut housekeeper = Housekeeper::new();
        assert_eq!(step_of(&mut housekeeper).part, Part::DeletedFlows);
        housekeeper.removed_flows(false);
        assert_eq!(housekeeper.next_step(true), None, "nothing was done yet");
        let begin = 1_600_000_000;
        housekeeper.committed(time(begin), false);
        assert_eq!(step_of(&mut housekeeper).part, EXPIRED);
        housekeeper.pruned(&PruneStep::default());
        let begin = begin + 601;
        housekeeper.committed(time(begin), false);
        assert_eq!(step_of(&mut housekeeper).part, messages(None));
        housekeeper.pruned(&pruned(7, true));
        housekeeper.committed(time(begin + 1), true);
        assert_eq!(step_of(&mut housekeeper).part, Part::DeletedFlows);
        housekeeper.removed_flows(false);
        assert_eq!(step_of(&mut housekeeper).part, messages(place(7)));
        housekeeper.pruned(&pruned(9, false));
        assert_eq!(housekeeper.next_step(true), None);
        housekeeper.committed(time(begin + 601), false);
        assert_eq!(housekeeper.next_step(true), None, "the interval is not over");
        housekeeper.committed(time(begin + 602), false);
        assert_eq!(step_of(&mut housekeeper).part, EXPIRED);
        housekeeper.pruned(&PruneStep::default());
        assert_eq!(housekeeper.next_step(true), None, "it is done");
        let next = begin + 24 * 60 * 60 + 1;
        for (now, part) in [(next, EXPIRED), (next + 600, EXPIRED), (next + 601, messages(None))] {
            housekeeper.committed(time(now), false);
            assert_eq!(step_of(&mut housekeeper).part, part);
        }
    }

    #[test]
    fn a_sweep_that_another_node_has_begun_is_left_to_it() {
        let mut housekeeper = Housekeeper::new();
        housekeeper.removed_flows(false);
        let begin = 1_600_000_000;
        for now in [begin, begin + 601] {
            housekeeper.committed(time(now), false);
        }
        assert_eq!(housekeeper.step().part, Part::ClaimSweep { since: time(begin + 601 - 82_800) });
        housekeeper.claimed(false);
        assert_eq!(housekeeper.step().part, EXPIRED);
        housekeeper.pruned(&PruneStep { more: true, ..PruneStep::default() });
        assert_eq!(housekeeper.step().part, EXPIRED);
        housekeeper.pruned(&PruneStep::default());
        assert_eq!(housekeeper.next_step(true), None);
        let next = begin + 601 + 24 * 60 * 60 + 1;
        for now in [next, next + 601] {
            housekeeper.committed(time(now), false);
        }
        assert_eq!(step_of(&mut housekeeper).part, messages(None));
    }

    #[test]
    fn a_deleted_flow_that_cannot_be_removed_takes_turns_with_old_records() {
        let (mut housekeeper, now) = (Housekeeper::new(), Instant::now());
        let begin = 1_600_000_000;
        housekeeper.failed(now);
        assert_eq!(housekeeper.step().part, Part::DeletedFlows, "nothing else is due");
        housekeeper.committed(time(begin), true);
        assert_eq!(housekeeper.step().part, EXPIRED);
        housekeeper.pruned(&PruneStep { more: true, ..PruneStep::default() });
        assert_eq!(housekeeper.step().part, EXPIRED);
        housekeeper.pruned(&PruneStep::default());
        assert_eq!(housekeeper.step().part, Part::DeletedFlows);
        housekeeper.failed(now);
        assert_eq!(housekeeper.next_step(true), Some(now + INTERVAL));
        housekeeper.committed(time(begin + 601), false);
        assert_eq!(housekeeper.step().part, Part::ClaimSweep { since: time(begin + 601 - 82_800) });
        housekeeper.failed(now);
        assert_eq!(housekeeper.step().part, Part::DeletedFlows, "old records have failed");
    }

    #[test]
    fn a_sweep_waits_an_interval_and_begins_anew_when_the_clock_goes_back() {
        let mut housekeeper = Housekeeper::new();
        housekeeper.removed_flows(false);
        let (begin, year) = (1_600_000_000, 365 * 24 * 60 * 60);
        for (now, part) in [
            (begin + year, EXPIRED),
            (begin, EXPIRED),
            (begin + 600, EXPIRED),
            (begin + 601, messages(None)),
        ] {
            housekeeper.committed(time(now), false);
            let step = step_of(&mut housekeeper);
            assert_eq!((step.now, step.part), (time(now), part));
        }
        // While a sweep is under way, too, records are too old by the latest clock.
        for now in [begin + year, begin + 700] {
            housekeeper.committed(time(now), false);
            let step = step_of(&mut housekeeper);
            assert_eq!((step.now, step.part), (time(now), messages(None)));
        }
    }

    #[test]
    fn housekeeping_goes_on_after_a_clock_was_ahead() {
        let mut housekeeper = Housekeeper::new();
        housekeeper.removed_flows(false);
        let (begin, year) = (1_600_000_000, 365 * 24 * 60 * 60);
        for now in [begin + year, begin + year + 601] {
            housekeeper.committed(time(now), false);
        }
        assert_eq!(step_of(&mut housekeeper).part, messages(None));
        housekeeper.pruned(&PruneStep::default());
        let day = 24 * 60 * 60;
        housekeeper.committed(time(begin), false);
        assert_eq!(housekeeper.next_step(true), None, "the interval begins anew");
        housekeeper.committed(time(begin + 601), false);
        assert!(housekeeper.next_step(true).is_some());
        for (now, part) in [(day, EXPIRED), (day + 1, EXPIRED), (day + 602, messages(None))] {
            housekeeper.committed(time(begin + now), false);
            assert_eq!(step_of(&mut housekeeper).part, part, "{now}");
        }
    }

    #[test]
    fn a_commit_without_a_time_changes_none() {
        let mut housekeeper = Housekeeper::new();
        housekeeper.removed_flows(false);
        housekeeper.committed(Timestamp::default(), false);
        assert_eq!(housekeeper.next_step(true), None);
        let now = time(1_600_000_000);
        housekeeper.committed(now, false);
        housekeeper.committed(Timestamp::default(), true);
        let step = step_of(&mut housekeeper);
        assert_eq!((step.now, step.part), (now, Part::DeletedFlows));
    }

    #[test]
    fn steps_are_as_long_as_they_may_be_and_leave_time_to_jobs() {
        let (mut housekeeper, now) = (Housekeeper::new(), Instant::now());
        let millis = Duration::from_millis;
        for (work, rows) in
            [(1, 128), (4, 256), (5, 256), (10, 256), (11, 128), (20, 64), (20, 64), (0, 128)]
        {
            housekeeper.pace(millis(work), millis(work), 0, now);
            assert_eq!(step_of(&mut housekeeper).rows, rows, "{work}");
        }
        for _ in 0..10 {
            housekeeper.pace(millis(0), millis(1), 0, now);
        }
        assert_eq!(step_of(&mut housekeeper).rows, PRUNE_STEP);
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
        let step = step_of(&mut housekeeper);
        housekeeper.failed(now);
        assert_eq!(housekeeper.next_step(true), Some(now + INTERVAL));
        assert_eq!(step_of(&mut housekeeper), step);
    }

    #[test]
    fn a_step_that_fails_ends_its_sweep_and_the_next_one_is_small() {
        let (mut housekeeper, now) = (Housekeeper::new(), Instant::now());
        housekeeper.removed_flows(false);
        let begin = 1_600_000_000;
        for seconds in [0, 601] {
            housekeeper.committed(time(begin + seconds), false);
        }
        housekeeper.pruned(&pruned(7, true));
        housekeeper.pace(Duration::ZERO, Duration::ZERO, 0, now);
        let step = step_of(&mut housekeeper);
        assert_eq!((step.part, step.rows), (messages(place(7)), MIN_ROWS * 2));
        housekeeper.failed(now);
        assert_eq!(housekeeper.next_step(true), Some(now + INTERVAL));
        let step = step_of(&mut housekeeper);
        assert_eq!((step.part, step.rows), (EXPIRED, MIN_ROWS));
        housekeeper.pruned(&pruned(7, false));
        let next = begin + 601 + 24 * 60 * 60 + 1;
        for (now, part) in [(next, EXPIRED), (next + 601, messages(None))] {
            housekeeper.committed(time(now), false);
            assert_eq!(step_of(&mut housekeeper).part, part);
        }
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
