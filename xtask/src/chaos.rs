//! `cargo xtask chaos`: breaks real servers under load, as often as asked, and shows what was lost.

use crate::process::{Project, run as run_to_end};
use clap::Args;
use std::num::NonZeroU32;

/// Many rounds of what `cargo xtask ci` tries in few.
#[derive(Args)]
pub(crate) struct Options {
    /// How often each scenario is run.
    #[arg(long, default_value = "20")]
    rounds: NonZeroU32,
    /// How many readers come where some of them stall: one in twenty.
    #[arg(long, default_value = "2000")]
    crowd: NonZeroU32,
    /// Only scenarios whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

/// Runs the scenarios one after the other; the table of what they showed comes last. Fails if
/// anything was lost.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), String> {
    let mut chaos = project.cargo();
    chaos.args([
        "test",
        "--quiet",
        "--package",
        "tolmach-gateway",
        "--test",
        "chaos",
        "--",
        "--test-threads",
        "1",
    ]);
    chaos.args(&options.only).env("TOLMACH_CHAOS_ROUNDS", options.rounds.to_string());
    chaos.env("TOLMACH_CHAOS_CROWD", options.crowd.to_string());
    run_to_end(&mut chaos)
}
