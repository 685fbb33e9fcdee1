//! Who imports whom: the table of the rooms.

use cargo_metadata::{DependencyKind, Metadata};

/// What one room may import of the others, and must never import at all.
struct Row {
    room: &'static str,
    may: &'static [&'static str],
    never: &'static [&'static str],
}

/// Stands for every `dialect-…` crate but the kit.
const ANY_DIALECT: &str = "dialect-*";

/// What any room's tests may import, and nothing else but a room whose row says so.
const FOR_TESTS: [&str; 2] = ["dialect-kit", "servers"];

const TABLE: [Row; 12] = [
    Row {
        room: "domain",
        may: &[],
        never: &["serde", "serde_json", "tokio", "http", "hyper", "sea-orm", "redis"],
    },
    Row {
        room: "engine",
        may: &["domain"],
        never: &["http", "hyper", "sea-orm", "redis", "tokio-tungstenite", "serde_json"],
    },
    Row {
        room: "dialect",
        may: &["domain"],
        never: &["tokio", "hyper", "tungstenite", "tokio-tungstenite", "sea-orm", "redis"],
    },
    Row {
        room: "dialect-kit",
        may: &["domain", "dialect"],
        never: &["tokio", "hyper", "tungstenite", "tokio-tungstenite"],
    },
    Row {
        room: ANY_DIALECT,
        may: &["domain", "dialect"],
        never: &[
            "tokio",
            "hyper",
            "hyper-util",
            "tungstenite",
            "tokio-tungstenite",
            "sea-orm",
            "redis",
            "getrandom",
            "time",
        ],
    },
    Row {
        room: "store",
        may: &["domain", "engine"],
        never: &["hyper", "tokio-tungstenite", "redis"],
    },
    Row {
        room: "bus",
        may: &["domain", "engine"],
        never: &["hyper", "tokio-tungstenite", "sea-orm"],
    },
    Row { room: "client", may: &["domain", "dialect"], never: &["sea-orm", "redis"] },
    Row {
        room: "gateway",
        may: &["domain", "engine", "store", "bus", "dialect", "client", ANY_DIALECT],
        never: &["sea-orm"],
    },
    Row {
        room: "bench",
        may: &["domain", "engine", "store", "bus", "dialect", "client", ANY_DIALECT, "servers"],
        never: &[],
    },
    Row { room: "servers", may: &[], never: &["hyper", "sea-orm", "redis"] },
    Row { room: "xtask", may: &[], never: &[] },
];

/// Checks the crates of the workspace against the table.
pub(super) fn check(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata.workspace_packages() {
        let room = room_of(&package.name);
        let Some(row) = TABLE.iter().find(|row| matches_room(row.room, room)) else {
            problems.push(format!("{}: the table in xtask/src/tidy/imports.rs has no row for it; say what it may import", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let development = dependency.kind == DependencyKind::Development;
            problems.extend(
                judge(row, room, &dependency.name, development, dependency.path.is_some())
                    .map(|why| format!("{}: {why}", package.name)),
            );
        }
    }
    problems
}

/// What is wrong with one dependency, if anything is.
fn judge(row: &Row, room: &str, dependency: &str, development: bool, ours: bool) -> Option<String> {
    if !ours {
        // A test may use what it likes of others' crates.
        let forbidden = !development && row.never.contains(&dependency);
        return forbidden.then(|| format!("must never import {dependency}"));
    }
    let imported = room_of(dependency);
    if FOR_TESTS.contains(&imported) && !row.may.contains(&imported) {
        return (!development).then(|| {
            format!("imports {dependency}, which is for tests: a dev-dependency is expected")
        });
    }
    let expected = row.may.iter().any(|may| matches_room(may, imported)) || imported == room;
    (!expected).then(|| {
        let may =
            if row.may.is_empty() { "none of our crates".to_owned() } else { row.may.join(", ") };
        format!("imports {imported}; it may import {may}")
    })
}

fn room_of(package: &str) -> &str {
    package.strip_prefix("tolmach-").unwrap_or(package)
}

fn matches_room(pattern: &str, room: &str) -> bool {
    match pattern {
        ANY_DIALECT => room.starts_with("dialect-") && room != "dialect-kit",
        exact => exact == room,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_enforced() {
        for (room, dependency, development, ours, part) in [
            ("domain", "thiserror", false, false, None),
            ("domain", "serde", false, false, Some("never import serde")),
            ("domain", "tolmach-engine", false, true, Some("imports engine")),
            ("engine", "tolmach-domain", false, true, None),
            ("engine", "tolmach-dialect", false, true, Some("imports dialect")),
            ("engine", "hyper", false, false, Some("hyper")),
            ("engine", "hyper", true, false, None),
            ("dialect", "tokio", false, false, Some("tokio")),
            ("dialect-mode", "tolmach-dialect", false, true, None),
            ("dialect-mode", "tolmach-dialect-bearer", false, true, Some("imports dialect-bearer")),
            ("dialect-mode", "tolmach-dialect-bearer", true, true, Some("imports dialect-bearer")),
            ("dialect-mode", "tolmach-store", false, true, Some("imports store")),
            ("dialect-mode", "tolmach-dialect-kit", true, true, None),
            ("bench", "tolmach-servers", false, true, None),
            ("gateway", "tolmach-servers", false, true, Some("dev-dependency")),
            ("dialect-mode", "tolmach-dialect-kit", false, true, Some("dev-dependency")),
            ("dialect-mode", "tokio", false, false, Some("tokio")),
            ("store", "tolmach-bus", false, true, Some("imports bus")),
            ("bus", "tolmach-gateway", false, true, Some("imports gateway")),
            ("gateway", "tolmach-dialect-mode", false, true, None),
            ("gateway", "tolmach-dialect-kit", false, true, Some("dev-dependency")),
            ("store", "tolmach-servers", true, true, None),
            ("store", "tolmach-servers", false, true, Some("dev-dependency")),
            ("servers", "redis", false, false, Some("redis")),
        ] {
            let row = TABLE.iter().find(|row| matches_room(row.room, room)).unwrap();
            let found = judge(row, room, dependency, development, ours);
            match part {
                None => assert_eq!(found, None, "{room} imports {dependency}"),
                Some(part) => assert!(
                    found.as_ref().is_some_and(|found| found.contains(part)),
                    "{room} imports {dependency}: {found:?}"
                ),
            }
        }
    }

    #[test]
    fn every_crate_needs_a_row() {
        assert!(!TABLE.iter().any(|row| matches_room(row.room, "unheard-of")));
        assert!(
            matches_room(ANY_DIALECT, "dialect-sndmsg")
                && !matches_room(ANY_DIALECT, "dialect-kit")
                && !matches_room(ANY_DIALECT, "dialect")
        );
    }
}
