//! The list of dialects, for people.

use crate::config::Config;
use crate::configured_dialects::ConfiguredDialect;
use crate::table::table;
use tolmach_dialect::{Manifest, Transport};

/// A table with every dialect: its revisions, its endpoints, and what identifies its first frame on
/// shared paths.
pub(super) fn dialect_list(config: &Config, dialects: &[ConfiguredDialect]) -> String {
    let shared = config.routing.shared_paths.join(" ");
    let rows = dialects.iter().map(|configured| {
        let manifest = configured.dialect.manifest();
        let opening = manifest.opening.filter(|_| !shared.is_empty());
        [
            manifest.id.to_owned(),
            manifest.revisions.join(", "),
            if configured.is_enabled { endpoints(manifest) } else { "disabled".into() },
            opening.unwrap_or("-").to_owned(),
            manifest.summary.to_owned(),
        ]
    });
    let recognised_by = if shared.is_empty() {
        "RECOGNISED BY (no shared paths)".to_owned()
    } else {
        format!("RECOGNISED ON {shared} BY")
    };
    table(["DIALECT", "REVISIONS", "ENDPOINTS", &recognised_by, "SUMMARY"], rows)
}

fn endpoints(manifest: &Manifest) -> String {
    let endpoints = manifest.endpoints.iter().map(|endpoint| match endpoint.transport {
        Transport::WebSocket => format!("{} (WebSocket)", endpoint.path),
        Transport::Http => format!("{} (HTTP)", endpoint.path),
    });
    endpoints.collect::<Vec<_>>().join(", ")
}
