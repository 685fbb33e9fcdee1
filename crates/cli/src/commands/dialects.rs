//! `tolmach dialects`

use super::{Failure, configure, table};
use crate::cli::Place;
use crate::config::Config;
use tolmach_dialect::{Manifest, Transport};

pub(super) fn run(place: &Place) -> Result<String, Failure> {
    Ok(list(&configure(place)?))
}

/// Every dialect: its revisions, its doors, and what identifies it on the shared ones.
pub(super) fn list(config: &Config) -> String {
    let shared = config.doors.shared.join(" ");
    let on_shared = |manifest: &Manifest| {
        manifest.opening.filter(|_| !shared.is_empty()).map_or("-", |keys| keys).to_owned()
    };
    let rows = crate::dialects::all().into_iter().map(|dialect| {
        let manifest = dialect.manifest();
        let enabled = config.dialects.get(manifest.id).is_some_and(|options| options.enabled);
        let doors = manifest.doors.iter().map(|door| match door.transport {
            Transport::WebSocket => format!("{} (WebSocket)", door.path),
            Transport::Http => format!("{} (HTTP)", door.path),
        });
        let doors = if enabled { doors.collect::<Vec<_>>().join(", ") } else { "disabled".into() };
        [
            manifest.id.to_owned(),
            manifest.revisions.join(", "),
            doors,
            on_shared(manifest),
            manifest.summary.to_owned(),
        ]
    });
    let known_by = if shared.is_empty() {
        "KNOWN BY (no shared doors)".to_owned()
    } else {
        format!("KNOWN ON {shared} BY")
    };
    table(["DIALECT", "REVISIONS", "DOORS", &known_by, "SUMMARY"], rows)
}
