//! The parts of every dialect, and the lists of dialects.

use crate::files::{entries, has_extension};
use std::path::{Path, PathBuf};

/// The files of a dialect's crate.
const FILES: [&str; 5] =
    ["src/lib.rs", "src/wire.rs", "src/errors.rs", "src/server/mod.rs", "tests/conformance.rs"];

/// The files of a dialect's protocol.
const PROTOCOL_FILES: [&str; 2] = ["SPEC.md", "DEVIATIONS.toml"];

/// The one list of dialects in code.
const LIST: &str = "crates/cli/src/dialects.rs";

/// The documents that name each dialect.
const DOCUMENTS: [&str; 2] = ["README.md", "docs/dialects.md"];

/// The roles of a dialect's code, which do not import each other.
const ROLES: [(&str, &str); 2] = [("server", "client"), ("client", "server")];

/// Checks the dialects with these ids.
pub(super) fn check(root: &Path, ids: &[String]) -> Vec<String> {
    let check = |id: &String| {
        let dialect = Dialect { root, id, folder: format!("crates/dialect-{id}") };
        [
            dialect.missing_files(),
            dialect.empty_folders(),
            dialect.conformance(),
            dialect.catch_all_arms(),
            dialect.imports_between_roles(),
            dialect.missing_mentions(),
        ]
        .concat()
    };
    ids.iter().flat_map(check).collect()
}

/// One dialect of the project.
struct Dialect<'a> {
    root: &'a Path,
    id: &'a str,
    /// The folder of its crate, below the root.
    folder: String,
}

impl Dialect<'_> {
    fn missing_files(&self) -> Vec<String> {
        let Self { root, id, folder } = self;
        let of_crate = FILES.map(|file| format!("{folder}/{file}"));
        let of_protocol = PROTOCOL_FILES.map(|file| format!("protocols/{id}/{file}"));
        let files = of_crate.into_iter().chain(of_protocol);
        files
            .filter(|file| !root.join(file).is_file())
            .map(|file| format!("{file} is missing: every dialect has it"))
            .collect()
    }

    fn empty_folders(&self) -> Vec<String> {
        let Self { root, id, .. } = self;
        let folders =
            [(format!("protocols/{id}/transcripts"), "txt"), (format!("schemas/{id}"), "json")];
        let is_empty = |folder: &String, extension: &str| {
            let top = entries(&root.join(folder));
            let below = top.iter().flat_map(|path| entries(path));
            !top.iter().cloned().chain(below).any(|path| has_extension(&path, extension))
        };
        folders
            .iter()
            .filter(|(folder, extension)| is_empty(folder, extension))
            .map(|(folder, extension)| {
                format!("{folder} has no *.{extension}: every dialect has some")
            })
            .collect()
    }

    fn conformance(&self) -> Vec<String> {
        let file = format!("{}/tests/conformance.rs", self.folder);
        let text = self.read(&file);
        let is_called = code_lines(&text).any(|(_, line)| line.contains("conformance!("));
        if text.is_empty() || is_called {
            return Vec::new();
        }
        vec![format!("{file} does not call conformance!(…)")]
    }

    fn catch_all_arms(&self) -> Vec<String> {
        let file = format!("{}/src/errors.rs", self.folder);
        let lines = catch_alls(&self.read(&file)).into_iter();
        lines
            .map(|line| {
                format!("{file}:{line}: an arm for every other fault; name each of them instead")
            })
            .collect()
    }

    fn imports_between_roles(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (role, other) in ROLES {
            let paths = [format!("crate::{other}"), format!("super::{other}")];
            for file in sources(&self.root.join(&self.folder).join("src").join(role)) {
                let file = file.strip_prefix(self.root).unwrap_or(&file).display().to_string();
                for (number, line) in code_lines(&self.read(&file)) {
                    if paths.iter().any(|path| line.contains(path)) {
                        problems.push(format!("{file}:{number}: {role} must not import {other}"));
                    }
                }
            }
        }
        problems
    }

    fn missing_mentions(&self) -> Vec<String> {
        let id = self.id;
        let mut problems = Vec::new();
        if !self.read(LIST).contains(&format!("tolmach_dialect_{id}")) {
            problems.push(format!("{LIST} does not list {id}: it is neither served nor tested"));
        }
        for document in DOCUMENTS {
            if !self.read(document).contains(&format!("`{id}`")) {
                problems.push(format!("{document} does not name `{id}`"));
            }
        }
        problems
    }

    /// The text of a file below the root; empty if there is no such file.
    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.root.join(file)).unwrap_or_default()
    }
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let (folders, files): (Vec<_>, Vec<_>) =
        entries(folder).into_iter().partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| sources(folder));
    files.into_iter().filter(|path| has_extension(path, "rs")).chain(below).collect()
}

/// The lines that are not comments, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// A `match` whose end has not been read.
struct Match {
    /// The depth of its arms, in braces.
    depth: usize,
    /// True if an arm names a fault.
    names_faults: bool,
    /// The lines of arms for all remaining patterns.
    catch_alls: Vec<usize>,
}

/// The lines of arms for all remaining faults. Reads formatted code: every arm begins a line.
fn catch_alls(text: &str) -> Vec<usize> {
    let (mut found, mut open, mut depth) = (Vec::new(), Vec::<Match>::new(), 0_usize);
    for (number, line) in code_lines(text) {
        let code = line.trim();
        if let Some(current) = open.last_mut().filter(|current| current.depth == depth) {
            let pattern = code.split_once("=>").map_or(code, |(pattern, _)| pattern);
            let pattern = pattern.split(" if ").next().unwrap_or(pattern);
            let begins =
                code.contains("=>") || code.starts_with("Fault::") || code.starts_with("| ");
            current.names_faults |= begins && pattern.contains("Fault::");
            if code.contains("=>")
                && pattern.split('|').any(|alternative| alternative.trim() == "_")
            {
                current.catch_alls.push(number);
            }
        }
        for byte in code.bytes() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        while let Some(closed) = open.pop_if(|current| depth < current.depth) {
            found.extend(closed.catch_alls.into_iter().filter(|_| closed.names_faults));
        }
        if code.ends_with('{')
            && code.split_whitespace().any(|word| word == "match" || word.ends_with("(match"))
        {
            open.push(Match { depth, names_faults: false, catch_alls: Vec::new() });
        }
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn check_toy(root: &Path) -> Vec<String> {
        check(root, &["toy".to_owned()])
    }

    fn dialect(root: &Path) {
        for file in FILES {
            let path = root.join("crates/dialect-toy").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "conformance!(toy());\n").unwrap();
        }
        for (file, text) in [
            ("protocols/toy/SPEC.md", "# Toy"),
            ("protocols/toy/DEVIATIONS.toml", ""),
            ("protocols/toy/transcripts/chat.txt", ""),
            ("schemas/toy/a.request.json", "{}"),
            ("crates/cli/src/dialects.rs", "tolmach_dialect_toy::Toy,"),
            ("README.md", "`toy`"),
            ("docs/dialects.md", "`toy`"),
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn a_whole_dialect_is_tidy() {
        let root = tempfile::tempdir().unwrap();
        dialect(root.path());
        assert_eq!(check_toy(root.path()), [""; 0]);
    }

    #[test]
    fn a_missing_file_is_named() {
        for missing in [
            "crates/dialect-toy/src/lib.rs",
            "crates/dialect-toy/src/wire.rs",
            "crates/dialect-toy/src/errors.rs",
            "crates/dialect-toy/src/server/mod.rs",
            "crates/dialect-toy/tests/conformance.rs",
            "protocols/toy/SPEC.md",
            "protocols/toy/DEVIATIONS.toml",
            "protocols/toy/transcripts/chat.txt",
            "schemas/toy/a.request.json",
        ] {
            let root = tempfile::tempdir().unwrap();
            dialect(root.path());
            fs::remove_file(root.path().join(missing)).unwrap();
            let problems = check_toy(root.path());
            let folder = missing.rsplit_once('/').unwrap().0;
            assert!(
                problems.len() == 1
                    && (problems[0].contains(missing) || problems[0].contains(folder)),
                "{missing}: {problems:?}"
            );
        }
    }

    #[test]
    fn a_dialect_that_is_not_listed_is_found() {
        for file in ["crates/cli/src/dialects.rs", "README.md", "docs/dialects.md"] {
            let root = tempfile::tempdir().unwrap();
            dialect(root.path());
            fs::write(root.path().join(file), "another").unwrap();
            let problems = check_toy(root.path());
            assert!(problems.len() == 1 && problems[0].starts_with(file), "{problems:?}");
        }
    }

    #[test]
    fn roles_that_import_each_other_are_found() {
        let root = tempfile::tempdir().unwrap();
        dialect(root.path());
        let file = root.path().join("crates/dialect-toy/src/server/decode.rs");
        fs::write(file, "\nuse crate::client::Pending;\n").unwrap();
        let expected = "crates/dialect-toy/src/server/decode.rs:2: server must not import client";
        assert_eq!(check_toy(root.path()), [expected]);
    }

    #[test]
    fn a_conformance_test_without_trials_is_found() {
        let root = tempfile::tempdir().unwrap();
        dialect(root.path());
        fs::write(
            root.path().join("crates/dialect-toy/tests/conformance.rs"),
            "// conformance!(toy());\n#[test] fn it() {}\n",
        )
        .unwrap();
        assert!(check_toy(root.path())[0].contains("does not call"));
    }

    #[test]
    fn an_arm_for_every_other_fault_is_found() {
        let arms = |arms: &str| {
            format!("fn status(fault: &Fault) -> u16 {{\n    match fault {{\n{arms}\n    }}\n}}\n")
        };
        for (text, found) in [
            (arms("        Fault::NoPhoto => 404,\n        _ => 500,"), vec![4]),
            (arms("        Fault::NoPhoto => 404,\n        Fault::Internal | _ => 500,"), vec![4]),
            (arms("        Fault::NoPhoto => 404,\n        _ if strange => 500,"), vec![4]),
            (
                arms(
                    "        Fault::NoPhoto\n        | Fault::NoSuchFlow => 404,\n        _ => \
                        500,",
                ),
                vec![5],
            ),
            (
                arms(
                    "        Fault::NoPhoto => match status {\n            404 => 1,\n            \
                        _ => 2,\n        },\n        _ => 3,",
                ),
                vec![7],
            ),
            (
                arms(
                    "        Fault::NoPhoto => match status {\n            404 => 1,\n            \
                        _ => 2,\n        },",
                ),
                vec![],
            ),
            (arms("        Fault::Invalid { field: _, .. } => 422,\n        // _ => 500,"), vec![]),
            (arms("        404 => Fault::NoPhoto,\n        _ => Fault::Internal,"), vec![]),
        ] {
            assert_eq!(catch_alls(&text), found, "{text}");
        }
        let root = tempfile::tempdir().unwrap();
        dialect(root.path());
        fs::write(
            root.path().join("crates/dialect-toy/src/errors.rs"),
            arms("        Fault::NoPhoto => 404,\n        _ => 500,"),
        )
        .unwrap();
        assert!(check_toy(root.path())[0].contains("errors.rs:4"));
    }
}
