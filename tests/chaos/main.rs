//! Nothing that was acknowledged is lost, whatever breaks: clients of every dialect write and read
//! without pause, something breaks and is healed, and then the ledger of what they were told is
//! held against what there is.
//!
//! Each scenario is a trial of one round; `TOLMACH_CHAOS_ROUNDS` asks for more, which is what
//! `cargo xtask chaos` sets.

mod ledger;
mod load;
mod people;
mod refusals;
mod scenarios;
mod stand;

use ledger::Findings;
use libtest_mimic::{Arguments, Failed, Trial};
use scenarios::{SCENARIOS, Scenario};
use stand::Stand;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// How many rounds of each scenario are run.
const ROUNDS: &str = "TOLMACH_CHAOS_ROUNDS";

/// Without that variable: what CI has time for.
const FEW: u64 = 1;

/// The most memory that a gateway may ever hold under this load, in bytes.
const MEMORY: u64 = 512 << 20;

/// Violations that are told of one scenario.
const TOLD: usize = 20;

/// The results of this run, for the table.
static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

struct Row {
    scenario: &'static str,
    rounds: u64,
    findings: Findings,
    /// The most memory that a gateway ever held, in bytes.
    memory: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = SCENARIOS
        .iter()
        .map(|scenario| Trial::test(scenario.name, || run(scenario).map_err(Failed::from)))
        .collect();
    trials.push(refusal("unavailable-while-postgres-is-down", || {
        Box::pin(refusals::without_a_server())
    }));
    trials
        .push(refusal("unavailable-while-the-disk-is-full", || Box::pin(refusals::without_room())));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    if !rows.is_empty() {
        eprintln!("{}", table(&rows));
    }
    conclusion.exit_code()
}

type Refusal = Pin<Box<dyn Future<Output = Result<(), String>>>>;

fn refusal(name: &str, refusal: fn() -> Refusal) -> Trial {
    let run = move || {
        tokio::runtime::Runtime::new().map_err(|error| error.to_string())?.block_on(refusal())
    };
    Trial::test(name, move || run().map_err(Failed::from))
}

fn run(scenario: &'static Scenario) -> Result<(), String> {
    let rounds = match std::env::var(ROUNDS) {
        Ok(rounds) => rounds
            .parse()
            .map_err(|_| format!("{ROUNDS}={rounds}: a number of rounds is expected"))?,
        Err(_) => FEW,
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let stand = runtime.block_on(async {
        if scenario.cluster {
            Stand::cluster(scenario.options()).await
        } else {
            Stand::single().await.map(Some)
        }
    })?;
    let Some(stand) = stand.map(Arc::new) else { return Ok(()) };
    let mut row =
        Row { scenario: scenario.name, rounds: 0, findings: Findings::default(), memory: 0 };
    let trouble = runtime.block_on(async {
        for number in 0..rounds {
            let load = scenario.load()?;
            let findings = load::round(&stand, number, load, |flow| {
                scenarios::strike(scenario.trouble, &stand, flow, number)
            })
            .await;
            row.findings.add(findings.map_err(|trouble| format!("round {number}: {trouble}"))?);
            row.rounds += 1;
            row.memory = stand.peak();
        }
        Ok::<_, String>(())
    });
    let mut violations = row.findings.violations.clone();
    violations.extend(trouble.err());
    if row.memory > MEMORY {
        violations.push(format!(
            "a gateway held {} MiB; {} MiB are expected at most",
            row.memory >> 20,
            MEMORY >> 20
        ));
    }
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    if violations.is_empty() {
        return Ok(());
    }
    let more = violations.len().saturating_sub(TOLD);
    violations.truncate(TOLD);
    Err(format!("{}\n{more} more\n{}", violations.join("\n"), stand.logs()))
}

/// For people and for CI's page.
fn table(rows: &[Row]) -> String {
    let heads = [
        "scenario",
        "rounds",
        "acknowledged",
        "missing",
        "twice",
        "inversions",
        "gaps",
        "worst heal, s",
        "peak memory, MiB",
    ];
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        let Findings { acknowledged, missing, twice, inversions, gaps, healed, .. } = &row.findings;
        [
            row.scenario.to_owned(),
            row.rounds.to_string(),
            acknowledged.to_string(),
            missing.to_string(),
            twice.to_string(),
            inversions.to_string(),
            gaps.to_string(),
            format!("{:.2}", healed.as_secs_f64()),
            (row.memory >> 20).to_string(),
        ]
    }));
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or_default())
        .collect();
    let line =
        |cells: &[String; 9]| {
            let cells = cells.iter().zip(&widths).enumerate();
            let padded = cells.map(|(at, (cell, width))| {
                if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
        };
    let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("|");
    let mut table: Vec<String> = lines.iter().map(line).collect();
    table.insert(1, format!("|{rule}|"));
    table.join("\n")
}
