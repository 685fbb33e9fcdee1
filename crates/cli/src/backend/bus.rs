//! The bus between gateways.

use crate::config::Config;
use crate::configured_dialects::configured_dialects;
use crate::error::UsageError;
use std::sync::Arc;
use tolmach_bus::{DEFAULT_CAPACITY, RedisBus};
use tolmach_engine::ports::Entropy;

/// The Redis bus that is configured; `None` if there is one gateway. Connects in the background.
pub(super) fn redis_bus(
    config: &Config,
    entropy: &dyn Entropy,
) -> Result<Option<Arc<RedisBus>>, UsageError> {
    let bus = &config.bus;
    if bus.url.expose().is_empty() {
        return Ok(None);
    }
    let mut node = [0; 8];
    entropy.fill(&mut node);
    let dialects = configured_dialects(config)?;
    let options = tolmach_bus::Options {
        prefix: bus.prefix.clone(),
        sharded: bus.sharded,
        queue_bytes: bus.queue_bytes,
        capacity: DEFAULT_CAPACITY,
        node: u64::from_be_bytes(node),
        dialects: dialects.iter().map(|one| one.dialect.manifest().id).collect(),
    };
    Ok(Some(Arc::new(RedisBus::open(bus.url.expose(), options)?)))
}

/// The bus that is configured, for people. Nothing is opened.
pub(crate) fn describe_bus(config: &Config) -> Result<String, UsageError> {
    let bus = &config.bus;
    if bus.url.expose().is_empty() {
        return Ok("within this process".into());
    }
    let servers = RedisBus::servers(bus.url.expose(), bus.sharded)?;
    let (redis, channels) =
        if bus.sharded { ("Redis Cluster", "sharded channels") } else { ("Redis", "channels") };
    Ok(format!("{redis} at {servers}, {channels} {}*", bus.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_engine::ErrorChain;

    #[test]
    fn the_bus_is_described_without_its_password() {
        for (file, expected) in [
            ("", "within this process"),
            ("url = \"redis://:hunter2@host\"", "Redis at host:6379, channels tolmach:*"),
            (
                "url = \"redis://:hunter2@a,redis://:hunter2@b:7\"\nsharded = true\n\
                 prefix = \"x.\"",
                "Redis Cluster at a:6379, b:7, sharded channels x.*",
            ),
        ] {
            let config = Config::with_file(&format!("[bus]\n{file}"));
            assert_eq!(describe_bus(&config).unwrap(), expected, "{file}");
        }
        let config = Config::with_file("[bus]\nurl = \"nats://:hunter2@host\"");
        let error = describe_bus(&config).unwrap_err();
        let text = ErrorChain(&error).to_string();
        assert!(text.starts_with("`bus.url`: ") && !text.contains("hunter2"), "{text}");
    }
}
