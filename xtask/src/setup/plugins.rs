//! The plugins of cargo that the tasks run, from the registry.

use crate::error::TaskResult;
use crate::process::{run, succeeds};
use crate::project::Project;

/// A plugin.
struct Plugin {
    command: &'static str,
    package: &'static str,
}

const PLUGINS: [Plugin; 2] = [
    Plugin { command: "deny", package: "cargo-deny" },
    Plugin { command: "fuzz", package: "cargo-fuzz" },
];

/// Installs the plugins that are missing.
pub(super) fn install(project: &Project) -> TaskResult<()> {
    for Plugin { command, package } in PLUGINS {
        if succeeds(project.cargo().args([command, "--version"])) {
            continue;
        }
        eprintln!("installing {package}");
        run(project.cargo().args(["install", "--locked", "--quiet", package]))?;
    }
    Ok(())
}
