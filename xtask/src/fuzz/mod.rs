//! `cargo xtask fuzz`: runs the fuzz targets of `tests/fuzz`, one after the other.

mod log;

use crate::error::{TaskError, TaskResult};
use crate::files::{self, entries, named};
use crate::process::{run as run_to_end, succeeds};
use crate::project::Project;
use clap::Args;
use log::{Outcome, outcome};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The workspace of the targets.
const FOLDER: &str = "tests/fuzz";

/// Fuzzing of everything that reads the bytes of a peer, a proxy or an operator, and of a model of
/// the gateway.
#[derive(Args)]
pub(crate) struct Options {
    /// Minutes in all, shared equally by the targets.
    #[arg(long, default_value = "15")]
    minutes: u32,
    /// Run only the target of this name.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Run every input that is kept once, and look for no others: what CI does. Needs neither
    /// cargo-fuzz nor a C++ compiler.
    #[arg(long, conflicts_with_all = ["minutes", "target"])]
    replay: bool,
}

/// Runs the targets and prints a row for each. Fails if one has found something.
pub(crate) fn run(project: &Project, options: &Options) -> TaskResult<()> {
    if options.replay {
        return replay(project);
    }
    if !succeeds(project.cargo().args(["fuzz", "--version"])) {
        return Err(TaskError::new(
            "there is no cargo-fuzz; `cargo xtask setup` installs it. The targets are compiled by \
             the stable toolchain, and libFuzzer by a C++ compiler",
        ));
    }
    let targets = targets(project, options.target.as_deref())?;
    build(project)?;
    let work = project.target().join("fuzz");
    write_seeds(project, &work)?;
    let share = Duration::from_secs(u64::from(options.minutes) * 60)
        / u32::try_from(targets.len()).unwrap_or(u32::MAX);
    let mut outcomes = Vec::new();
    for target in targets {
        eprintln!("=== {target}, {} s", share.as_secs().max(1));
        let started = Instant::now();
        let outcome = fuzz(project, &work, &target, share)?;
        eprintln!("{}", outcome.row(&target, started.elapsed()));
        outcomes.push((target, started.elapsed(), outcome));
    }
    eprintln!("{}", Outcome::HEAD);
    for (target, time, outcome) in &outcomes {
        eprintln!("{}", outcome.row(target, *time));
    }
    let found: Vec<&str> = outcomes
        .iter()
        .filter(|(_, _, outcome)| outcome.finding.is_some())
        .map(|(target, ..)| target.as_str())
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(TaskError::new(format!(
        "found something: {}. Mend it, and keep the input in {FOLDER}/data/<target>, under a name \
         that says what it broke",
        found.join(", ")
    )))
}

/// Lints the targets, and runs every input that is kept.
pub(crate) fn replay(project: &Project) -> TaskResult<()> {
    let manifest = Path::new(FOLDER).join("Cargo.toml");
    let cargo = |command: &str| {
        let mut cargo = project.cargo();
        cargo.arg(command).arg("--manifest-path").arg(&manifest);
        cargo
    };
    run_to_end(cargo("fmt").arg("--check"))?;
    let without_libfuzzer = ["--no-default-features", "--features", "gateway", "--target-dir"];
    let mut clippy = cargo("clippy");
    clippy.args(["--quiet", "--lib", "--examples"]).args(without_libfuzzer);
    run_to_end(clippy.arg(project.target()).args(["--", "-D", "warnings"]))?;
    let mut test = cargo("test");
    test.args(["--quiet", "--lib"]).args(without_libfuzzer);
    run_to_end(test.arg(project.target()))
}

/// The names of all targets, or the one that is wanted.
fn targets(project: &Project, wanted: Option<&str>) -> TaskResult<Vec<String>> {
    let programs = entries(&project.root().join(FOLDER).join("targets"));
    let stem = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut all: Vec<String> = programs.iter().filter_map(stem).collect();
    if let Some(wanted) = wanted {
        let known = all.join(", ");
        all.retain(|target| target == wanted);
        if all.is_empty() {
            return Err(TaskError::new(format!(
                "no target is named {wanted:?}; there are {known}"
            )));
        }
    }
    Ok(all)
}

/// Compiles the programs of all targets.
fn build(project: &Project) -> TaskResult<()> {
    let mut build = project.cargo();
    build.args(["fuzz", "build", "--sanitizer", "none", "--fuzz-dir", FOLDER, "--target-dir"]);
    run_to_end(build.arg(project.target().join("fuzz")))
}

/// Writes the inputs that are made of the transcripts, and the words in them, for mutations.
fn write_seeds(project: &Project, work: &Path) -> TaskResult<()> {
    let mut seeds = project.cargo();
    seeds.args(["run", "--quiet", "--manifest-path"]).arg(Path::new(FOLDER).join("Cargo.toml"));
    seeds.args(["--example", "seeds", "--no-default-features", "--features", "gateway"]);
    seeds.arg("--target-dir").arg(project.target()).arg("--").arg(work);
    run_to_end(&mut seeds)
}

/// Runs one target. Its inputs stay below the target folder, so that the next run goes on with
/// them.
fn fuzz(project: &Project, work: &Path, target: &str, time: Duration) -> TaskResult<Outcome> {
    let folder = |name: &str| {
        let folder = work.join(name).join(target);
        std::fs::create_dir_all(&folder).map_err(|error| named(&folder, error))?;
        Ok::<_, TaskError>(folder)
    };
    let (corpus, artifacts) = (folder("corpus")?, folder("artifacts")?);
    let kept = project.root().join(FOLDER).join("data").join(target);
    let log = work.join(format!("{target}.log"));
    let output = File::create(&log).map_err(|error| named(&log, error))?;
    let mut fuzz = project.cargo();
    fuzz.args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir", FOLDER, "--target-dir"]);
    fuzz.arg(work).arg(target).arg(&corpus).args(kept.is_dir().then_some(&kept)).arg("--");
    fuzz.arg(format!("-max_total_time={}", time.as_secs().max(1)));
    fuzz.arg(format!("-artifact_prefix={}/", artifacts.display()));
    fuzz.arg(format!("-dict={}", work.join("dictionaries").join(target).display()));
    // An input that takes 10 s, or a process that takes 2 GiB, is a finding.
    fuzz.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"]);
    let status = fuzz.stderr(Stdio::from(output)).status();
    let status = status.map_err(|error| TaskError::caused_by("cargo fuzz run", error))?;
    let outcome = outcome(&files::read_lossy(&log)?);
    if !status.success() && outcome.finding.is_none() {
        let log = log.display();
        return Err(TaskError::new(format!("{target} could not be run; see {log}")));
    }
    Ok(outcome)
}
