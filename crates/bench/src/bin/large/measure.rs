//! A measured row, and the ways to measure.

use crate::result::LargeResult;
use std::time::{Duration, Instant};

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Its measured value.
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// The largest value that is good.
    pub(crate) aim: f64,
}

impl Row {
    /// The line of the table, with a verdict if the run is one to judge by.
    pub(crate) fn line(&self, store: &str, judge: bool) -> String {
        let Self { name, value, unit, aim } = self;
        let verdict = match (judge, value <= aim) {
            (false, _) => "",
            (true, true) => "met",
            (true, false) => "missed",
        };
        format!("| {name} | {store} | {value:.2} {unit} | ≤ {aim:.2} {unit} | {verdict} |\n")
    }
}

/// The median time of several calls, in milliseconds.
pub(crate) async fn median<F>(times: usize, call: impl Fn() -> F) -> LargeResult<f64>
where
    F: Future<Output = LargeResult<()>>,
{
    let mut durations = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        call().await?;
        durations.push(began.elapsed());
    }
    durations.sort_unstable();
    Ok(durations.get(times / 2).map_or(f64::NAN, |middle| millis(*middle)))
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
