//! Servers behind a bridge, as the configuration and the command line name them.

use crate::arguments::UpstreamDialect;
use crate::config::{Config, NamedUpstream};
use crate::dialects;
use crate::error::UsageError;
use std::sync::Arc;
use tolmach_bridge::{Bridge, BridgeOptions, Wire};
use tolmach_client::{Endpoint, Trust};
use tolmach_dialect::{Dialect, OptionTable};
use tolmach_engine::HERE;
use tolmach_engine::ports::Entropy;
use tolmach_server::Upstream;

/// A server with its name.
type Named = (String, Arc<dyn Upstream>);

/// The servers of the sections `bridge.<name>`, each behind a bridge of its own.
pub(crate) fn named(config: &Config, entropy: &Arc<dyn Entropy>) -> Result<Vec<Named>, UsageError> {
    let bridged = |(name, wires): (String, Vec<Wire>)| {
        let bridge = Bridge::new(&name, wires, options(config), entropy.clone());
        (name, Arc::new(bridge) as _)
    };
    Ok(wires_of_all(config)?.into_iter().map(bridged).collect())
}

/// The wires of the servers of the sections `bridge.<name>`.
pub(crate) fn wires_of_all(config: &Config) -> Result<Vec<(String, Vec<Wire>)>, UsageError> {
    let wires = |(name, section): (&String, &NamedUpstream)| {
        Ok((name.clone(), wires(config, name, section)?))
    };
    config.bridge.upstreams.iter().map(wires).collect()
}

fn wires(config: &Config, name: &str, section: &NamedUpstream) -> Result<Vec<Wire>, UsageError> {
    let is_plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    if name == HERE || !begins || !name.bytes().all(is_plain) {
        return Err(UsageError::UpstreamName(name.to_owned()));
    }
    let NamedUpstream { url, dialect, accounts, accounts_dialect, ca } = section;
    let of_name = |source| UsageError::Upstream { name: name.to_owned(), source: Box::new(source) };
    let ca = Some(ca.as_path()).filter(|ca| !ca.as_os_str().is_empty());
    let trust = Trust::new(ca).map_err(UsageError::UpstreamCa).map_err(of_name)?;
    let wire = |(url_key, url): (&'static str, &str), (dialect_key, id): (&'static str, &str)| {
        for (key, value) in [(url_key, url), (dialect_key, id)] {
            if value.is_empty() {
                return Err(UsageError::UpstreamKey { name: name.to_owned(), key });
            }
        }
        let endpoint = url.parse().map_err(|source| {
            let (name, key) = (name.to_owned(), url_key);
            UsageError::UpstreamUrl { name, key, source }
        })?;
        let Ok(named) = id.parse::<UpstreamDialect>();
        server_wire(config, endpoint, trust.clone(), &named).map_err(of_name)
    };
    let mut wires = vec![wire(("url", url), ("dialect", dialect))?];
    if !accounts.is_empty() || !accounts_dialect.is_empty() {
        wires.push(wire(("accounts", accounts), ("accounts_dialect", accounts_dialect))?);
    }
    Ok(wires)
}

/// The wire of a server.
pub(crate) fn server_wire(
    config: &Config,
    endpoint: Endpoint,
    trust: Trust,
    named: &UpstreamDialect,
) -> Result<Wire, UsageError> {
    Ok(Wire { endpoint, trust, dialect: upstream_dialect(config, named)? })
}

/// The dialect of a server, with its options.
fn upstream_dialect(
    config: &Config,
    named: &UpstreamDialect,
) -> Result<Arc<dyn Dialect>, UsageError> {
    let section = config.dialects.by_id.get(&named.id);
    let options = section.map_or_else(OptionTable::new, |section| section.options.clone());
    let dialect = dialects::at_revision(&named.id, named.revision(), options)?;
    match dialect.client() {
        Some(_) => Ok(dialect),
        None => Err(UsageError::NoClientSide(named.id.clone())),
    }
}

/// The options of a bridge.
pub(crate) fn options(config: &Config) -> BridgeOptions {
    let bridge = &config.bridge;
    BridgeOptions {
        connect_timeout: bridge.connect_timeout,
        answer_timeout: bridge.answer_timeout,
        max_message_bytes: bridge.max_message_bytes,
        max_sessions: u64::from(bridge.max_sessions),
        session_lifetime: bridge.session_lifetime,
        max_idle_connections: u64::from(bridge.max_idle_connections),
        idle_timeout: bridge.idle_timeout,
        mirror_queue_bytes: bridge.mirror_queue_bytes,
        ping_interval: config.keepalive.ping_interval,
        ..BridgeOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_engine::ErrorChain;

    #[test]
    fn the_options_of_the_library_are_the_defaults_of_the_configuration() {
        assert_eq!(options(&Config::with_file("")), BridgeOptions::default());
    }

    #[test]
    fn servers_are_named_by_sections_and_a_mistake_names_its_key() {
        let found = |file: &str| {
            let config = Config::with_file(file);
            let wires = wires_of_all(&config).map_err(|error| ErrorChain(&error).to_string())?;
            Ok::<_, String>(wires.into_iter().map(|(name, wires)| (name, wires.len())).collect())
        };
        let old = "[bridge.old]\nurl = \"ws://a:1\"\ndialect = \"morelia\"\n";
        let both = format!(
            "{old}[bridge.older]\nurl = \"ws://b:1\"\ndialect = \"action\"\n\
             accounts = \"http://c:1\"\naccounts_dialect = \"bearer\"\n"
        );
        assert_eq!(found(&both), Ok(vec![("old".to_owned(), 1), ("older".to_owned(), 2)]));
        for (file, expected) in [
            ("[bridge.old]\ndialect = \"mode\"", "`bridge.old.url` is missing"),
            ("[bridge.old]\nurl = \"ws://a:1\"", "`bridge.old.dialect` is missing"),
            ("[bridge.old]\nurl = \"a\"\ndialect = \"mode\"", "`bridge.old.url`: "),
            (&format!("{old}accounts = \"http://c\""), "`bridge.old.accounts_dialect` is missing"),
            (&old.replace("morelia", "mood"), "there is no dialect \"mood\""),
            (&old.replace("old", "here"), "`bridge.here`: a name has lowercase letters"),
            (&old.replace("old", "Old"), "`bridge.Old`: a name has lowercase letters"),
        ] {
            let error = found(file).map(|_: Vec<(String, usize)>| ()).unwrap_err();
            assert!(error.contains(expected), "{file}: {error}");
        }
    }
}
