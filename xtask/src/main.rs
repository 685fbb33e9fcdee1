//! What CI and people run: `cargo xtask <command>`.

mod bench;
mod chaos;
mod ci;
mod process;
mod setup;
mod tidy;

use clap::{Parser, Subcommand};
use process::Project;
use std::process::ExitCode;

/// What CI and people run.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure what Tolmach costs beside the floor, and write BENCH.md.
    Bench(bench::Options),
    /// Break gateways, PostgreSQL, Redis and the networks between them under load, and show what
    /// was lost.
    Chaos(chaos::Options),
    /// Run everything that CI runs, and stop at the first failure.
    Ci,
    /// Install what the tests need beside Rust.
    Setup,
    /// Check the rules that no compiler knows: who imports whom, what a dialect consists of, what
    /// no file may hold.
    Tidy,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = Project::find().and_then(|project| match arguments.command {
        Command::Bench(options) => bench::run(&project, &options),
        Command::Chaos(options) => chaos::run(&project, &options),
        Command::Ci => ci::run(&project),
        Command::Setup => setup::run(&project).map(|_| ()),
        Command::Tidy => tidy::run(&project),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
