//! The load generator: drives the floor or Tolmach with the same frames and prints what came of it,
//! as one JSON object.
//!
//! Each run starts its own servers on free loopback ports, measures one thing, and ends them. Every
//! run is bounded in count and in time. What it needs and the machine lacks it names as `missing`
//! instead, except in CI. `cargo xtask bench` puts the runs together.

mod cores;
mod fan_out;
mod growth;
mod history;
mod idle;
mod nodes;
mod requests;
mod room;
mod sends;
mod server;
mod stores;
mod storm;
mod table;
mod wire;
mod world;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use stores::Kind;

/// Any failure ends the run: a measurement of half a run is none.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures one thing of one server and prints it as JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// The seconds after which the run is given up
    #[arg(long, global = true, default_value_t = 120)]
    limit: u64,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Messages in one room: server CPU per delivered frame, and the time from posting to delivery
    FanOut(fan_out::Arguments),
    /// The same in rooms among many other flows and connections
    Growth(growth::Arguments),
    /// The same beside many logins at once
    Storm(storm::Arguments),
    /// Connections that say nothing: resident memory of each, and how fast they are made
    Idle(idle::Arguments),
    /// Durable messages: how many a second are acknowledged
    Sends(sends::Arguments),
    /// Plain inserts into the same table on the same disk, without Tolmach
    Inserts(table::InsertArguments),
    /// Requests that are answered without the store: server CPU of each, and the time to the answer
    Requests(requests::Arguments),
    /// Histories: how many a second are read
    History(history::Arguments),
    /// Two gateways: the CPU that the second one adds to a message
    Nodes(nodes::Arguments),
    /// A start on a store that is full: the time until it is ready
    Start(table::StartArguments),
}

impl Scenario {
    /// What it needs and this machine lacks.
    fn missing(&self) -> Option<String> {
        let postgres = |store| stores::missing(store == Kind::Postgres, false);
        match self {
            Scenario::Sends(arguments) => postgres(arguments.store),
            Scenario::Inserts(arguments) => postgres(arguments.store),
            Scenario::Nodes(_) => stores::missing(true, true),
            Scenario::FanOut(_)
            | Scenario::Growth(_)
            | Scenario::Storm(_)
            | Scenario::Idle(_)
            | Scenario::Requests(_)
            | Scenario::History(_)
            | Scenario::Start(_) => None,
        }
    }
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

fn run(arguments: Arguments) -> Outcome<Value> {
    if let Some(missing) = arguments.scenario.missing() {
        tolmach_test_servers::skipped(&missing);
        return Ok(json!({ "missing": missing }));
    }
    server::allow_many_files()?;
    // Plain inserts are held against what a server does with its cores.
    match arguments.scenario {
        Scenario::Inserts(_) => cores::take_server_share()?,
        _ => cores::take_client_share()?,
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let measuring = async {
            match arguments.scenario {
                Scenario::FanOut(arguments) => fan_out::measure(arguments).await,
                Scenario::Growth(arguments) => growth::measure(arguments).await,
                Scenario::Storm(arguments) => storm::measure(arguments).await,
                Scenario::Idle(arguments) => idle::measure(arguments).await,
                Scenario::Sends(arguments) => sends::measure(arguments).await,
                Scenario::Inserts(arguments) => table::measure_inserts(arguments).await,
                Scenario::Requests(arguments) => requests::measure(arguments).await,
                Scenario::History(arguments) => history::measure(arguments).await,
                Scenario::Nodes(arguments) => nodes::measure(arguments).await,
                Scenario::Start(arguments) => table::measure_start(arguments).await,
            }
        };
        let limit = Duration::from_secs(arguments.limit);
        tokio::time::timeout(limit, measuring)
            .await
            .map_err(|_| format!("not done after {} s", limit.as_secs()))?
    })
}
