//! Large worlds: what reading and membership cost where users, flows and messages are many.
//!
//! Builds a world by SQL in a new database of each kind, measures the store in this process, and
//! prints a table with the aims. CPU is that of this process, which has SQLite in it, and that of
//! PostgreSQL's processes, for each operation. `cargo xtask bench --large` runs it.

mod housekeeping;
mod measure;
mod result;
mod rows;
mod senders;
mod target;
mod world;
mod writes;

use clap::Parser;
use measure::{Meter, Row};
use result::LargeResult;
use rows::Measuring;
use std::io::Write;
use std::sync::Arc;
use target::{Kind, Target};
use tolmach_bus::InProcess;
use tolmach_engine::ports::Store;
use tolmach_store::{Options, SqlStore};
use tolmach_test_servers::{Durability, Postgres};
use world::{Size, World};

/// Builds large worlds, measures them, and prints a table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Small worlds, to prove in seconds that it works
    #[arg(long)]
    short: bool,
    /// Measure only the rows whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Measure this kind of database only
    #[arg(long)]
    store: Option<Kind>,
}

#[tokio::main]
async fn main() -> LargeResult<()> {
    let arguments = Arguments::parse();
    let size = if arguments.short { Size::SHORT } else { Size::WHOLE };
    let mut table = String::from(
        "| row | store | time | CPU | CPU of PostgreSQL | aim | |\n|---|---|---|---|---|---|---|\n",
    );
    for kind in [Kind::Sqlite, Kind::Postgres] {
        if arguments.store.is_some_and(|only| only != kind) {
            continue;
        }
        if let (Kind::Postgres, Some(missing)) = (kind, Postgres::missing()) {
            tolmach_test_servers::skipped(&missing);
            continue;
        }
        for row in measure(kind, size, &arguments.only).await? {
            table.push_str(&row.line(kind.name(), !arguments.short));
        }
    }
    write!(std::io::stdout(), "{table}")?;
    Ok(())
}

/// Measures the rows whose name contains `only`, in new databases.
async fn measure(kind: Kind, size: Size, only: &str) -> LargeResult<Vec<Row>> {
    let mut rows = Vec::new();
    if rows::is_any_of(only) {
        rows.extend(measure_world(kind, size, only).await?);
    }
    if "housekeeping".contains(only) {
        rows.extend(housekeeping::measure(kind, size).await?);
    }
    if kind == Kind::Postgres && "writes".contains(only) {
        rows.extend(writes::measure(size.load).await?);
    }
    Ok(rows)
}

/// Builds a world in a new database and measures its rows.
async fn measure_world(kind: Kind, size: Size, only: &str) -> LargeResult<Vec<Row>> {
    let target = Target::start(kind, Durability::Fast)?;
    let url = &target.url;
    let world = World::build(url, size).await?;
    let store = SqlStore::open(url, Arc::new(InProcess::default()), Options::default()).await?;
    let meter = Meter { server: target.server.as_ref() };
    let rows = Measuring { store: &store, world: &world, meter }.measure(only).await?;
    store.close().await;
    Ok(rows)
}
