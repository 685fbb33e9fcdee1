//! `cargo xtask setup`: what the tests need beside Rust. Servers come from Debian, Python's
//! packages go under the target folder, those of npm beside the client that imports them.

mod servers;
mod tools;

use crate::process::{Project, flag, present, run as run_to_end};
use std::path::PathBuf;

/// What can be used of Python.
pub(crate) enum Python {
    /// The interpreter, with everything that `tests/requirements.txt` names.
    Ready(PathBuf),
    /// It could not be had, and why. Only outside CI.
    Absent(String),
}

/// Installs what is missing. In CI what cannot be installed is a failure, elsewhere it is named.
pub(crate) fn run(project: &Project) -> Result<Python, String> {
    match servers::install(project) {
        Err(problem) if flag("CI") => {
            return Err(format!("setup: servers for the tests: {problem}"));
        }
        Err(problem) => eprintln!("skipped: servers for the tests: {problem}"),
        Ok(()) => {}
    }
    match tools::install(project) {
        Err(problem) if flag("CI") => return Err(format!("setup: {problem}")),
        Err(problem) => eprintln!("skipped: plugins of cargo: {problem}"),
        Ok(()) => {}
    }
    match install_node(project) {
        Err(problem) if flag("CI") => return Err(format!("setup: {problem}")),
        Err(problem) => eprintln!("skipped: npm packages for the tests: {problem}"),
        Ok(()) => {}
    }
    match install(project) {
        Ok(interpreter) => Ok(Python::Ready(interpreter)),
        Err(problem) if flag("CI") => Err(format!("setup: {problem}")),
        Err(problem) => {
            eprintln!("skipped: Python packages for the tests: {problem}");
            Ok(Python::Absent(problem))
        }
    }
}

fn install(project: &Project) -> Result<PathBuf, String> {
    let list = project.root().join("tests/requirements.txt");
    let wanted =
        std::fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let folder = project.target().join("python");
    let (interpreter, stamp) = (folder.join("bin/python"), folder.join("installed.txt"));
    let installed = std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);
    if installed && present(project.command(&interpreter).arg("--version")) {
        return Ok(interpreter);
    }
    let python = ["python3.11", "python3"]
        .into_iter()
        .find(|python| present(project.command(python).arg("--version")))
        .ok_or("neither python3.11 nor python3 can be started")?;
    run_to_end(project.command(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    run_to_end(
        project
            .command(&interpreter)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(&list),
    )?;
    // Written last, so that half an installation is made again.
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(interpreter)
}

/// `tests/live/dcrf.sh` looks for the stamp, and without it skips by name or, in CI, fails.
fn install_node(project: &Project) -> Result<(), String> {
    let folder = project.root().join("tests/live/node");
    let (lock, stamp) =
        (folder.join("package-lock.json"), folder.join("node_modules/.installed.json"));
    let wanted =
        std::fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    for program in ["node", "npm"] {
        if !present(project.command(program).arg("--version")) {
            return Err(format!("{program} cannot be started"));
        }
    }
    run_to_end(project.command("npm").current_dir(&folder).args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel",
        "error",
    ]))?;
    // Written last; `npm ci` begins by removing the folder that it lies in.
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}
