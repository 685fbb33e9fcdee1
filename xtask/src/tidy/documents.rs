//! Source paths that a document names exist.

use std::path::{Path, PathBuf};

/// Folders of the root that a path begins with. `tests` is not among them: every crate has one.
const ROOTS: [&str; 7] = ["crates", "config", "docs", "examples", "protocols", "schemas", "xtask"];

/// Checks the Markdown files among these, given by their paths below the root: each piece of inline
/// code that is a path into the code, such as `store/src/writer.rs`, exists below the root, below
/// `crates/` or beside the document.
pub(super) fn check(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "md")) {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            for path in line.split('`').skip(1).step_by(2).filter(|code| is_source_path(code)) {
                let beside = file.parent().unwrap_or(Path::new(""));
                let folders = [Path::new(""), Path::new("crates"), beside];
                if !folders.iter().any(|folder| root.join(folder).join(path).exists()) {
                    let file = file.display();
                    problems.push(format!("{file}:{number}: {path} does not exist"));
                }
            }
        }
    }
    problems
}

/// True for a path of a file or folder of the code. Paths with placeholders are none.
fn is_source_path(code: &str) -> bool {
    let plain = code.chars().all(|character| {
        character.is_ascii_alphanumeric() || matches!(character, '/' | '.' | '_' | '-')
    });
    let Some((first, rest)) = code.split_once('/') else { return false };
    plain && (rest.starts_with("src") || (ROOTS.contains(&first) && !rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        let root = tempfile::tempdir().unwrap();
        for file in ["crates/store/src/writer.rs", "docs/a.md"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        for (text, found) in [
            ("`store/src/writer.rs` and `crates/store/src`", 0),
            ("`store/src/reader.rs`, `docs/b.md`", 2),
            ("`protocols/<id>/SPEC.md`, `crates/dialect-*`, `/ws/chat/`, `tcp/ip`", 0),
            ("docs/b.md without backticks", 0),
        ] {
            std::fs::write(root.path().join("docs/a.md"), text).unwrap();
            assert_eq!(check(root.path(), &["docs/a.md".into()]).len(), found, "{text}");
        }
    }
}
