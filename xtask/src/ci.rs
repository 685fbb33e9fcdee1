//! `cargo xtask ci`: every step in order, each with its name and time, until the first that fails.

use crate::bench;
use crate::process::{Project, flag, present, run as run_to_end};
use crate::setup::{self, Python};
use crate::tidy;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rewrites transcripts instead of comparing them: a test run that may pass by changing what it
/// tests is none.
const UPDATE: &str = "TOLMACH_UPDATE_GOLDENS";

/// Where clients that we did not write are run from: every `*.sh` and `*.py` whose name does not
/// begin with `_`.
const CLIENTS: [&str; 2] = ["tests/live", "tests/live/python"];

/// One step.
struct Step {
    name: &'static str,
    run: fn(&mut Run<'_>) -> Outcome,
}

/// What CI runs, in this order.
const STEPS: [Step; 10] = [
    Step { name: "format", run: format },
    Step { name: "tidy", run: tidy },
    Step { name: "lints", run: lints },
    Step { name: "documentation", run: documentation },
    Step { name: "setup", run: setup },
    Step { name: "dependencies", run: dependencies },
    Step { name: "tests", run: tests },
    Step { name: "documentation tests", run: documentation_tests },
    Step { name: "foreign clients", run: foreign_clients },
    Step { name: "short bench", run: short_bench },
];

/// One run of all steps.
struct Run<'p> {
    project: &'p Project,
    python: Option<PathBuf>,
}

/// What came of a step: done, skipped because of something, or failed.
type Outcome = Result<Done, String>;

#[derive(Debug, PartialEq, Eq)]
enum Done {
    Whole,
    /// All but something that cannot be had here.
    Partly(String),
    Skipped(String),
}

/// Runs every step, and sums up.
pub(crate) fn run(project: &Project) -> Result<(), String> {
    if flag(UPDATE) {
        return Err(format!(
            "{UPDATE} is set: it has transcripts rewritten instead of compared, so nothing would \
                be tested. Unset it."
        ));
    }
    let mut run = Run { project, python: None };
    let mut summary: Vec<(&str, Duration, Outcome)> = Vec::new();
    for step in STEPS {
        eprintln!("\n=== {}", step.name);
        let begun = Instant::now();
        let outcome = (step.run)(&mut run);
        let failed = outcome.is_err();
        summary.push((step.name, begun.elapsed(), outcome));
        if failed {
            break;
        }
    }
    eprintln!("\n=== summary");
    for (name, time, outcome) in &summary {
        eprintln!("{:>8.1} s  {name}: {}", time.as_secs_f64(), in_words(outcome));
    }
    for step in &STEPS[summary.len()..] {
        eprintln!("           {}: not run", step.name);
    }
    match summary.pop() {
        Some((name, _, Err(_))) => Err(format!("failed: {name}")),
        _ => Ok(()),
    }
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Ok(Done::Whole) => "passed".to_owned(),
        Ok(Done::Partly(what)) => format!("passed, except: {what}"),
        Ok(Done::Skipped(what)) => format!("SKIPPED, {what}"),
        Err(problem) => format!("FAILED, {problem}"),
    }
}

fn format(run: &mut Run<'_>) -> Outcome {
    run_to_end(run.project.cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Done::Whole)
}

fn tidy(run: &mut Run<'_>) -> Outcome {
    tidy::run(run.project)?;
    Ok(Done::Whole)
}

fn lints(run: &mut Run<'_>) -> Outcome {
    run_to_end(run.project.cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    Ok(Done::Whole)
}

/// The rendered documentation, without a warning.
fn documentation(run: &mut Run<'_>) -> Outcome {
    let mut command = run.project.cargo();
    command.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    run_to_end(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Done::Whole)
}

/// Licences, duplicates and sources of dependencies, by `deny.toml`, and advisories where their
/// database can be fetched.
fn dependencies(run: &mut Run<'_>) -> Outcome {
    if !present(run.project.cargo().args(["deny", "--version"])) {
        return Ok(Done::Skipped("there is no cargo-deny".to_owned()));
    }
    let deny = |words: &[&str]| run_to_end(run.project.cargo().arg("deny").args(words));
    deny(&["--offline", "--log-level", "error", "check", "licenses", "bans", "sources"])?;
    if present(run.project.cargo().args(["deny", "fetch", "db"])) {
        deny(&["check", "--disable-fetch", "advisories"])?;
        return Ok(Done::Whole);
    }
    Ok(Done::Partly("the database of advisories cannot be fetched".to_owned()))
}

fn setup(run: &mut Run<'_>) -> Outcome {
    match setup::run(run.project)? {
        Python::Ready(interpreter) => {
            run.python = Some(interpreter);
            Ok(Done::Whole)
        }
        Python::Absent(problem) => Ok(Done::Skipped(problem)),
    }
}

fn tests(run: &mut Run<'_>) -> Outcome {
    let nextest = present(run.project.cargo().args(["nextest", "--version"]));
    let words: &[&str] = if nextest {
        &["nextest", "run", "--workspace"]
    } else {
        &["test", "--workspace", "--lib", "--bins", "--tests"]
    };
    run_to_end(
        run.project
            .cargo()
            .args(words)
            .envs(run.python.as_ref().map(|python| ("TOLMACH_PYTHON", python))),
    )?;
    Ok(Done::Whole)
}

fn documentation_tests(run: &mut Run<'_>) -> Outcome {
    run_to_end(run.project.cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    Ok(Done::Whole)
}

/// Each client gets the gateway to start as `TOLMACH_BIN` and a Python with the packages as
/// `TOLMACH_PYTHON`.
fn foreign_clients(run: &mut Run<'_>) -> Outcome {
    let clients = clients(run.project)?;
    if clients.is_empty() {
        return Ok(Done::Skipped("there are none yet".to_owned()));
    }
    let Some(python) = &run.python else {
        return Ok(Done::Skipped("there is no Python with the packages".to_owned()));
    };
    run_to_end(run.project.cargo().args(["build", "--package", "tolmach-cli"]))?;
    let gateway = run.project.target().join("debug/tolmach");
    for client in clients {
        eprintln!("--- {}", client.display());
        let begun = Instant::now();
        let interpreter = if client.extension().is_some_and(|kind| kind == "py") {
            python.clone()
        } else {
            PathBuf::from("bash")
        };
        let mut command = run.project.command(interpreter);
        run_to_end(
            command.arg(&client).env("TOLMACH_BIN", &gateway).env("TOLMACH_PYTHON", python),
        )?;
        eprintln!("--- {:.1} s", begun.elapsed().as_secs_f64());
    }
    Ok(Done::Whole)
}

/// Shows that the bench works; how fast anything is, is not judged here.
fn short_bench(run: &mut Run<'_>) -> Outcome {
    // Without `--bench` criterion runs everything once and measures nothing.
    run_to_end(run.project.cargo().args([
        "test",
        "--package",
        "tolmach-bench",
        "--bench",
        "wire",
    ]))?;
    bench::run(run.project, &bench::Options::for_ci())?;
    Ok(Done::Whole)
}

fn clients(project: &Project) -> Result<Vec<PathBuf>, String> {
    let mut clients = Vec::new();
    for folder in CLIENTS {
        let Ok(entries) = std::fs::read_dir(project.root().join(folder)) else { continue };
        for entry in entries {
            let path = entry.map_err(|error| format!("{folder}: {error}"))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !name.starts_with('_') && (name.ends_with(".sh") || name.ends_with(".py")) {
                clients.push(path);
            }
        }
    }
    clients.sort();
    Ok(clients)
}
