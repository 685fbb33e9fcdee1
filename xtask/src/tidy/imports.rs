//! The crates that each crate may import, and those that it must never import.

use crate::project::{dialect_id, short_name};
use cargo_metadata::{DependencyKind, Metadata};

/// The imports of one package.
struct Row {
    /// The package without its prefix.
    package: &'static str,
    /// Packages of the workspace that it may import.
    may: &'static [&'static str],
    /// Packages from elsewhere that it must never import, but for its tests.
    never: &'static [&'static str],
}

/// The pattern of every dialect's package.
const ANY_DIALECT: &str = "dialect-*";

/// Packages for tests: a dev-dependency of any package, any other dependency only by its row.
const FOR_TESTS: [&str; 2] = ["dialect-kit", "test-servers"];

/// Packages of the workspace that a package may import for its tests only.
const IN_TESTS: [(&str, &str); 5] = [
    ("dialect-declared", ANY_DIALECT),
    ("capture", ANY_DIALECT),
    ("capture", "dialect-declared"),
    ("migration", ANY_DIALECT),
    ("migration", "dialect-declared"),
];

const TABLE: [Row; 19] = [
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
        package: "dialect-declared",
        may: &["domain", "dialect"],
        never: &["tokio", "hyper", "tungstenite", "tokio-tungstenite", "sea-orm", "redis", "time"],
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
    Row { package: "world", may: &["domain"], never: &["tokio", "sea-orm", "redis", "clap"] },
    Row {
        package: "capture",
        may: &["domain", "dialect"],
        never: &["tokio", "hyper", "tungstenite", "tokio-tungstenite", "sea-orm", "redis", "clap"],
    },
    Row {
        package: "migration",
        may: &["domain", "dialect", "capture"],
        never: &["tokio", "hyper", "tungstenite", "tokio-tungstenite", "sea-orm", "redis", "clap"],
    },
    Row {
        package: "bridge",
        may: &["domain", "engine", "dialect", "server", "client", "migration"],
        never: &["sea-orm", "redis", "clap", "toml"],
    },
    Row { package: "client", may: &["domain", "dialect", "capture"], never: &["sea-orm", "redis"] },
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
            "world",
            "bridge",
            "capture",
            "migration",
            "dialect-declared",
            "dialect-kit",
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
            "adapters",
            "dialect",
            "dialect-declared",
            "cli",
            "dialect-kit",
            "test-servers",
        ],
        never: &[],
    },
    Row { package: "test-servers", may: &[], never: &["hyper", "sea-orm", "redis"] },
    Row { package: "xtask", may: &[], never: &[] },
];

/// Checks the packages of the workspace against the table.
pub(super) fn check(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata.workspace_packages() {
        let name = short_name(&package.name);
        let Some(row) = TABLE.iter().find(|row| matches_package(row.package, name)) else {
            problems.push(format!(
                "{}: no row in the table of xtask/src/tidy/imports.rs; add one with its imports",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let import = Import {
                name: &dependency.name,
                is_for_tests: dependency.kind == DependencyKind::Development,
                is_in_workspace: dependency.path.is_some(),
            };
            let violation = violation(row, name, &import);
            problems.extend(violation.map(|violation| format!("{}: {violation}", package.name)));
        }
    }
    problems
}

/// A dependency of a package.
struct Import<'a> {
    name: &'a str,
    is_for_tests: bool,
    is_in_workspace: bool,
}

/// The rule that an import violates.
fn violation(row: &Row, package: &str, import: &Import<'_>) -> Option<String> {
    let Import { name, is_for_tests, is_in_workspace } = *import;
    if !is_in_workspace {
        let forbidden = !is_for_tests && row.never.contains(&name);
        return forbidden.then(|| format!("must never import {name}"));
    }
    let imported = short_name(name);
    if FOR_TESTS.contains(&imported) && !row.may.contains(&imported) {
        return (!is_for_tests)
            .then(|| format!("imports {name}, which is for tests: make it a dev-dependency"));
    }
    let in_tests = IN_TESTS.iter().any(|(importer, may)| {
        is_for_tests && *importer == row.package && matches_package(may, imported)
    });
    let allowed =
        row.may.iter().any(|may| matches_package(may, imported)) || imported == package || in_tests;
    (!allowed).then(|| {
        let may = match row.may {
            [] => "no package of the workspace".to_owned(),
            may => may.join(", "),
        };
        format!("imports {imported}; it may import {may}")
    })
}

fn matches_package(pattern: &str, package: &str) -> bool {
    match pattern {
        ANY_DIALECT => dialect_id(package).is_some(),
        exact => exact == package,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_enforced() {
        for (package, name, is_for_tests, is_in_workspace, part) in [
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
            ("dialect-declared", "tolmach-dialect-mode", true, true, None),
            ("dialect-declared", "tolmach-dialect-mode", false, true, Some("imports dialect-mode")),
            ("bench", "tolmach-test-servers", false, true, None),
            ("bench", "tolmach-dialect-mode", false, true, Some("imports dialect-mode")),
            ("cli", "tolmach-test-servers", false, true, Some("dev-dependency")),
            ("dialect-mode", "tolmach-dialect-kit", false, true, Some("dev-dependency")),
            ("dialect-mode", "tokio", false, false, Some("tokio")),
            ("store", "tolmach-bus", false, true, Some("imports bus")),
            ("bus", "tolmach-cli", false, true, Some("imports cli")),
            ("cli", "tolmach-dialect-mode", false, true, None),
            ("cli", "tolmach-dialect-kit", false, true, None),
            ("server", "tolmach-dialect-kit", false, true, Some("dev-dependency")),
            ("store", "tolmach-test-servers", true, true, None),
            ("store", "tolmach-test-servers", false, true, Some("dev-dependency")),
            ("test-servers", "redis", false, false, Some("redis")),
        ] {
            let row = TABLE.iter().find(|row| matches_package(row.package, package)).unwrap();
            let import = Import { name, is_for_tests, is_in_workspace };
            let found = violation(row, package, &import);
            match part {
                None => assert_eq!(found, None, "{package} imports {name}"),
                Some(part) => assert!(
                    found.as_ref().is_some_and(|found| found.contains(part)),
                    "{package} imports {name}: {found:?}"
                ),
            }
        }
    }

    #[test]
    fn the_table_has_one_row_for_every_dialect_and_none_for_unknown_packages() {
        for (package, rows) in
            [("unheard-of", 0), ("dialect-sndmsg", 1), ("dialect-kit", 1), ("dialect", 1)]
        {
            let found = TABLE.iter().filter(|row| matches_package(row.package, package));
            assert_eq!(found.count(), rows, "{package}");
        }
    }
}
