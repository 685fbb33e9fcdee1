//! `cargo xtask bench`: what Tolmach costs beside the floor, as ratios of one run.
//!
//! The load generator measures one thing of one server a time (`crates/bench`), and the micro
//! benches measure the wire in process; here the runs are put in turn, so that what the machine
//! does meanwhile falls on both sides, and become a table.

mod measured;
mod report;
mod rows;
mod scenarios;

use crate::process::{Project, output, run as run_to_end};
use measured::{Measured, Outcome, Round};
use report::Machine;
use scenarios::{Scenario, Work};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The file that a whole run is kept in, in the root of the workspace.
const REPORT: &str = "BENCH.md";
/// Rounds of a whole run.
const ROUNDS: usize = 3;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Prove in seconds that it works: little of everything, once, without judging; BENCH.md stays
    /// as it is
    #[arg(long)]
    short: bool,
    /// Measure only the scenarios whose name contains this; BENCH.md stays as it is
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Build with this profile
    #[arg(long, default_value = "dist")]
    profile: String,
}

impl Options {
    /// What CI runs: little of everything, built as the tests are.
    pub(crate) fn for_ci() -> Self {
        Self { short: true, only: None, profile: "dev".to_owned() }
    }
}

/// Builds, measures, prints, and keeps a whole run.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), String> {
    measure_all(project, options).map_err(|error| error.to_string())
}

fn measure_all(project: &Project, options: &Options) -> Outcome<()> {
    let only = options.only.as_deref().unwrap_or_default();
    let dialects = scenarios::dialects(&project.metadata);
    let (chosen, others): (Vec<_>, Vec<_>) =
        scenarios::all(&dialects).into_iter().partition(|scenario| scenario.name.contains(only));
    if chosen.is_empty() {
        let names: Vec<_> = others.into_iter().map(|scenario| scenario.name).collect();
        return Err(
            format!("no scenario is named like {only:?}; there are {}", names.join(", ")).into()
        );
    }
    let mut build = project.cargo();
    run_to_end(build.args([
        "build",
        "--profile",
        &options.profile,
        "--package",
        "tolmach-cli",
        "--package",
        "tolmach-bench",
    ]))?;
    let bench = Bench {
        project,
        options,
        load: project.target().join(folder(&options.profile)).join("load"),
    };
    let mut measured: Vec<Measured> =
        chosen.into_iter().map(|scenario| Measured { scenario, rounds: Vec::new() }).collect();
    let (rounds, started) = (if options.short { 1 } else { ROUNDS }, Instant::now());
    for round in 1..=rounds {
        for Measured { scenario, rounds: done } in &mut measured {
            if scenario.once && round > 1 {
                continue;
            }
            eprintln!(
                "{:>5.0} s, round {round} of {rounds}: {}",
                started.elapsed().as_secs_f64(),
                scenario.name
            );
            done.push(bench.round(scenario)?);
        }
    }
    let judge = !options.short;
    let report = report::table(&rows::all(&dialects), &measured, judge)?
        + "\n"
        + &report::details(&measured)?;
    writeln!(std::io::stdout(), "{}", report.trim_end())?;
    if judge && options.only.is_none() {
        std::fs::write(
            project.root().join(REPORT),
            report::document(&report, ROUNDS, &Machine::look()?),
        )?;
    }
    Ok(())
}

struct Bench<'a> {
    project: &'a Project,
    options: &'a Options,
    load: PathBuf,
}

impl Bench<'_> {
    fn round(&self, scenario: &Scenario) -> Outcome<Round> {
        let ours = self.measure(&scenario.ours, None)?;
        let beside = match &scenario.beside {
            Some(work) => self.measure(work, ours.get("sample").and_then(Value::as_str))?,
            None => Value::Null,
        };
        Ok(Round { ours, beside })
    }

    /// Does this; the floor carries a frame that was heard from Tolmach.
    fn measure(&self, work: &Work, frame: Option<&str>) -> Outcome<Value> {
        match work {
            Work::Load(arguments) => {
                let mut load = self.project.command(&self.load);
                load.args(arguments.iter().map(|argument| argument.of(self.options.short)));
                if let Some(frame) = frame {
                    load.args(["--frame", frame]);
                }
                Ok(serde_json::from_str(&output(&mut load)?)?)
            }
            Work::Wire => self.wire(),
        }
    }

    /// Runs the micro benches of decoding and reads what criterion noted of them, in nanoseconds by
    /// dialect and way.
    fn wire(&self) -> Outcome<Value> {
        let mut bench = self.project.cargo();
        bench.args([
            "bench",
            "--quiet",
            "--profile",
            &self.options.profile,
            "--package",
            "tolmach-bench",
            "--bench",
            "wire",
            "--",
        ]);
        // Criterion's own report is not part of ours.
        output(bench.args(if self.options.short {
            ["--test"].as_slice()
        } else {
            &["--noplot", "/decode/"]
        }))?;
        if self.options.short {
            return Ok(json!({}));
        }
        let noted = self.project.target().join("criterion");
        let mut figures = json!({});
        for dialect in scenarios::dialects(&self.project.metadata) {
            for way in ["dialect", "struct", "value"] {
                figures[&dialect][way] =
                    estimate(&noted.join(format!("{dialect}_decode")).join(way))?;
            }
        }
        Ok(figures)
    }
}

/// The median that criterion noted in the folder of a bench.
fn estimate(folder: &Path) -> Outcome<Value> {
    let file = folder.join("new/estimates.json");
    let text =
        std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    Ok(estimates
        .pointer("/median/point_estimate")
        .ok_or_else(|| format!("{}: no median", file.display()))?
        .clone())
}

/// The folder of a profile in the target folder.
fn folder(profile: &str) -> &str {
    match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        profile => profile,
    }
}
