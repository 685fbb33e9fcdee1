//! The crates that each crate may import, and those that it must never import.

use cargo_metadata::{DependencyKind, Metadata};

/// The imports of one package.
struct Row {
    /// The package without its prefix.
    package: &'static str,
    /// Packages of ours that it may import.
    may: &'static [&'static str],
    /// Packages of others that it must never import.
    never: &'static [&'static str],
}

/// Stands for every `dialect-…` crate but the kit.
const ANY_DIALECT: &str = "dialect-*";

/// Packages that the tests of every package may import; otherwise only where the row says so.
const FOR_TESTS: [&str; 2] = ["dialect-kit", "test-servers"];

const TABLE: [Row; 14] = [
    Row {
        package: "domain",
        may: &[],
        never: &["serde", "serde_json", "tokio", "http", "hyper", "sea-orm", "redis"],
    },
    Row {
        package: "engine",
        may: &["domain"],
        never: &["http", "hyper", "sea-orm", "redis", "tokio-tungstenite", "serde_json"],
    },
    Row {
        package: "dialect",
        may: &["domain"],
        never: &["tokio", "hyper", "tungstenite", "tokio-tungstenite", "sea-orm", "redis"],
    },
    Row {
        package: "dialect-kit",
        may: &["domain", "dialect"],
        never: &["tokio", "hyper", "tungstenite", "tokio-tungstenite"],
    },
    Row {
        package: ANY_DIALECT,
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
        package: "store",
        may: &["domain", "engine"],
        never: &["hyper", "tokio-tungstenite", "redis"],
    },
    Row {
        package: "bus",
        may: &["domain", "engine"],
        never: &["hyper", "tokio-tungstenite", "sea-orm"],
    },
    Row {
        package: "adapters",
        may: &["domain", "engine"],
        never: &["hyper", "tokio-tungstenite", "sea-orm", "redis", "toml", "clap"],
    },
    Row {
        package: "server",
        may: &["domain", "engine", "dialect"],
        never: &["sea-orm", "redis", "clap", "toml"],
    },
    Row { package: "client", may: &["domain", "dialect"], never: &["sea-orm", "redis"] },
    Row {
        package: "cli",
        may: &[
            "domain",
            "engine",
            "store",
            "bus",
            "adapters",
            "dialect",
            "server",
            "client",
            ANY_DIALECT,
        ],
        never: &["sea-orm", "redis", "hyper", "tokio-tungstenite"],
    },
    Row {
        package: "bench",
        may: &[
            "domain",
            "engine",
            "store",
            "bus",
            "dialect",
            "client",
            "cli",
            "dialect-kit",
            "test-servers",
        ],
        never: &[],
    },
    Row { package: "test-servers", may: &[], never: &["hyper", "sea-orm", "redis"] },
    Row { package: "xtask", may: &[], never: &[] },
];

/// Checks the crates of the workspace against the table.
pub(super) fn check(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata.workspace_packages() {
        let name = short_name(&package.name);
        let Some(row) = TABLE.iter().find(|row| matches_package(row.package, name)) else {
            problems.push(format!(
                "{}: the table in xtask/src/tidy/imports.rs has no row for it; \
                say what it may import",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let development = dependency.kind == DependencyKind::Development;
            problems.extend(
                judge(row, name, &dependency.name, development, dependency.path.is_some())
                    .map(|why| format!("{}: {why}", package.name)),
            );
        }
    }
    problems
}

/// The rule that a dependency breaks, if it breaks one.
fn judge(
    row: &Row,
    package: &str,
    dependency: &str,
    development: bool,
    ours: bool,
) -> Option<String> {
    if !ours {
        // A test may use what it likes of others' crates.
        let forbidden = !development && row.never.contains(&dependency);
        return forbidden.then(|| format!("must never import {dependency}"));
    }
    let imported = short_name(dependency);
    if FOR_TESTS.contains(&imported) && !row.may.contains(&imported) {
        return (!development).then(|| {
            format!("imports {dependency}, which is for tests: a dev-dependency is expected")
        });
    }
    let expected = row.may.iter().any(|may| matches_package(may, imported)) || imported == package;
    (!expected).then(|| {
        let may =
            if row.may.is_empty() { "none of our crates".to_owned() } else { row.may.join(", ") };
        format!("imports {imported}; it may import {may}")
    })
}

fn short_name(package: &str) -> &str {
    package.strip_prefix("tolmach-").unwrap_or(package)
}

fn matches_package(pattern: &str, package: &str) -> bool {
    match pattern {
        ANY_DIALECT => package.starts_with("dialect-") && package != "dialect-kit",
        exact => exact == package,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_enforced() {
        for (package, dependency, development, ours, part) in [
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
            ("bench", "tolmach-test-servers", false, true, None),
            ("cli", "tolmach-test-servers", false, true, Some("dev-dependency")),
            ("dialect-mode", "tolmach-dialect-kit", false, true, Some("dev-dependency")),
            ("dialect-mode", "tokio", false, false, Some("tokio")),
            ("store", "tolmach-bus", false, true, Some("imports bus")),
            ("bus", "tolmach-cli", false, true, Some("imports cli")),
            ("cli", "tolmach-dialect-mode", false, true, None),
            ("cli", "tolmach-dialect-kit", false, true, Some("dev-dependency")),
            ("store", "tolmach-test-servers", true, true, None),
            ("store", "tolmach-test-servers", false, true, Some("dev-dependency")),
            ("test-servers", "redis", false, false, Some("redis")),
        ] {
            let row = TABLE.iter().find(|row| matches_package(row.package, package)).unwrap();
            let found = judge(row, package, dependency, development, ours);
            match part {
                None => assert_eq!(found, None, "{package} imports {dependency}"),
                Some(part) => assert!(
                    found.as_ref().is_some_and(|found| found.contains(part)),
                    "{package} imports {dependency}: {found:?}"
                ),
            }
        }
    }

    #[test]
    fn every_crate_needs_a_row() {
        assert!(!TABLE.iter().any(|row| matches_package(row.package, "unheard-of")));
        assert!(
            matches_package(ANY_DIALECT, "dialect-sndmsg")
                && !matches_package(ANY_DIALECT, "dialect-kit")
                && !matches_package(ANY_DIALECT, "dialect")
        );
    }
}
