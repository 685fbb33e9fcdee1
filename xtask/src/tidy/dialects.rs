//! The parts of every dialect, and the lists of dialects.

use std::path::{Path, PathBuf};

/// The files of a dialect's crate: roles, and the conformance test.
const FILES: [&str; 5] =
    ["src/lib.rs", "src/wire.rs", "src/errors.rs", "src/server/mod.rs", "tests/conformance.rs"];

/// The one list of dialects in code, and the documents that name each of them.
const LIST: &str = "crates/cli/src/dialects.rs";
const DOCUMENTS: [&str; 2] = ["README.md", "docs/dialects.md"];

/// Checks every `crates/dialect-<d>`.
pub(super) fn check(root: &Path) -> Vec<String> {
    let mut crates: Vec<String> = entries(&root.join("crates"))
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .filter(|name| name.starts_with("dialect-") && name != "dialect-kit")
        .collect();
    crates.sort();
    crates.iter().flat_map(|name| check_dialect(root, name)).collect()
}

fn check_dialect(root: &Path, name: &str) -> Vec<String> {
    let id = name.trim_start_matches("dialect-");
    let folder = format!("crates/{name}");
    let (protocol, schemas) = (format!("protocols/{id}"), format!("schemas/{id}"));
    let mut problems = Vec::new();
    let files = FILES
        .iter()
        .map(|file| format!("{folder}/{file}"))
        .chain(["SPEC.md", "DEVIATIONS.toml"].map(|file| format!("{protocol}/{file}")));
    for file in files.filter(|file| !root.join(file).is_file()) {
        problems.push(format!("{file} is missing: every dialect has it"));
    }
    for (folder, kind) in [(format!("{protocol}/transcripts"), "txt"), (schemas, "json")] {
        let folders = std::iter::once(root.join(&folder))
            .chain(entries(&root.join(&folder)).filter(|path| path.is_dir()));
        let any = folders
            .flat_map(|folder| entries(&folder))
            .any(|path| path.extension().is_some_and(|extension| extension == kind));
        if !any {
            problems.push(format!("{folder} has no *.{kind}: every dialect has some"));
        }
    }
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let conformance = read(&format!("{folder}/tests/conformance.rs"));
    let called = code_lines(&conformance).any(|(_, line)| line.contains("conformance!("));
    if !conformance.is_empty() && !called {
        problems.push(format!("{folder}/tests/conformance.rs does not call conformance!(…)"));
    }
    for number in catch_alls(&read(&format!("{folder}/src/errors.rs"))) {
        problems.push(format!(
            "{folder}/src/errors.rs:{number}: an arm for every other fault; each is expected to be \
             named"
        ));
    }
    for (role, other) in [("server", "client"), ("client", "server")] {
        for file in sources(&root.join(&folder).join("src").join(role)) {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            for (number, line) in code_lines(&text) {
                if line.contains(&format!("crate::{other}"))
                    || line.contains(&format!("super::{other}"))
                {
                    let file = file.strip_prefix(root).unwrap_or(&file).display();
                    problems.push(format!("{file}:{number}: {role} must not import {other}"));
                }
            }
        }
    }
    if !read(LIST).contains(&format!("tolmach_dialect_{id}")) {
        problems.push(format!("{LIST} does not list {name}: it is served and tried nowhere"));
    }
    for document in DOCUMENTS {
        if !read(document).contains(&format!("`{id}`")) {
            problems.push(format!("{document} does not name `{id}`"));
        }
    }
    problems
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let (folders, files): (Vec<_>, Vec<_>) = entries(folder).partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| sources(folder));
    let mut sources: Vec<_> = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .chain(below)
        .collect();
    sources.sort();
    sources
}

/// The entries of a folder; none if there is no such folder.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Lines that are no comments, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// A `match` that is being read: how deep its arms are, whether they are about faults, and which
/// take whatever is left.
struct Match {
    depth: usize,
    faults: bool,
    catch_alls: Vec<usize>,
}

/// The lines of arms that take whatever is left of the faults. Reads formatted code: an arm begins
/// a line.
fn catch_alls(text: &str) -> Vec<usize> {
    let (mut found, mut open, mut depth) = (Vec::new(), Vec::<Match>::new(), 0_usize);
    for (number, line) in code_lines(text) {
        let code = line.trim();
        if let Some(current) = open.last_mut().filter(|current| current.depth == depth) {
            let pattern = code.split_once("=>").map_or(code, |(pattern, _)| pattern);
            let pattern = pattern.split(" if ").next().unwrap_or(pattern);
            let begins =
                code.contains("=>") || code.starts_with("Fault::") || code.starts_with("| ");
            current.faults |= begins && pattern.contains("Fault::");
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
            found.extend(closed.catch_alls.into_iter().filter(|_| closed.faults));
        }
        if code.ends_with('{')
            && code.split_whitespace().any(|word| word == "match" || word.ends_with("(match"))
        {
            open.push(Match { depth, faults: false, catch_alls: Vec::new() });
        }
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
    fn a_whole_dialect_is_tidy_and_the_kit_is_none() {
        let root = tempfile::tempdir().unwrap();
        dialect(root.path());
        fs::create_dir_all(root.path().join("crates/dialect-kit")).unwrap();
        assert_eq!(check(root.path()), [""; 0]);
    }

    #[test]
    fn whatever_is_missing_is_named() {
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
            let problems = check(root.path());
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
            let problems = check(root.path());
            assert!(problems.len() == 1 && problems[0].starts_with(file), "{problems:?}");
        }
    }

    #[test]
    fn the_sides_of_a_dialect_do_not_import_each_other() {
        let root = tempfile::tempdir().unwrap();
        dialect(root.path());
        let file = root.path().join("crates/dialect-toy/src/server/decode.rs");
        fs::write(file, "\nuse crate::client::Pending;\n").unwrap();
        let expected = "crates/dialect-toy/src/server/decode.rs:2: server must not import client";
        assert_eq!(check(root.path()), [expected]);
    }

    #[test]
    fn a_conformance_test_that_tests_nothing_is_found() {
        let root = tempfile::tempdir().unwrap();
        dialect(root.path());
        fs::write(
            root.path().join("crates/dialect-toy/tests/conformance.rs"),
            "// conformance!(toy());\n#[test] fn it() {}\n",
        )
        .unwrap();
        assert!(check(root.path())[0].contains("does not call"));
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
                    "        Fault::NoPhoto => match status {\n            404 => 1,\n            _ => 2,\n        },\n        _ => 3,",
                ),
                vec![7],
            ),
            (
                arms(
                    "        Fault::NoPhoto => match status {\n            404 => 1,\n            _ => 2,\n        },",
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
        assert!(check(root.path())[0].contains("errors.rs:4"));
    }
}
