//! `cargo xtask bench --large`: what reading and membership cost in large worlds.

use crate::error::TaskResult;
use crate::extent::Extent;
use crate::process::run as run_to_end;
use crate::project::Project;

/// Builds large worlds in SQLite and PostgreSQL, measures them, and prints a table with the aims.
pub(crate) fn run_large(project: &Project, extent: &Extent) -> TaskResult<()> {
    let load = project.build_load(&extent.profile)?;
    let mut large = project.command(load.with_file_name("large"));
    if extent.short {
        large.arg("--short");
    }
    if let Some(only) = &extent.only {
        large.args(["--only", only]);
    }
    run_to_end(&mut large)
}
