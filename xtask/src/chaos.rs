//! `cargo xtask chaos`: breaks real servers under load and counts lost messages.

use crate::error::TaskResult;
use crate::process;
use crate::project::Project;
use clap::Args;
use std::num::NonZeroU32;

/// Many rounds of the scenarios that `cargo xtask ci` runs once.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds of each scenario.
    #[arg(long, default_value = "20")]
    rounds: NonZeroU32,
    /// Readers in the scenario in which one reader of twenty stalls.
    #[arg(long, default_value = "2000")]
    readers: NonZeroU32,
    /// Run only scenarios whose name contains this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// Runs the scenarios one after the other and prints a table of the results. Fails if a message was
/// lost.
pub(crate) fn run(project: &Project, options: &Options) -> TaskResult<()> {
    let mut chaos = project.cargo();
    chaos.args(["test", "--quiet", "--package", "tolmach-cli", "--test", "chaos"]);
    chaos.args(["--", "--test-threads", "1"]).args(&options.only);
    chaos.env("TOLMACH_CHAOS_ROUNDS", options.rounds.to_string());
    chaos.env("TOLMACH_CHAOS_READERS", options.readers.to_string());
    process::run(&mut chaos)
}
