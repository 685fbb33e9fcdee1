//! `tolmach bridge`

use super::serve::serve;
use crate::arguments::{BridgeArguments, Location, UpstreamDialect};
use crate::config::{Config, Sources};
use crate::dialects;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::upstreams;
use std::sync::Arc;
use tolmach_adapters::OsEntropy;
use tolmach_bridge::Bridge;
use tolmach_client::{Endpoint, Trust};

pub(crate) async fn run(
    location: &Location,
    arguments: &BridgeArguments,
) -> Result<String, CliError> {
    let mut config = config(location, arguments)?;
    let trust = Trust::new(arguments.upstream_ca.as_deref()).map_err(UsageError::UpstreamTrust)?;
    let wire = |endpoint: &Endpoint, named: &UpstreamDialect| {
        upstreams::server_wire(&config, endpoint.clone(), trust.clone(), named)
    };
    let mut wires = vec![wire(&arguments.upstream, &arguments.upstream_dialect)?];
    if let (Some(endpoint), Some(named)) = (&arguments.accounts, &arguments.accounts_dialect) {
        wires.push(wire(endpoint, named)?);
    }
    select(&mut config, &arguments.dialects)?;
    let entropy = Arc::new(OsEntropy::new()?);
    let bridge = Arc::new(Bridge::new("upstream", wires, upstreams::options(&config), entropy));
    if config.record.folder.as_os_str().is_empty() {
        // The folder of the store is removed at the end.
        config.record.folder = location.data.join("captures");
    }
    // The engine behind the bridge is never asked. It needs a store all the same.
    let folder = tempfile::tempdir().map_err(RuntimeError::TemporaryFolder)?;
    tracing::debug!(upstream = %arguments.upstream, "bridging");
    serve(config, folder.path(), Some(bridge)).await
}

/// The configuration of the gateway's file and environment, with a store of its own and no bus.
fn config(location: &Location, arguments: &BridgeArguments) -> Result<Config, UsageError> {
    let mut sources = Sources::gather(location.config.as_deref(), &location.data)?;
    let address = arguments.listen.address.clone();
    sources.flags.extend(address.map(|address| ("--listen", "http.listen", address)));
    for key in ["store.url", "bus.url", "mail.url", "blobs.url"] {
        sources.flags.push(("bridge", key, String::new()));
    }
    let mut config = Config::load(sources)?;
    config.ledger.enabled = false;
    // All users are those of one server.
    config.bridge.upstreams.clear();
    for section in config.dialects.by_id.values_mut() {
        // The ids of clients are the upstream's.
        section.ids = None;
    }
    Ok(config)
}

/// Leaves only the dialects of this list enabled, if it has any.
fn select(config: &mut Config, selected: &[String]) -> Result<(), UsageError> {
    if selected.is_empty() {
        return Ok(());
    }
    for id in selected {
        if !config.dialects.by_id.contains_key(id) {
            return Err(dialects::DialectError::Unknown { id: id.clone() }.into());
        }
    }
    for (id, section) in &mut config.dialects.by_id {
        section.enabled = selected.contains(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_selected_dialects_are_served() {
        let mut config = Config::with_file("");
        select(&mut config, &["mode".to_owned()]).unwrap();
        let enabled = config.dialects.by_id.iter().filter(|(_, section)| section.enabled);
        assert_eq!(enabled.map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["mode"]);
        assert!(select(&mut config, &["mood".to_owned()]).is_err());
    }
}
