//! `tolmach dialect check`

use crate::dialect_folder::read_files;
use crate::dialects::DialectError;
use crate::error::{CliError, UsageError};
use std::path::PathBuf;
use tolmach_dialect::Dialect;

/// A line for each file, and one for each of its warnings. An error has all problems.
pub(super) fn run(files: &[PathBuf]) -> Result<String, CliError> {
    let compiled =
        read_files(files).map_err(|error| UsageError::from(DialectError::from(error)))?;
    let mut text = String::new();
    for (path, dialect) in files.iter().zip(compiled) {
        for warning in dialect.warnings() {
            text.push_str(&format!("{warning}\n"));
        }
        let (id, revision) = (dialect.manifest().id, dialect.revision());
        text.push_str(&format!(
            "{}: the revision {revision} of {id} can be served\n",
            path.display()
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dialect::new;

    fn checked(text: &str) -> Result<String, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.toml");
        std::fs::write(&path, text).unwrap();
        run(&[path])
    }

    #[test]
    fn a_new_file_passes_the_check_without_a_warning() {
        let text = checked(&new::run("own")).unwrap();
        assert!(text.ends_with("own.toml: the revision doc of own can be served\n"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn every_problem_is_a_line_with_its_place_and_the_exit_code_is_2() {
        let faulty = new::run("own").replace("<password>", "<pasword>");
        let error = checked(&faulty).unwrap_err();
        let lines = error.lines();
        // Two requests have a hole that does not exist, and none for the password.
        assert_eq!((lines.len(), error.exit_code()), (4, 2), "{lines:?}");
        for line in lines {
            assert!(line.starts_with("own.toml:") && line.contains("password"), "{line}");
        }
    }

    #[test]
    fn a_file_extends_one_beside_it_and_one_of_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let [base, own] = ["base.toml", "own.toml"].map(|name| folder.path().join(name));
        std::fs::write(base, new::run("own")).unwrap();
        for extended in ["base.toml", "mode-literal.toml"] {
            let text = format!("[dialect]\nextends = \"{extended}\"\nrevision = \"2\"\n");
            std::fs::write(&own, text).unwrap();
            let checked = run(std::slice::from_ref(&own)).unwrap();
            assert!(checked.contains("the revision 2 of"), "{checked}");
        }
    }
}
