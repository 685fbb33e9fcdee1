//! `cargo xtask tidy`: the rules that no compiler knows.

mod circles;
mod dialects;
mod imports;
mod texts;

use crate::process::{Project, output};
use std::path::PathBuf;

/// Checks every rule, and names every problem with what is expected.
pub(crate) fn run(project: &Project) -> Result<(), String> {
    let mut problems = imports::check(&project.metadata);
    problems.extend(circles::check(project.root()));
    problems.extend(dialects::check(project.root()));
    problems.extend(texts::check(project.root(), &files(project)?));
    for problem in &problems {
        eprintln!("tidy: {problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err("tidy: 1 problem".to_owned()),
        count => Err(format!("tidy: {count} problems")),
    }
}

/// The project's files, by their paths below its root: those that git tracks or would, so nothing
/// that is made.
fn files(project: &Project) -> Result<Vec<PathBuf>, String> {
    let listing = output(project.command("git").args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut files: Vec<PathBuf> =
        listing.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    files.sort();
    files.dedup();
    Ok(files)
}
