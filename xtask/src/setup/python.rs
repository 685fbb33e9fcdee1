//! A Python with the packages of the test clients.

use crate::error::{TaskError, TaskResult};
use crate::files;
use crate::process::{run, succeeds};
use crate::project::Project;
use std::path::PathBuf;

/// Makes a virtual environment and gives its interpreter.
pub(super) fn install(project: &Project) -> TaskResult<PathBuf> {
    let list = project.root().join("tests/requirements.txt");
    let wanted = files::read(&list)?;
    let folder = project.target().join("python");
    let (interpreter, stamp) = (folder.join("bin/python"), folder.join("installed.txt"));
    let installed = std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);
    if installed && succeeds(project.command(&interpreter).arg("--version")) {
        return Ok(interpreter);
    }
    let python = ["python3.11", "python3"]
        .into_iter()
        .find(|python| succeeds(project.command(python).arg("--version")))
        .ok_or_else(|| TaskError::new("neither python3.11 nor python3 can be started"))?;
    run(project.command(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = project.command(&interpreter);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(pip.arg(&list))?;
    // Last, so that a partial installation is repeated.
    files::write(&stamp, &wanted)?;
    Ok(interpreter)
}
