//! `tolmach dialect check`

use super::conformance::{Findings, findings};
use crate::dialect_folder::read_files;
use crate::dialects::DialectError;
use crate::error::{CliError, UsageError};
use std::path::PathBuf;
use tolmach_dialect::Dialect;

/// Of each file the stories as it plays them, its warnings and notes, and a last line. An error has
/// all problems of all files.
pub(super) fn run(files: &[PathBuf]) -> Result<String, CliError> {
    let compiled =
        read_files(files).map_err(|error| UsageError::from(DialectError::from(error)))?;
    let mut text = String::new();
    let mut mistakes = Vec::new();
    for (path, dialect) in files.iter().zip(compiled) {
        let Findings { problems, notes, transcripts } = findings(&dialect);
        let mistake = |problem| UsageError::Conformance { path: path.clone(), problem };
        mistakes.extend(problems.into_iter().map(mistake));
        for transcript in transcripts {
            text.push_str(&format!("{transcript}\n"));
        }
        for warning in dialect.warnings() {
            text.push_str(&format!("{warning}\n"));
        }
        for note in notes {
            text.push_str(&format!("{}: note: {note}\n", path.display()));
        }
        let (id, revision) = (dialect.manifest().id, dialect.revision());
        text.push_str(&format!(
            "{}: the revision {revision} of {id} can be served\n",
            path.display()
        ));
    }
    if mistakes.is_empty() { Ok(text) } else { Err(UsageError::Several(mistakes).into()) }
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
        assert!(!text.contains("warning"), "{text}");
    }

    #[test]
    fn the_stories_are_printed_as_the_file_plays_them() {
        let text = checked(&new::run("own")).unwrap();
        for story in ["account", "chat", "group"] {
            assert!(
                text.contains(&format!("# The story \"{story}\" in the dialect own.")),
                "{text}"
            );
        }
        let sent = text.lines().filter(|line| line.starts_with("> {"));
        assert!(sent.count() > 5, "{text}");
        assert!(text.contains("own.toml: note: no frame for "), "{text}");
    }

    #[test]
    fn a_file_that_plays_none_of_the_stories_is_refused() {
        let text = new::run("own");
        let (head, _) = text.split_once("[[request.register]]").unwrap();
        let error = checked(&format!("{head}[[request.nothing]]\nname = \"ping\"\n")).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let lines = error.lines();
        let expected = "own.toml: there is no frame to attack with";
        assert!(lines.iter().all(|line| line.contains(expected)), "{lines:?}");
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
