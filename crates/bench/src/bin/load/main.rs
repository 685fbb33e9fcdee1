//! The load generator: drives the floor or Tolmach with the same frames and prints the figures as
//! one JSON object.
//!
//! Each run starts its own servers on free loopback ports, measures one scenario, and stops them.
//! Every run is bounded in count and in time. A scenario that the machine cannot run gives
//! `{"missing": REASON}`, but in CI an error. `cargo xtask bench` runs all scenarios.

mod clock;
mod closed_loop;
mod concurrent;
mod connection;
mod cpu_sets;
mod databases;
mod delivery_tracker;
mod file_limit;
mod group_load;
mod intermediary;
mod message_table;
mod numbered_text;
mod participant;
mod result;
mod scenarios;
mod seeder;
mod server;
mod siege;
mod sync;
mod users;
mod websocket;
mod wire;

use clap::Parser;
use result::BenchResult;
use scenarios::Scenario;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Measures one scenario of one server and prints its figures as JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// The seconds after which the run fails
    #[arg(long, global = true, default_value_t = 120)]
    limit: u64,
    #[command(subcommand)]
    scenario: Scenario,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(figures) => match writeln!(std::io::stdout(), "{figures}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> BenchResult<Value> {
    let Arguments { limit, scenario } = arguments;
    if let Some(missing) = scenario.missing() {
        tolmach_test_servers::skipped(&missing);
        return Ok(json!({ "missing": missing }));
    }
    file_limit::raise_file_limit()?;
    if scenario.runs_on_server_cpus() {
        cpu_sets::use_server_cpus()?;
    } else {
        cpu_sets::use_client_cpus()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(limit), scenario.measure())
            .await
            .map_err(|_| format!("the run did not end in {limit} s"))?
    })
}
