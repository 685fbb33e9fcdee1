//! `cargo xtask siege`: attacks on a private gateway with its default limits, and what others feel
//! of them.

mod report;

use crate::error::{TaskError, TaskResult};
use crate::extent::Extent;
use crate::files;
use crate::machine::Machine;
use crate::process::output;
use crate::project::Project;
use report::Siege;
use serde_json::Value;
use std::io::Write;

/// The report of a whole run, in the root folder.
const REPORT: &str = "docs/siege.md";

/// The loads of a short run: proof in seconds that every attack works.
const SHORT: [&str; 6] = ["--sockets", "100", "--addresses", "10", "--seconds", "0.5"];

/// Builds, attacks, prints the report, and writes that of a whole run to docs/siege.md. Fails if
/// the gateway ended, panicked, refused the people or, in a run that is not short, missed a target.
pub(crate) fn run(project: &Project, extent: &Extent) -> TaskResult<()> {
    let load = project.build_load(&extent.profile)?;
    let list = parse(&output(project.command(&load).arg("attacks"))?)?;
    let mut sieges = Vec::new();
    for attack in list.as_array().into_iter().flatten() {
        let text = |name: &str| attack[name].as_str().unwrap_or_default().to_owned();
        let (name, about) = (text("name"), text("about"));
        if !extent.includes(&name) {
            continue;
        }
        eprintln!("{name}: {about}");
        let mut command = project.command(&load);
        command.args(["siege", "--attack", &name]);
        if extent.short {
            command.args(SHORT);
        }
        let figures = parse(&output(&mut command)?)?;
        sieges.push(Siege { name, about, figures });
    }
    if sieges.is_empty() {
        let only = extent.only.as_deref().unwrap_or_default();
        return Err(TaskError::new(format!("no attack has a name with {only:?}; see {list}")));
    }
    let report = report::table(&sieges, !extent.short)?;
    writeln!(std::io::stdout(), "{}", report.trim_end())
        .map_err(|error| TaskError::caused_by("standard output", error))?;
    if extent.is_whole() {
        let document = report::document(&report, &Machine::read()?);
        files::write(&project.root().join(REPORT), &document)?;
    }
    report::verdict(&sieges, !extent.short)
}

fn parse(json: &str) -> TaskResult<Value> {
    serde_json::from_str(json)
        .map_err(|error| TaskError::caused_by("the output of the load generator", error))
}
