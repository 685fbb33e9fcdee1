//! `tolmach ledger`

use super::clients::Clients;
use super::report::{ClientRow, Sums, client_table, sentences};
use super::target::Target;
use crate::arguments::Location;
use crate::backend::Backend;
use crate::commands::operator::load_config;
use crate::error::{CliError, RuntimeError};
use crate::ledger_arguments::{LedgerArguments, LedgerRows, ReportFormat};
use std::io::Write;
use tolmach_domain::Fault;

pub(crate) async fn run(
    location: &Location,
    arguments: &LedgerArguments,
) -> Result<String, CliError> {
    let config = load_config(location)?;
    let target = arguments.target.as_ref();
    let target = target.map(|version| Target::load(&config, version)).transpose()?;
    let backend = Backend::open(&config, &location.data).await?;
    let report = report(&backend, arguments, target).await;
    backend.close().await;
    report
}

async fn report(
    backend: &Backend,
    arguments: &LedgerArguments,
    mut target: Option<Target<'_>>,
) -> Result<String, CliError> {
    let user = match &arguments.user {
        Some(login) => Some(backend.engine.account(login).await.map_err(|fault| match fault {
            Fault::NoSuchUser => RuntimeError::NoSuchAccount(login.clone()),
            fault => fault.into(),
        })?),
        None => None,
    };
    let clients = Clients {
        version: arguments.dialect.clone(),
        user: user.map(|user| user.id),
        since: arguments.since.day(backend.engine.now()),
    };
    if arguments.by != LedgerRows::Client {
        let mut sums = Sums::new(arguments.by);
        clients
            .visit(backend, |record| {
                if let Some(target) = &mut target {
                    target.missing(&record.client.dialect, &record.client.revision);
                }
                sums.add(&record);
                Ok(())
            })
            .await?;
        let missing = target.as_ref().map(Target::computed);
        return Ok(match arguments.format {
            ReportFormat::Json => sums.json(missing),
            ReportFormat::Text => sums.text(missing),
        });
    }
    let mut rows = Vec::new();
    clients
        .visit(backend, |record| {
            let mut row = ClientRow::new(record);
            if let Some(target) = &mut target {
                let (dialect, revision) = row.version();
                row.compare(target.missing(dialect, revision));
            }
            match arguments.format {
                // Each as it is read: there may be many.
                ReportFormat::Json => std::io::stdout()
                    .write_all(row.json().as_bytes())
                    .map_err(|error| RuntimeError::Output(error).into()),
                ReportFormat::Text => {
                    rows.push(row);
                    Ok(())
                }
            }
        })
        .await?;
    if arguments.format == ReportFormat::Json {
        return Ok(String::new());
    }
    let mut text = client_table(&rows);
    if let Some(target) = &target {
        text.push_str(&sentences(&rows, target.computed()));
    }
    Ok(text)
}
