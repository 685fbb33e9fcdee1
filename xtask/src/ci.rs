//! `cargo xtask ci`: every step in order, with its name and duration, up to the first failure.

use crate::bench;
use crate::error::{TaskError, TaskResult};
use crate::extent::Extent;
use crate::files::{entries, has_extension, named};
use crate::fuzz;
use crate::process::{is_set, run as run_to_end, succeeds};
use crate::project::Project;
use crate::setup::{self, Installation};
use crate::siege;
use crate::tidy;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The switch that has goldens rewritten instead of compared, so that their tests would prove
/// nothing.
const UPDATE: &str = "TOLMACH_UPDATE_GOLDENS";

/// The folders of foreign clients: every `*.sh` and `*.py` whose name does not begin with `_`.
const CLIENT_FOLDERS: [&str; 2] = ["tests/live", "tests/live/python"];

/// One step.
struct Step {
    name: &'static str,
    run: fn(&mut Run<'_>) -> TaskResult<Completion>,
}

/// The steps of CI, in order.
const STEPS: [Step; 13] = [
    Step { name: "format", run: format },
    Step { name: "tidy", run: tidy },
    Step { name: "lints", run: lints },
    Step { name: "documentation", run: documentation },
    Step { name: "setup", run: setup },
    Step { name: "dependencies", run: dependencies },
    Step { name: "tests", run: tests },
    Step { name: "documentation tests", run: documentation_tests },
    Step { name: "examples", run: examples },
    Step { name: "inputs of fuzzing", run: inputs_of_fuzzing },
    Step { name: "foreign clients", run: foreign_clients },
    Step { name: "short bench", run: short_bench },
    Step { name: "short siege", run: short_siege },
];

/// One run of all steps.
struct Run<'p> {
    project: &'p Project,
    /// The interpreter that the setup step found.
    python: Option<PathBuf>,
}

/// The extent to which a step was done.
#[derive(Debug, PartialEq, Eq)]
enum Completion {
    Whole,
    /// All but a part, for this reason.
    Partial(String),
    /// Nothing, for this reason.
    Skipped(String),
}

/// Runs every step and prints a summary.
pub(crate) fn run(project: &Project) -> TaskResult<()> {
    if is_set(UPDATE) {
        return Err(TaskError::new(format!(
            "{UPDATE} is set: goldens would be rewritten and not compared; unset it"
        )));
    }
    let mut run = Run { project, python: None };
    let mut summary: Vec<(&str, Duration, TaskResult<Completion>)> = Vec::new();
    for step in STEPS {
        eprintln!("\n=== {}", step.name);
        let started = Instant::now();
        let result = (step.run)(&mut run);
        let failed = result.is_err();
        summary.push((step.name, started.elapsed(), result));
        if failed {
            break;
        }
    }
    eprintln!("\n=== summary");
    for (name, time, result) in &summary {
        eprintln!("{:>8.1} s  {name}: {}", time.as_secs_f64(), describe(result));
    }
    for step in &STEPS[summary.len()..] {
        eprintln!("           {}: not run", step.name);
    }
    match summary.pop() {
        Some((name, _, Err(_))) => Err(TaskError::new(format!("failed: {name}"))),
        _ => Ok(()),
    }
}

fn describe(result: &TaskResult<Completion>) -> String {
    match result {
        Ok(Completion::Whole) => "passed".to_owned(),
        Ok(Completion::Partial(reason)) => format!("passed, except: {reason}"),
        Ok(Completion::Skipped(reason)) => format!("SKIPPED, {reason}"),
        Err(error) => format!("FAILED, {}", error.chain()),
    }
}

fn format(run: &mut Run<'_>) -> TaskResult<Completion> {
    run_to_end(run.project.cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Completion::Whole)
}

fn tidy(run: &mut Run<'_>) -> TaskResult<Completion> {
    tidy::run(run.project)?;
    Ok(Completion::Whole)
}

fn lints(run: &mut Run<'_>) -> TaskResult<Completion> {
    let mut clippy = run.project.cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    run_to_end(&mut clippy)?;
    Ok(Completion::Whole)
}

/// The rendered documentation, with warnings denied.
fn documentation(run: &mut Run<'_>) -> TaskResult<Completion> {
    let mut command = run.project.cargo();
    command.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    run_to_end(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Completion::Whole)
}

/// Licences, duplicates and sources of dependencies by `deny.toml`, and advisories if their
/// database can be fetched.
fn dependencies(run: &mut Run<'_>) -> TaskResult<Completion> {
    if !succeeds(run.project.cargo().args(["deny", "--version"])) {
        return Ok(Completion::Skipped("there is no cargo-deny".to_owned()));
    }
    let deny = |words: &[&str]| run_to_end(run.project.cargo().arg("deny").args(words));
    deny(&["--offline", "--log-level", "error", "check", "licenses", "bans", "sources"])?;
    if succeeds(run.project.cargo().args(["deny", "fetch", "db"])) {
        deny(&["check", "--disable-fetch", "advisories"])?;
        return Ok(Completion::Whole);
    }
    Ok(Completion::Partial("the database of advisories cannot be fetched".to_owned()))
}

fn setup(run: &mut Run<'_>) -> TaskResult<Completion> {
    match setup::run(run.project)? {
        Installation::Done(interpreter) => {
            run.python = Some(interpreter);
            Ok(Completion::Whole)
        }
        Installation::Skipped(reason) => Ok(Completion::Skipped(reason)),
    }
}

fn tests(run: &mut Run<'_>) -> TaskResult<Completion> {
    let mut tests = run.project.cargo();
    if succeeds(run.project.cargo().args(["nextest", "--version"])) {
        tests.args(["nextest", "run", "--workspace"]);
    } else {
        tests.args(["test", "--workspace", "--lib", "--bins", "--tests"]);
    }
    run_to_end(tests.envs(run.python.as_ref().map(|python| ("TOLMACH_PYTHON", python))))?;
    Ok(Completion::Whole)
}

fn documentation_tests(run: &mut Run<'_>) -> TaskResult<Completion> {
    run_to_end(run.project.cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    Ok(Completion::Whole)
}

/// The tests of the packages in `examples/`, each a workspace of its own. They share the compiled
/// dependencies of this one, where both have the same features.
fn examples(run: &mut Run<'_>) -> TaskResult<Completion> {
    for example in entries(&run.project.root().join("examples")) {
        let manifest = example.join("Cargo.toml");
        if manifest.is_file() {
            let mut tests = run.project.cargo();
            tests.args(["test", "--quiet", "--manifest-path"]).arg(manifest);
            run_to_end(tests.arg("--target-dir").arg(run.project.target()))?;
        }
    }
    new_crate(run.project)?;
    Ok(Completion::Whole)
}

/// A crate as `tolmach dialect new --crate` writes it passes its own conformance test.
fn new_crate(project: &Project) -> TaskResult<()> {
    let below = project.target().join("new-crate");
    let folder = below.join("parlour-gateway");
    // Of an earlier run, if there was one.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&below).map_err(|error| named(&below, error))?;
    run_to_end(project.cargo().args(["build", "--package", "tolmach-cli"]))?;
    let mut create = project.command(project.target().join("debug/tolmach"));
    create.args(["dialect", "new", "parlour", "--crate", "--sources"]).arg(project.root());
    run_to_end(create.current_dir(&below))?;
    let mut tests = project.cargo();
    tests.args(["test", "--quiet", "--test", "conformance", "--manifest-path"]);
    tests.arg(folder.join("Cargo.toml")).arg("--target-dir");
    run_to_end(tests.arg(project.target()))
}

/// Every input of `tests/fuzz` that is kept or made of a transcript. Nothing is fuzzed.
fn inputs_of_fuzzing(run: &mut Run<'_>) -> TaskResult<Completion> {
    fuzz::replay(run.project)?;
    Ok(Completion::Whole)
}

/// Clients that are not part of this project. Each gets the gateway to start in `TOLMACH_BIN` and
/// a Python with the packages in `TOLMACH_PYTHON`.
fn foreign_clients(run: &mut Run<'_>) -> TaskResult<Completion> {
    let clients = clients(run.project);
    if clients.is_empty() {
        return Ok(Completion::Skipped("there are none".to_owned()));
    }
    let Some(python) = &run.python else {
        return Ok(Completion::Skipped("there is no Python with the packages".to_owned()));
    };
    run_to_end(run.project.cargo().args(["build", "--package", "tolmach-cli"]))?;
    let gateway = run.project.target().join("debug/tolmach");
    for client in clients {
        eprintln!("--- {}", client.display());
        let started = Instant::now();
        let is_python = has_extension(&client, "py");
        let interpreter = if is_python { python.clone() } else { PathBuf::from("bash") };
        let mut command = run.project.command(interpreter);
        command.arg(&client).env("TOLMACH_BIN", &gateway).env("TOLMACH_PYTHON", python);
        run_to_end(&mut command)?;
        eprintln!("--- {:.1} s", started.elapsed().as_secs_f64());
    }
    Ok(Completion::Whole)
}

fn clients(project: &Project) -> Vec<PathBuf> {
    let mut clients: Vec<PathBuf> = CLIENT_FOLDERS
        .iter()
        .flat_map(|folder| entries(&project.root().join(folder)))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            !name.starts_with('_') && (has_extension(path, "sh") || has_extension(path, "py"))
        })
        .collect();
    clients.sort();
    clients
}

/// Runs of the benches that prove that they work; their figures are not judged.
fn short_bench(run: &mut Run<'_>) -> TaskResult<Completion> {
    // `cargo test`, not `cargo bench`: criterion then runs everything once and measures nothing.
    let mut micro = run.project.cargo();
    micro.args(["test", "--quiet", "--package", "tolmach-bench", "--bench", "wire"]);
    run_to_end(&mut micro)?;
    bench::run(run.project, &Extent::for_ci())?;
    Ok(Completion::Whole)
}

/// Runs of the attacks that prove that the gateway survives them; their figures are not judged.
fn short_siege(run: &mut Run<'_>) -> TaskResult<Completion> {
    siege::run(run.project, &Extent::for_ci())?;
    Ok(Completion::Whole)
}
