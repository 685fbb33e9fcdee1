//! Circles between files: no two files of a program import each other, directly or through others.
//!
//! Reads the sources as text: paths that begin with `crate`, `super`, `self` or a child module are
//! resolved to the file that defines the named item, also through re-exports. A re-export alone is
//! no import, so `lib.rs` and `mod.rs` may declare and re-export. Modules of unit tests do not
//! count. Errs towards finding nothing: paths that it cannot resolve are skipped.

mod graph;
mod lexer;
mod modules;

use crate::files::entries;
use graph::circles;
use modules::{Files, Module};
use std::path::{Path, PathBuf};

/// The folders with a program in each file, or in each folder with a `main.rs`.
const PROGRAM_FOLDERS: [&str; 4] = ["src/bin", "benches", "tests", "examples"];

/// Checks every crate below `root`, its programs and its tests, and those in `tests`; a line for
/// each circle.
pub(super) fn check(root: &Path) -> Vec<String> {
    let mut folders = entries(&root.join("crates"));
    folders.extend([root.join("xtask"), root.join("tests/fuzz")]);
    let mut roots: Vec<PathBuf> = folders.iter().flat_map(|folder| root_files(folder)).collect();
    roots.extend(entries(&root.join("tests")).iter().map(|folder| folder.join("main.rs")));
    roots.iter().flat_map(|file| check_program(root, file)).collect()
}

/// The files of a crate that a compilation begins with.
fn root_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![folder.join("src/lib.rs"), folder.join("src/main.rs")];
    for programs in PROGRAM_FOLDERS {
        for entry in entries(&folder.join(programs)) {
            files.push(if entry.is_dir() { entry.join("main.rs") } else { entry });
        }
    }
    files.retain(|file| file.is_file());
    files
}

/// Checks the files that a root file leads to.
fn check_program(root: &Path, file: &Path) -> Vec<String> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = Files::default();
    files.add(file, vec![name]);
    let shown = |module: &Module| {
        let file = files.path(module);
        file.strip_prefix(root).unwrap_or(file).display().to_string()
    };
    circles(&files.imports())
        .iter()
        .map(|circle| {
            let mut names: Vec<String> = circle.iter().map(shown).collect();
            names.extend(names.first().cloned());
            format!("files import each other: {}", names.join(" -> "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join("crates/toy/src").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        check(root.path()).into_iter().map(|line| line.replace("crates/toy/src/", "")).collect()
    }

    #[test]
    fn files_that_import_each_other_are_found() {
        let lib = ("lib.rs", "mod a;\nmod b;\nmod c;\n");
        let a = |text| ("a.rs", text);
        for (name, files, found) in [
            ("directly", vec![lib, a("use crate::b::B;"), ("b.rs", "use crate::a::A;")], true),
            (
                "by a path",
                vec![lib, a("fn f() -> crate::b::B {}"), ("b.rs", "use super::a;")],
                true,
            ),
            (
                "through another file",
                vec![
                    lib,
                    a("use crate::{b::B, c};"),
                    ("b.rs", "pub struct B;"),
                    ("c.rs", "use super::a::A;"),
                ],
                true,
            ),
            ("one way", vec![lib, a("use crate::b::B;"), ("b.rs", "pub struct B;")], false),
            (
                "a re-export leads to the file of its item",
                vec![
                    ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::*;"),
                    a("use crate::B;\npub struct A;"),
                    ("b.rs", "pub struct B;"),
                ],
                false,
            ),
            (
                "a circle through re-exports",
                vec![
                    ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::*;"),
                    a("use crate::B;\npub struct A;"),
                    ("b.rs", "use crate::A;\npub struct B;"),
                ],
                true,
            ),
            (
                "a parent that uses its child, which uses the parent",
                vec![("lib.rs", "mod a;\nuse a::A;\nstruct B;"), a("use super::B;\npub struct A;")],
                true,
            ),
            (
                "a parent that re-exports its child",
                vec![("lib.rs", "mod a;\npub use a::A;\nstruct B;"), a("use super::B;")],
                false,
            ),
            (
                "a parent that re-exports its child and uses it",
                vec![
                    ("lib.rs", "mod a;\npub use a::A;\nstruct B(A);"),
                    a("use super::B;\npub struct A;"),
                ],
                true,
            ),
            (
                "tests do not count",
                vec![
                    lib,
                    a("use crate::b::B;"),
                    ("b.rs", "#[cfg(test)]\nmod tests {\nuse crate::a;}"),
                ],
                false,
            ),
            (
                "comments and strings do not count",
                vec![
                    lib,
                    a("use crate::b::B;"),
                    (
                        "b.rs",
                        "// crate::a::A\nconst X: &str = \"crate::a::A\"; struct Y<'a>(&'a u8);",
                    ),
                ],
                false,
            ),
        ] {
            let circles = circles_of(&files);
            assert_eq!(!circles.is_empty(), found, "{name}: {circles:?}");
        }
    }

    #[test]
    fn a_circle_is_named_by_its_files() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b;\nuse b::B;\npub struct A;"),
            ("a/b.rs", "use super::A;"),
        ];
        assert_eq!(circles_of(&files), ["files import each other: a/mod.rs -> a/b.rs -> a/mod.rs"]);
    }
}
