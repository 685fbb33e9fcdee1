//! The measurements, one file each.

mod diff;
mod fan_out;
mod growth;
mod history;
mod idle;
mod inserts;
mod nodes;
mod passing;
mod requests;
mod rooms;
mod sends;
mod start;
mod storm;

use crate::databases::{self, DatabaseKind};
use crate::result::BenchResult;
use crate::siege;
use clap::Subcommand;
use serde_json::Value;

/// One measurement of one server.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Messages in one group: server CPU per delivered frame, and the time from posting to delivery
    FanOut(fan_out::Arguments),
    /// The same in groups among many other flows and connections
    Growth(growth::Arguments),
    /// The same beside many logins at once
    Storm(storm::Arguments),
    /// Connections without traffic: resident memory of each, and connections made in a second
    Idle(idle::Arguments),
    /// Durable messages: acknowledgements in a second
    Sends(sends::Arguments),
    /// Plain inserts into the same table on the same disk, without Tolmach
    Inserts(inserts::Arguments),
    /// Requests that are answered without the store: server CPU of each, and the time to the answer
    Requests(requests::Arguments),
    /// Messages through a proxy, a bridge or a recorder: its CPU for each, and the time it adds
    Passing(passing::Arguments),
    /// A comparison of two captures: its time and memory
    Diff(diff::Arguments),
    /// Histories: reads in a second
    History(history::Arguments),
    /// Rooms opened at once: the times until they are open, and the refusals
    Rooms(rooms::Arguments),
    /// Two gateways: the CPU that the second one adds to a message
    Nodes(nodes::Arguments),
    /// A start on a store with many messages: the time until the gateway is ready
    Start(start::Arguments),
    /// An attack on a gateway: its memory, and the deliveries of others meanwhile
    Siege(siege::Arguments),
    /// The names of the attacks, with a line on each
    Attacks,
}

impl Scenario {
    /// The reason why the scenario cannot run on this machine.
    pub(crate) fn missing(&self) -> Option<String> {
        let (postgres, redis) = match self {
            Scenario::Sends(arguments) => (arguments.store == DatabaseKind::Postgres, false),
            Scenario::Inserts(arguments) => (arguments.store == DatabaseKind::Postgres, false),
            Scenario::Rooms(arguments) => (arguments.store == DatabaseKind::Postgres, false),
            Scenario::Nodes(_) => (true, true),
            Scenario::FanOut(_)
            | Scenario::Growth(_)
            | Scenario::Storm(_)
            | Scenario::Idle(_)
            | Scenario::Requests(_)
            | Scenario::Passing(_)
            | Scenario::Diff(_)
            | Scenario::History(_)
            | Scenario::Start(_)
            | Scenario::Siege(_)
            | Scenario::Attacks => (false, false),
        };
        databases::missing(postgres, redis)
    }

    /// True if the scenario has no server, and so runs on the server's CPUs itself.
    pub(crate) fn runs_on_server_cpus(&self) -> bool {
        matches!(self, Scenario::Inserts(_) | Scenario::Diff(_))
    }

    /// Runs the scenario and gives its figures.
    pub(crate) async fn measure(self) -> BenchResult<Value> {
        match self {
            Scenario::FanOut(arguments) => fan_out::measure(arguments).await,
            Scenario::Growth(arguments) => growth::measure(arguments).await,
            Scenario::Storm(arguments) => storm::measure(arguments).await,
            Scenario::Idle(arguments) => idle::measure(arguments).await,
            Scenario::Sends(arguments) => sends::measure(arguments).await,
            Scenario::Inserts(arguments) => inserts::measure(arguments).await,
            Scenario::Requests(arguments) => requests::measure(arguments).await,
            Scenario::Passing(arguments) => passing::measure(arguments).await,
            Scenario::Diff(arguments) => diff::measure(arguments),
            Scenario::History(arguments) => history::measure(arguments).await,
            Scenario::Rooms(arguments) => rooms::measure(arguments).await,
            Scenario::Nodes(arguments) => nodes::measure(arguments).await,
            Scenario::Start(arguments) => start::measure(arguments).await,
            Scenario::Siege(arguments) => siege::measure(arguments).await,
            Scenario::Attacks => Ok(siege::attacks()),
        }
    }
}
