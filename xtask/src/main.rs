//! Tasks of developers and CI: `cargo xtask <task>`.

mod bench;
mod chaos;
mod ci;
mod error;
mod extent;
mod files;
mod fuzz;
mod machine;
mod process;
mod project;
mod setup;
mod siege;
mod tidy;

use clap::{Parser, Subcommand};
use extent::Extent;
use project::Project;
use std::process::ExitCode;

/// Tasks of developers and CI.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure the cost of Tolmach beside a bare broadcast server, and write BENCH.md.
    Bench {
        #[command(flatten)]
        extent: Extent,
        /// Measure worlds of a million users and messages instead, and print a table
        #[arg(long)]
        large: bool,
    },
    /// Break gateways, PostgreSQL, Redis and the networks between them under load, and count lost
    /// messages.
    Chaos(chaos::Options),
    /// Run every step of CI, and stop at the first failure.
    Ci,
    /// Feed random input to the dialects, the parsers and a model of the gateway.
    Fuzz(fuzz::Options),
    /// Attack a gateway with its default limits, and write docs/siege.md.
    Siege(Extent),
    /// Install the programs and packages that the tests need beside Rust.
    Setup,
    /// Check the rules that the compiler does not know: imports between crates, circles between
    /// files, the parts of a dialect, words, comments and widths.
    Tidy,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = Project::find().and_then(|project| match arguments.task {
        Task::Bench { extent, large: false } => bench::run(&project, &extent),
        Task::Bench { extent, large: true } => bench::run_large(&project, &extent),
        Task::Chaos(options) => chaos::run(&project, &options),
        Task::Ci => ci::run(&project),
        Task::Fuzz(options) => fuzz::run(&project, &options),
        Task::Siege(extent) => siege::run(&project, &extent),
        Task::Setup => setup::run(&project).map(drop),
        Task::Tidy => tidy::run(&project),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.chain());
            ExitCode::FAILURE
        }
    }
}
