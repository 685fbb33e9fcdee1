//! `tolmach dialect check`

use super::conformance::{Findings, findings};
use crate::config::{Config, Sources};
use crate::configured_dialects::configured_with;
use crate::dialect_folder::read_files;
use crate::dialects::{self, DialectError};
use crate::error::{CliError, UsageError};
use std::path::PathBuf;
use tolmach_dialect::{DOC, Dialect};
use tolmach_dialect_declared::Declared;

/// Of each file its warnings and notes, and a last line; before them the stories as the file plays
/// them, if `conversation` is true. An error has all problems of all files.
pub(super) fn run(files: &[PathBuf], conversation: bool) -> Result<String, CliError> {
    let named = UsageError::NamedDialect;
    let compiled = read_files(files).map_err(|error| named(DialectError::from(error)))?;
    check_together(&compiled)?;
    let mut text = String::new();
    let mut mistakes = Vec::new();
    for (path, dialect) in files.iter().zip(compiled) {
        let Findings { problems, notes, transcripts } = findings(&dialect);
        let mistake = |problem| UsageError::Conformance { path: path.clone(), problem };
        mistakes.extend(problems.into_iter().map(mistake));
        for transcript in transcripts.iter().filter(|_| conversation) {
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

/// Checks the files beside the dialects of the program, with the defaults of the configuration.
fn check_together(files: &[Declared]) -> Result<(), UsageError> {
    // A file of the document of such a dialect is compared with it, and served in its place.
    let ids = dialects::ids();
    let is_document = |file: &Declared| file.revision() == DOC && ids.contains(&file.manifest().id);
    let files = files.iter().filter(|file| !is_document(file)).cloned().collect();
    let config = Config::load(Sources::default())?;
    configured_with(&config, files).map_err(UsageError::NamedDialect)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dialect::new;

    fn checked(text: &str) -> Result<String, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.toml");
        std::fs::write(&path, text).unwrap();
        run(&[path], true)
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
    fn without_conversations_only_notes_and_the_result_are_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.toml");
        std::fs::write(&path, new::run("own")).unwrap();
        let text = run(&[path], false).unwrap();
        assert!(text.lines().all(|line| line.contains("own.toml: ")), "{text}");
    }

    #[test]
    fn a_file_that_claims_what_another_dialect_claims_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.toml");
        let own = new::run("own");
        let (head, rest) = own.split_once("[outcomes]").unwrap();
        let head: String = head
            .lines()
            .filter(|line| !line.starts_with("paths") && !line.starts_with("opens"))
            .map(|line| format!("{line}\n"))
            .collect();
        for (line, expected) in [
            ("opens = '{\"mode\": <_: string>}'", Some("mode and own claim one first frame")),
            ("opens = '{\"type\": <_: string>}'", Some("morelia and own claim one first frame")),
            ("opens = '{\"zzz\": <_: string>}'", None),
            ("paths = [\"/mode\"]", Some("mode and own are both at /mode")),
            ("paths = [\"/ws\"]", Some("own is at /ws, which is a path that dialects share")),
            ("paths = [\"/api/v1/chats\"]", Some("bearer and own are both at /api/v1/chats")),
            ("paths = [\"/own\"]", None),
        ] {
            std::fs::write(&path, format!("{head}{line}\n[outcomes]{rest}")).unwrap();
            let files = read_files(std::slice::from_ref(&path)).unwrap();
            let error = check_together(&files).err().map(CliError::from);
            let lines = error.map(|error| error.lines()).unwrap_or_default();
            match expected {
                None => assert!(lines.is_empty(), "{line}: {lines:?}"),
                Some(expected) => assert!(lines[0].starts_with(expected), "{line}: {lines:?}"),
            }
        }
    }

    #[test]
    fn two_files_that_claim_one_first_frame_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["one", "two"].map(|id| folder.path().join(format!("{id}.toml")));
        for (path, id) in paths.iter().zip(["one", "two"]) {
            std::fs::write(path, new::run(id).replace("# opens", "opens")).unwrap();
        }
        let error = run(&paths, false).unwrap_err();
        assert!(error.lines()[0].starts_with("one and two "), "{:?}", error.lines());
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
            let checked = run(std::slice::from_ref(&own), false).unwrap();
            assert!(checked.contains("the revision 2 of"), "{checked}");
        }
    }
}
