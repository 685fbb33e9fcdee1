//! Cargo's plugins that CI runs, installed from the registry.

use crate::process::{Project, present, run};

/// A plugin: its command of cargo, and its package.
struct Tool {
    command: &'static str,
    package: &'static str,
}

const TOOLS: [Tool; 1] = [Tool { command: "deny", package: "cargo-deny" }];

/// Installs the plugins that are missing.
pub(super) fn install(project: &Project) -> Result<(), String> {
    for Tool { command, package } in TOOLS {
        if present(project.cargo().args([command, "--version"])) {
            continue;
        }
        eprintln!("installing {package}");
        run(project.cargo().args(["install", "--locked", "--quiet", package]))?;
    }
    Ok(())
}
