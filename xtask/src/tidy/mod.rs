//! `cargo xtask tidy`: the rules that the compiler does not know.

mod circles;
mod dialects;
mod documents;
mod imports;
mod texts;

use crate::error::{TaskError, TaskResult};
use crate::process::output;
use crate::project::Project;
use std::path::PathBuf;

/// Checks every rule, and prints every problem with the expectation.
pub(crate) fn run(project: &Project) -> TaskResult<()> {
    let mut problems = imports::check(&project.metadata);
    problems.extend(circles::check(project.root()));
    problems.extend(dialects::check(project.root(), &project.dialects()));
    let files = files(project)?;
    problems.extend(documents::check(project.root(), &files));
    problems.extend(texts::check(project.root(), &files));
    for problem in &problems {
        eprintln!("tidy: {problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err(TaskError::new("tidy: 1 problem")),
        count => Err(TaskError::new(format!("tidy: {count} problems"))),
    }
}

/// The project's files, by their paths below its root: those that git tracks, or would track.
fn files(project: &Project) -> TaskResult<Vec<PathBuf>> {
    let mut list = project.command("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = output(&mut list)?;
    let mut files: Vec<PathBuf> =
        list.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    files.sort();
    files.dedup();
    Ok(files)
}
