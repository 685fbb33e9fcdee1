//! `tolmach sunset`

use super::clients::Clients;
use super::report::{ClientRow, client_table};
use crate::arguments::Location;
use crate::backend::Backend;
use crate::commands::operator::load_config;
use crate::error::{CliError, RuntimeError};
use crate::ledger_arguments::{ReportFormat, Since, SunsetArguments};
use std::collections::HashSet;
use std::io::Write;
use tolmach_domain::UserId;

/// Tells who would have been cut off. Fails if there is a client.
pub(crate) async fn sunset(
    location: &Location,
    arguments: &SunsetArguments,
) -> Result<String, CliError> {
    let SunsetArguments { version, simulate: _, days, format } = arguments;
    let config = load_config(location)?;
    let backend = Backend::open(&config, &location.data).await?;
    let clients = Clients {
        version: Some(version.clone()),
        user: None,
        since: Since::Days(*days).day(backend.engine.now()),
    };
    let mut rows = Vec::new();
    let visited = clients.visit(&backend, |record| {
        rows.push(ClientRow::new(record));
        Ok(())
    });
    let visited = visited.await;
    backend.close().await;
    visited?;
    let text = match format {
        ReportFormat::Text if rows.is_empty() => String::new(),
        ReportFormat::Text => client_table(&rows),
        ReportFormat::Json => rows.iter().map(ClientRow::json).collect(),
    };
    match cut_off(&rows) {
        None => Ok(text),
        Some(error) => {
            std::io::stdout().write_all(text.as_bytes()).map_err(RuntimeError::Output)?;
            Err(error.into())
        }
    }
}

/// The clients that would be cut off, if there are any.
fn cut_off(rows: &[ClientRow]) -> Option<RuntimeError> {
    let users: HashSet<UserId> = rows.iter().filter_map(ClientRow::user).collect();
    (!rows.is_empty()).then(|| RuntimeError::CutOff {
        clients: rows.len(),
        users: users.len(),
        requests: rows.iter().map(|row| row.requests).sum(),
    })
}
