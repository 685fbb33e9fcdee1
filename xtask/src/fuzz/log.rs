//! The output of libFuzzer.

use std::time::Duration;

/// The result of one target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The number of inputs that were run.
    pub(super) executions: u64,
    /// The number of edges of the control flow that the first inputs covered.
    pub(super) covered_at_first: u64,
    /// The number of those that are covered now.
    pub(super) covered: u64,
    /// The file of the input that broke a rule.
    pub(super) finding: Option<String>,
}

impl Outcome {
    /// The head of the table.
    pub(super) const HEAD: &str = "target              time  executions  coverage        found";

    /// A row of the table.
    pub(super) fn row(&self, target: &str, time: Duration) -> String {
        let Self { executions, covered_at_first, covered, finding } = self;
        format!(
            "{target:<16} {:>5} s {executions:>11}  {covered_at_first:>6} -> {covered:<6} {}",
            time.as_secs(),
            finding.as_deref().unwrap_or("nothing")
        )
    }
}

/// Reads the output of one run.
pub(super) fn outcome(log: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in log.lines() {
        if let Some(covered) = number_after(line, " cov: ") {
            if outcome.covered_at_first == 0 || line.contains("INITED") {
                outcome.covered_at_first = covered;
            }
            outcome.covered = covered;
        }
        if let Some(executions) = number_after(line, "stat::number_of_executed_units:") {
            outcome.executions = executions;
        }
        if let Some((_, file)) = line.split_once("Test unit written to ") {
            outcome.finding = Some(file.trim().to_owned());
        }
    }
    outcome
}

fn number_after(line: &str, mark: &str) -> Option<u64> {
    line.split_once(mark)?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_run_are_read() {
        let log = "INFO: seed corpus: files: 60\n\
            #61\tINITED cov: 1520 ft: 4000 corp: 55/92Kb exec/s: 0 rss: 60Mb\n\
            #9000\tNEW    cov: 1533 ft: 4100 corp: 60/99Kb lim: 4096 exec/s: 4500\n\
            thread '<unnamed>' panicked at 'Test'\n\
            artifact_prefix='x/'; Test unit written to x/crash-0a\n\
            stat::number_of_executed_units: 9001\n";
        let expected = Outcome {
            executions: 9001,
            covered_at_first: 1520,
            covered: 1533,
            finding: Some("x/crash-0a".to_owned()),
        };
        assert_eq!(outcome(log), expected);
        assert_eq!(outcome("error: no such target\n"), Outcome::default());
    }
}
