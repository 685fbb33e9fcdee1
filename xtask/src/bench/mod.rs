//! `cargo xtask bench`: the cost of Tolmach beside a bare broadcast server, the floor, as ratios of
//! one run.
//!
//! The load generator (`crates/bench`) measures one scenario of one server at a time, and the micro
//! benches measure the wire in process. Tolmach and its baseline are measured in turn, so that a
//! disturbance of the machine affects both.

mod explanations;
mod figures;
mod large;
mod report;
mod results;
mod rows;
mod runner;
mod scenarios;

use crate::error::{TaskError, TaskResult};
use crate::extent::Extent;
use crate::files;
use crate::machine::Machine;
use crate::project::Project;
pub(crate) use large::run_large;
use results::ScenarioResults;
use runner::Runner;
use std::io::Write;
use std::time::Instant;

/// The report of a whole run, in the root folder.
const REPORT: &str = "BENCH.md";
/// Rounds of a whole run.
const ROUNDS: usize = 3;

/// Builds, measures, prints the report, and writes that of a whole run to BENCH.md.
pub(crate) fn run(project: &Project, extent: &Extent) -> TaskResult<()> {
    let dialects = project.dialects();
    let mut results = selected(&dialects, extent)?;
    let load = project.build_load(&extent.profile)?;
    let failures = measure(&Runner::new(project, load, extent), &mut results);
    let judge = !extent.short;
    let table = report::table(&rows::all(&dialects), &results, judge)?;
    let report = format!("{table}\n{}", report::details(&results));
    writeln!(std::io::stdout(), "{}", report.trim_end())
        .map_err(|error| TaskError::caused_by("standard output", error))?;
    if !failures.is_empty() {
        let failures: Vec<_> = failures.iter().map(TaskError::chain).collect();
        return Err(TaskError::new(failures.join("\n")));
    }
    if extent.is_whole() {
        let document = report::document(&report, ROUNDS, &Machine::read()?);
        files::write(&project.root().join(REPORT), &document)?;
    }
    Ok(())
}

/// The scenarios to measure, without results.
fn selected(dialects: &[String], extent: &Extent) -> TaskResult<Vec<ScenarioResults>> {
    let (selected, others): (Vec<_>, Vec<_>) =
        scenarios::all(dialects).into_iter().partition(|scenario| extent.includes(&scenario.name));
    if selected.is_empty() {
        let names: Vec<_> = others.into_iter().map(|scenario| scenario.name).collect();
        let names = names.join(", ");
        let only = extent.only.as_deref().unwrap_or_default();
        return Err(TaskError::new(format!(
            "no scenario has a name with {only:?}; the scenarios are {names}"
        )));
    }
    let without_results = |scenario| ScenarioResults { scenario, rounds: Vec::new() };
    Ok(selected.into_iter().map(without_results).collect())
}

/// Measures every scenario in every round, and prints a line for each. A scenario that fails leaves
/// the others theirs, and is not measured again. Returns the failures.
fn measure(runner: &Runner<'_>, results: &mut [ScenarioResults]) -> Vec<TaskError> {
    let (rounds, started) = (if runner.is_short() { 1 } else { ROUNDS }, Instant::now());
    let count = results.len();
    let mut failures = Vec::new();
    let mut failed = vec![false; count];
    for round in 1..=rounds {
        for (index, ScenarioResults { scenario, rounds: done }) in results.iter_mut().enumerate() {
            if failed[index] || (scenario.once && round > 1) {
                continue;
            }
            let (elapsed, number) = (started.elapsed().as_secs_f64(), index + 1);
            eprintln!(
                "{elapsed:>5.0} s, round {round} of {rounds}, scenario {number} of {count}: {}",
                scenario.name
            );
            match runner.measure(scenario) {
                Ok(measured) => done.push(measured),
                Err(error) => {
                    let error = TaskError::caused_by(&scenario.name, error);
                    eprintln!("{}", error.chain());
                    failures.push(error);
                    failed[index] = true;
                }
            }
        }
    }
    failures
}
