//! `cargo xtask siege`: attacks on a private gateway with its default limits, and what others feel
//! of them.

mod report;

use crate::error::{TaskError, TaskResult};
use crate::files;
use crate::machine::Machine;
use crate::process::{output, run as run_to_end};
use crate::project::{Project, profile_folder};
use report::Siege;
use serde_json::Value;
use std::io::Write;

/// The report of a whole run, in the root folder.
const REPORT: &str = "docs/siege.md";

/// The loads of a short run: proof in seconds that every attack works.
const SHORT: [&str; 6] = ["--sockets", "100", "--addresses", "10", "--seconds", "0.5"];

/// The extent of a run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Prove in seconds that it works: few sockets, no verdicts; docs/siege.md stays as it is
    #[arg(long)]
    short: bool,
    /// Run only the attacks whose name contains this; docs/siege.md stays as it is
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// The profile to build with
    #[arg(long, default_value = "dist")]
    profile: String,
}

impl Options {
    /// A short run, built like the tests.
    pub(crate) fn for_ci() -> Self {
        Self { short: true, only: None, profile: "dev".to_owned() }
    }
}

/// Builds, attacks, prints the report, and writes that of a whole run to docs/siege.md. Fails if
/// the gateway ended, panicked or, in a run that is not short, missed a target.
pub(crate) fn run(project: &Project, options: &Options) -> TaskResult<()> {
    let mut build = project.cargo();
    build.args(["build", "--profile", &options.profile]);
    build.args(["--package", "tolmach-cli", "--package", "tolmach-bench"]);
    run_to_end(&mut build)?;
    let load = project.target().join(profile_folder(&options.profile)).join("load");
    let list = parse(&output(project.command(&load).arg("attacks"))?)?;
    let only = options.only.as_deref().unwrap_or_default();
    let mut sieges = Vec::new();
    for attack in list.as_array().into_iter().flatten() {
        let text = |name: &str| attack[name].as_str().unwrap_or_default().to_owned();
        let (name, about) = (text("name"), text("about"));
        if !name.contains(only) {
            continue;
        }
        eprintln!("{name}: {about}");
        let mut command = project.command(&load);
        command.args(["siege", "--attack", &name]);
        if options.short {
            command.args(SHORT);
        }
        let figures = parse(&output(&mut command)?)?;
        sieges.push(Siege { name, about, figures });
    }
    if sieges.is_empty() {
        return Err(TaskError::new(format!("no attack has a name with {only:?}; see {list}")));
    }
    let report = report::table(&sieges, !options.short)?;
    writeln!(std::io::stdout(), "{}", report.trim_end())
        .map_err(|error| TaskError::caused_by("standard output", error))?;
    if !options.short && options.only.is_none() {
        let document = report::document(&report, &Machine::read()?);
        files::write(&project.root().join(REPORT), &document)?;
    }
    report::verdict(&sieges, !options.short)
}

fn parse(json: &str) -> TaskResult<Value> {
    serde_json::from_str(json)
        .map_err(|error| TaskError::caused_by("the output of the load generator", error))
}
