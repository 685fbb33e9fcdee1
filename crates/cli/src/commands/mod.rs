//! The commands of the command line: one file each. Each gives back what it prints.

mod check;
mod copy;
mod demo;
mod dialects;
mod migrate;
mod serve;
mod token;
mod user;

use crate::cli::{Address, Cli, Command, Place};
use crate::config::{Config, ConfigError};
use crate::logging;
use crate::ports::KeyError;
use crate::world::World;
use tolmach_domain::{Fault, Secret};
use tolmach_engine::ports::{PortError, StoreError};

/// Why a command did not do what it was asked, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What was configured or asked cannot be; one line a mistake.
    Configuration(String),
    /// It went wrong.
    Failed(String),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error.to_string())
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Configuration(error.to_string())
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.to_string())
    }
}

/// Runs a command; what it gives back goes to standard output.
pub(crate) async fn run(cli: Cli) -> Result<String, Failure> {
    let Cli { place, command, address } = cli;
    match command.unwrap_or(Command::Serve(address)) {
        Command::Serve(address) => serve::run(&place, &address).await,
        Command::Check(address) => check::run(&place, &address).await,
        Command::Migrate => migrate::run(&place).await,
        Command::Copy { from, to } => copy::run(&place, &Secret::new(from), &Secret::new(to)).await,
        Command::User(command) => user::run(&place, command).await,
        Command::Token { login } => token::run(&place, &login).await,
        Command::Dialects => dialects::run(&place),
        Command::Demo => demo::run().await,
    }
}

/// The configuration for an operator's command, which logs only what is amiss unless the operator
/// chose otherwise.
fn configure(place: &Place) -> Result<Config, Failure> {
    let mut config = place.load(&Address::default())?;
    if config.log.filter == "info" {
        config.log.filter = "warn".into();
    }
    logging::start(&config.log)
        .map_err(|error| Failure::Configuration(format!("`log.filter`: {error}")))?;
    Ok(config)
}

/// Does one thing in the world, beside a gateway that may be running in it.
async fn in_world<T>(
    place: &Place,
    work: impl AsyncFnOnce(&World) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let config = configure(place)?;
    let world = World::open(&config, &place.data).await?;
    let done = work(&world).await;
    world.close().await;
    done
}

/// Rows below a heading, in columns as wide as they need to be.
fn table<const N: usize>(
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = std::iter::once(heading.map(str::to_owned)).chain(rows).collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect::<Vec<_>>();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [["1".into(), "толмач".into(), "x".into()], ["22".into(), "a".into(), String::new()]];
        assert_eq!(super::table(["ID", "LOGIN", ""], rows), "ID  LOGIN\n1   толмач  x\n22  a\n");
    }
}
