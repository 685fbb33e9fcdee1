//! The npm packages of the test client in `tests/live/node`.

use crate::error::{TaskError, TaskResult};
use crate::files;
use crate::process::{run, succeeds};
use crate::project::Project;

/// Installs the locked packages. `tests/live/dcrf.sh` looks for the stamp; without it, it is
/// skipped or, in CI, fails.
pub(super) fn install(project: &Project) -> TaskResult<()> {
    let folder = project.root().join("tests/live/node");
    let stamp = folder.join("node_modules/.installed.json");
    let wanted = files::read(&folder.join("package-lock.json"))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    for program in ["node", "npm"] {
        if !succeeds(project.command(program).arg("--version")) {
            return Err(TaskError::new(format!("{program} cannot be started")));
        }
    }
    let mut npm = project.command("npm");
    npm.current_dir(&folder);
    run(npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]))?;
    // Last: `npm ci` begins by removing the folder of the stamp.
    files::write(&stamp, &wanted)
}
