//! `cargo xtask setup`: the programs and packages that the tests need beside Rust. Servers come
//! from Debian, Python's packages go below the target folder, those of npm beside the client that
//! imports them.

mod debian;
mod node;
mod plugins;
mod python;

use crate::error::{TaskError, TaskResult};
use crate::process::is_set;
use crate::project::Project;
use std::path::PathBuf;

/// The result of an installation.
pub(crate) enum Installation<T> {
    Done(T),
    /// The reason why it was skipped. Only outside CI.
    Skipped(String),
}

/// Installs everything that is missing, and gives a Python interpreter with everything that
/// `tests/requirements.txt` names. A failure is an error in CI, and printed elsewhere.
pub(crate) fn run(project: &Project) -> TaskResult<Installation<PathBuf>> {
    or_skip("servers for the tests", debian::install(project))?;
    or_skip("plugins of cargo", plugins::install(project))?;
    or_skip("npm packages for the tests", node::install(project))?;
    or_skip("Python packages for the tests", python::install(project))
}

fn or_skip<T>(packages: &str, installed: TaskResult<T>) -> TaskResult<Installation<T>> {
    match installed {
        Ok(installed) => Ok(Installation::Done(installed)),
        Err(error) if is_set("CI") => {
            Err(TaskError::caused_by(format!("setup: {packages}"), error))
        }
        Err(error) => {
            let reason = error.chain();
            eprintln!("skipped: {packages}: {reason}");
            Ok(Installation::Skipped(reason))
        }
    }
}
