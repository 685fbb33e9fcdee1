//! `tolmach flow`

use super::operator::with_backend;
use crate::arguments::{FlowCommand, Location};
use crate::backend::Backend;
use crate::error::{CliError, RuntimeError};
use tolmach_domain::{Fault, FlowId};
use tolmach_engine::ports::{FlowRetention, StoreError};

pub(crate) async fn run(location: &Location, command: FlowCommand) -> Result<String, CliError> {
    let FlowCommand::Retention { flow, retention } = command;
    with_backend(location, async |backend| match retention {
        Some(retention) => set_retention(backend, flow, retention).await,
        None => retention_of(backend, flow).await,
    })
    .await
}

async fn set_retention(
    backend: &Backend,
    flow: FlowId,
    retention: FlowRetention,
) -> Result<String, CliError> {
    backend
        .engine
        .set_flow_retention(flow, retention)
        .await
        .map_err(|error| absent(error, flow))?;
    Ok(String::new())
}

async fn retention_of(backend: &Backend, flow: FlowId) -> Result<String, CliError> {
    let retention = backend.engine.flow_retention(flow).await;
    Ok(match retention.map_err(|error| absent(error, flow))? {
        FlowRetention::OfKind => "default\n".to_owned(),
        FlowRetention::Forever => "forever\n".to_owned(),
        FlowRetention::Days(days) => format!("{days}\n"),
    })
}

fn absent(error: StoreError, flow: FlowId) -> RuntimeError {
    match error {
        StoreError::Refused(Fault::NoSuchFlow) => RuntimeError::NoSuchFlow(flow),
        error => error.into(),
    }
}
