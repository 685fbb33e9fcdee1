//! Faults under load: clients of every dialect write and read without pause, a fault is injected
//! and ended, and then what the clients were told is compared with the history. Nothing that was
//! acknowledged may be lost.
//!
//! Each scenario is a trial of one round; `TOLMACH_CHAOS_ROUNDS` sets another number, as
//! `cargo xtask chaos` does.

mod environment;
mod ledger;
mod load;
mod progress;
mod raw_connection;
mod report;
mod saturation;
mod scenarios;
mod stalled_readers;
mod subscribers;
mod unavailability;
mod users;

use environment::Environment;
use ledger::Findings;
use libtest_mimic::{Arguments, Failed, Trial};
use progress::Progress;
use report::{Row, table};
use scenarios::{SCENARIOS, Scenario, ServerKind, inject};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Runtime;

/// The environment variable with the number of rounds of each scenario.
const ROUNDS: &str = "TOLMACH_CHAOS_ROUNDS";
/// Their number without the variable.
const DEFAULT_ROUNDS: u64 = 1;

/// The largest resident size that a gateway may ever have, in bytes.
const MEMORY_LIMIT: u64 = 512 << 20;

/// The violations of one scenario that are shown.
const SHOWN_VIOLATIONS: usize = 20;

/// The rows of the table of this run.
static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

type Outcome = Pin<Box<dyn Future<Output = Result<(), String>>>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = SCENARIOS
        .iter()
        .map(|scenario| Trial::test(scenario.name, || run(scenario).map_err(Failed::from)))
        .collect();
    trials.extend([
        trial("writers-flooding", |progress| Box::pin(saturation::writers_flooding(progress))),
        trial("unavailable-while-postgres-is-down", |progress| {
            Box::pin(unavailability::postgres_down(progress))
        }),
        trial("unavailable-while-the-disk-is-full", |progress| {
            Box::pin(unavailability::disk_full(progress))
        }),
    ]);
    let conclusion = libtest_mimic::run(&arguments, trials);
    let rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    if !rows.is_empty() {
        eprintln!("{}", table(&rows));
    }
    conclusion.exit_code()
}

/// A trial that is no scenario under load: one round.
fn trial(name: &'static str, make: fn(Arc<Progress>) -> Outcome) -> Trial {
    let run = move || {
        let progress = Arc::new(Progress::new(name, 1));
        progress.begin_round();
        block_on(&progress, make(progress.clone()))
    };
    Trial::test(name, move || run().map_err(Failed::from))
}

fn run(scenario: &'static Scenario) -> Result<(), String> {
    let rounds = match std::env::var(ROUNDS) {
        Ok(rounds) => {
            rounds.parse().map_err(|_| format!("{ROUNDS}={rounds}: expected a number of rounds"))?
        }
        Err(_) => DEFAULT_ROUNDS,
    };
    let progress = Arc::new(Progress::new(scenario.name, rounds));
    block_on(&progress, run_rounds(scenario, rounds, &progress))
}

/// Runs a trial to its end, and shows its progress meanwhile.
fn block_on(
    progress: &Progress,
    trial: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        tokio::select! {
            outcome = trial => outcome,
            never = progress.display() => match never {},
        }
    })
}

async fn run_rounds(
    scenario: &'static Scenario,
    rounds: u64,
    progress: &Arc<Progress>,
) -> Result<(), String> {
    let environment = match scenario.servers {
        ServerKind::Sqlite => Some(Environment::single(scenario.options()).await?),
        ServerKind::Cluster => Environment::cluster(scenario.options()).await?,
    };
    let Some(environment) = environment.map(Arc::new) else { return Ok(()) };
    let (scenario_name, findings) = (scenario.name, Findings::default());
    let mut row = Row { scenario: scenario_name, rounds: 0, findings, peak_memory: 0 };
    let mut failure = None;
    for number in 0..rounds {
        progress.begin_round();
        let load = scenario.load()?;
        let round = load::round(&environment, progress, number, load, |flow| {
            inject(scenario.fault, &environment, flow, number)
        });
        match round.await {
            Ok(findings) => row.findings.add(findings),
            Err(reason) => {
                failure = Some(format!("round {number}: {reason}"));
                break;
            }
        }
        row.rounds += 1;
        row.peak_memory = environment.peak_memory();
    }
    let mut violations = row.findings.violations.clone();
    violations.extend(failure);
    if row.peak_memory > MEMORY_LIMIT {
        violations.push(format!(
            "a gateway took {} MiB; expected at most {} MiB",
            row.peak_memory >> 20,
            MEMORY_LIMIT >> 20
        ));
    }
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    if violations.is_empty() {
        return Ok(());
    }
    let more = violations.len().saturating_sub(SHOWN_VIOLATIONS);
    violations.truncate(SHOWN_VIOLATIONS);
    Err(format!("{}\n{more} more\n{}", violations.join("\n"), environment.logs()))
}
