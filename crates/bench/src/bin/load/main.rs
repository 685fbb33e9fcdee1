//! The load generator: drives the floor or Tolmach with the same frames and prints what came of it, as one JSON object.
//!
//! Each run starts its own server on a free loopback port, measures one thing, and ends the server. Every run is bounded in
//! count and in time. `cargo xtask bench` puts the runs together.

mod cores;
mod fan_out;
mod idle;
mod requests;
mod sends;
mod server;
mod wire;
mod world;

use clap::{Parser, Subcommand};
use server::Subject;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use wire::Wire;

/// Any failure ends the run: a measurement of half a run is none.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures one thing of one server and prints it as JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// The seconds after which the run is given up
    #[arg(long, global = true, default_value_t = 300)]
    limit: u64,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Messages in one room: server CPU per delivered frame, and the time from posting to delivery
    FanOut(fan_out::Arguments),
    /// Connections that say nothing: resident memory of each, and how fast they are made
    Idle(idle::Arguments),
    /// Durable messages, each acknowledged before the next: how many a second
    Sends(sends::Arguments),
    /// The same messages straight into the store, one transaction each
    SendsBaseline(sends::Arguments),
    /// Requests that are answered without the store: server CPU of each, and the time to the answer
    Requests(requests::Arguments),
}

/// What every scenario against a server says.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Target {
    /// Which server
    #[arg(long)]
    subject: Subject,
    /// Which dialect's frames
    #[arg(long, default_value = "bearer")]
    wire: Wire,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(measured) => match writeln!(std::io::stdout(), "{measured}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Outcome<serde_json::Value> {
    server::allow_many_files()?;
    cores::take_client_share()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let measuring = async {
            match arguments.scenario {
                Scenario::FanOut(arguments) => fan_out::measure(arguments).await,
                Scenario::Idle(arguments) => idle::measure(arguments).await,
                Scenario::Sends(arguments) => sends::measure(arguments).await,
                Scenario::SendsBaseline(arguments) => sends::measure_baseline(arguments).await,
                Scenario::Requests(arguments) => requests::measure(arguments).await,
            }
        };
        let limit = Duration::from_secs(arguments.limit);
        tokio::time::timeout(limit, measuring).await.map_err(|_| format!("not done after {} s", limit.as_secs()))?
    })
}
