//! A measured row, and the ways to measure.

use crate::result::LargeResult;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, Instant};
use tolmach_test_servers::{Postgres, ProcessorTimes};

/// The calls before those that are measured: a database plans a statement anew for some of the
/// first.
const WARM_UP: usize = 6;

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) measured: Measured,
    pub(crate) aim: Aim,
}

/// The value of a row.
#[derive(Clone, Copy)]
pub(crate) enum Measured {
    Cost(Cost),
    Ratio(f64),
}

/// The largest value that is good.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    /// The time of an operation.
    Time(Duration),
    /// The processor time of an operation, in this process and in the database.
    Processor(Duration),
    Ratio(f64),
    /// Any value is.
    None,
}

/// The cost of an operation.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) time: Duration,
    /// The processor time of this process.
    pub(crate) process: Duration,
    /// The processor time of the database's processes; none of a file, which this process reads.
    pub(crate) database: Duration,
}

impl Cost {
    /// The processor time of an operation, wherever it is spent.
    pub(crate) fn processor(&self) -> Duration {
        self.process + self.database
    }
}

impl Row {
    /// The line of the table, with a verdict if the run is one to judge by.
    pub(crate) fn line(&self, store: &str, judge: bool) -> String {
        let Self { name, measured, aim } = self;
        let [value, process, database] = match measured {
            Measured::Cost(cost) => [cost.time, cost.process, cost.database].map(text),
            Measured::Ratio(ratio) => [format!("{ratio:.2} ×"), String::new(), String::new()],
        };
        let aim_text = match aim {
            Aim::Time(aim) => format!("≤ {}", text(*aim)),
            Aim::Processor(aim) => format!("≤ {} of CPU", text(*aim)),
            Aim::Ratio(aim) => format!("≤ {aim:.2} ×"),
            Aim::None => String::new(),
        };
        let verdict = match (judge, self.is_met()) {
            (true, Some(true)) => "met",
            (true, Some(false)) => "missed",
            _ => "",
        };
        format!(
            "| {name} | {store} | {value} | {process} | {database} | {aim_text} | {verdict} |\n"
        )
    }

    /// `None` if the row has no aim.
    fn is_met(&self) -> Option<bool> {
        match (self.aim, self.measured) {
            (Aim::Time(aim), Measured::Cost(cost)) => Some(cost.time <= aim),
            (Aim::Processor(aim), Measured::Cost(cost)) => Some(cost.processor() <= aim),
            (Aim::Ratio(aim), Measured::Ratio(ratio)) => Some(ratio <= aim),
            _ => None,
        }
    }
}

/// Reads the processor times of this process and of the database that it uses.
#[derive(Clone, Copy)]
pub(crate) struct Meter<'a> {
    /// The database's server, if it has one.
    pub(crate) server: Option<&'a Postgres>,
}

/// The beginning of a measurement.
pub(crate) struct Beginning {
    database: ProcessorTimes,
    process: Duration,
    at: Instant,
}

impl Meter<'_> {
    pub(crate) fn begin(&self) -> Beginning {
        let database = self.database();
        Beginning { database, process: process_time(), at: Instant::now() }
    }

    /// The cost of each of some operations since the beginning.
    pub(crate) fn cost_of_each(&self, beginning: &Beginning, operations: usize) -> Cost {
        let time = beginning.at.elapsed();
        let process = process_time().saturating_sub(beginning.process);
        let database = self.database().since(&beginning.database);
        let [time, process, database] = [time, process, database]
            .map(|all| all / u32::try_from(operations).unwrap_or(u32::MAX).max(1));
        Cost { time, process, database }
    }

    fn database(&self) -> ProcessorTimes {
        self.server.map(Postgres::processor_times).unwrap_or_default()
    }

    /// The median time of several calls, and their mean processor times.
    pub(crate) async fn median<F>(&self, times: usize, call: impl Fn() -> F) -> LargeResult<Cost>
    where
        F: Future<Output = LargeResult<()>>,
    {
        for _ in 0..WARM_UP {
            call().await?;
        }
        let mut durations = Vec::with_capacity(times);
        let beginning = self.begin();
        for _ in 0..times {
            let began = Instant::now();
            call().await?;
            durations.push(began.elapsed());
        }
        let cost = self.cost_of_each(&beginning, times);
        durations.sort_unstable();
        let time = durations.get(times / 2).copied().ok_or("nothing was called")?;
        Ok(Cost { time, ..cost })
    }
}

fn process_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(tv_sec), u32::try_from(tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// A time in milliseconds, a short one in microseconds.
fn text(time: Duration) -> String {
    if time.is_zero() {
        return "0".to_owned();
    }
    if time < Duration::from_millis(1) {
        return format!("{:.0} µs", time.as_secs_f64() * 1e6);
    }
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
