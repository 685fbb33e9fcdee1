//! Texts that no file of the project may hold: paths of one machine, dates, ignored tests, silenced
//! lints, private words, wide lines, comments that begin with a question.

mod comments;
mod patterns;

use comments::{comment_of, question_word};
use patterns::{holds_date, holds_path, words};
use std::path::{Path, PathBuf};

/// Folders of one machine. In two parts each, so that this file does not hold them.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/"), concat!("/", "tmp/")];

/// Attributes that no code has, and the reasons or alternatives.
const ATTRIBUTES: [(&str, &str); 2] = [
    (concat!("#[", "ignore"), "a test runs or is not there"),
    (
        concat!("[", "allow("),
        "#[expect(lint, reason = \"…\")] is expected, and only where it is needed",
    ),
];

/// The widest line of Rust, in characters.
const WIDTH: usize = 100;

/// Words that name nothing in this field, in code and comments. `docs/architecture.md` and the
/// public documentation have the words that do.
const PRIVATE_WORDS: [&str; 8] =
    ["voice", "crowd", "audience", "nonsense", "owed", "lend", "whoever", "somebody"];

/// The file with those words.
const WORD_LIST: &str = "tidy/texts/mod.rs";

/// Checks files, given by their paths below the root.
pub(super) fn check(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| !is_data(file)) {
        // Files that are not UTF-8 hold no text.
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        problems.extend(check_text(file, &text));
    }
    problems
}

/// True for files whose contents are data: recorded frames, the output of a tool.
fn is_data(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "transcripts" || part.as_os_str() == "data")
        || file.ends_with("Cargo.lock")
}

fn check_text(file: &Path, text: &str) -> Vec<String> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let mut problems = Vec::new();
    let (mut previous, mut is_fenced) = (None, false);
    for (number, line) in (1..).zip(text.lines()) {
        let mut found = paths_in(line);
        if extension == "rs" {
            found.extend(problems_of_code(file, previous, line));
        }
        let is_fence = extension == "md" && line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        let is_prose = !is_fenced && !is_fence && !line.starts_with("    ");
        let prose = match extension {
            "md" => is_prose.then_some(line),
            _ => comment_of(extension, line),
        };
        if prose.is_some_and(holds_date) {
            found.push("a date; state facts that hold whenever they are read".to_owned());
        }
        let place = |problem| format!("{}:{number}: {problem}", file.display());
        problems.extend(found.into_iter().map(place));
        previous = Some(line);
    }
    problems
}

fn paths_in(line: &str) -> Vec<String> {
    let folders = MACHINE_FOLDERS.iter().filter(|folder| holds_path(line, folder));
    folders
        .map(|folder| format!("a path in {folder}, on one machine; use one below the project"))
        .collect()
}

/// The problems of a line of Rust.
fn problems_of_code(file: &Path, previous: Option<&str>, line: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (attribute, expected) in ATTRIBUTES {
        if line.trim_start().starts_with('#') && line.contains(attribute) {
            problems.push(format!("{attribute} is not used here: {expected}"));
        }
    }
    let width = line.chars().count();
    if width > WIDTH {
        problems.push(format!("{width} characters; at most {WIDTH} are expected"));
    }
    if !file.ends_with(WORD_LIST) {
        let private = words(line).filter(|word| PRIVATE_WORDS.contains(&&**word));
        problems.extend(
            private.map(|word| format!("the word {word:?}; use the standard term of the field")),
        );
    }
    if let Some(word) = question_word(previous, line) {
        problems.push(format!("the comment begins with {word:?}; begin with the noun"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: &str = concat!(
        "// 45678901234567890123456789012345678901234567890",
        "123456789012345678901234567890123456789012345678901"
    );

    #[test]
    fn forbidden_texts_are_found_and_nothing_else() {
        for (file, line, found) in [
            ("a.rs", concat!("let path = \"/", "work/main\";"), Some("on one machine")),
            ("a.md", concat!("See `/", "home/user/notes`."), Some("on one machine")),
            ("a.rs", concat!("let path = format!(\"{root}/", "tmp/x\");"), None),
            ("a.rs", concat!("target/", "tmp/x"), None),
            ("a.rs", concat!("    #[", "ignore]"), Some("a test runs")),
            ("a.rs", concat!("    #[", "ignore = \"later\"]"), Some("a test runs")),
            ("a.rs", concat!("#[", "allow(dead_code)]"), Some("#[expect(")),
            ("a.rs", concat!("#![", "allow(missing_docs)]"), Some("#[expect(")),
            ("a.rs", "#[expect(dead_code, reason = \"x\")]", None),
            ("a.rs", "struct Crowd;", Some("standard term")),
            ("a.rs", "struct Crowded;", None),
            ("a.md", "a crowd", None),
            ("a.rs", "/// Whether it is.", Some("begin with the noun")),
            ("a.rs", "/// True if it is.", None),
            ("a.md", "Whether it is.", None),
            ("a.rs", WIDE, Some("101 characters")),
            ("a.md", WIDE, None),
            ("a.rs", concat!("// clippy says #[", "allow(…)]"), None),
            ("a.rs", "// Fixed on 2001-02-03.", Some("a date")),
            ("a.rs", "/// `2001-02-03T00:00:00Z` to the second.", None),
            ("a.rs", "let time = \"2001-02-03\";", None),
            ("a.toml", "# since 03.02.2001", Some("a date")),
            ("a.toml", "rust-version = \"1.95\" # 1.2.3", None),
            ("a.md", "Written on 2001-02-03.", Some("a date")),
            ("a.md", "JSON Schema 2020-12, RFC 3339.", None),
            ("a.json", "{\"time\": \"2001-02-03\"}", None),
        ] {
            let problems = check_text(Path::new(file), line);
            match found {
                None => assert_eq!(problems, [""; 0], "{file}: {line}"),
                Some(part) => assert!(
                    problems.len() == 1 && problems[0].contains(part),
                    "{file}: {line}: {problems:?}"
                ),
            }
        }
    }

    #[test]
    fn a_comment_is_checked_at_the_beginning_of_each_paragraph() {
        let text =
            "/// A fact about\n/// What it is.\n///\n/// Where it is.\nlet a = 1;\n// How.\n";
        let problems = check_text(Path::new("a.rs"), text);
        let lines: Vec<_> =
            problems.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["a.rs:4", "a.rs:6"], "{problems:?}");
    }

    #[test]
    fn examples_in_documents_may_hold_dates() {
        let text = "A message:\n\n```json\n{\"time\": \"2001-02-03\"}\n```\n\n    > {\"time\": \
            \"2001-02-03\"}\n\nIt was 2001-02-03.\n";
        let problems = check_text(Path::new("SPEC.md"), text);
        assert!(problems.len() == 1 && problems[0].starts_with("SPEC.md:9"), "{problems:?}");
    }

    #[test]
    fn transcripts_are_data_and_bytes_are_no_text() {
        let root = tempfile::tempdir().unwrap();
        let files = ["protocols/toy/transcripts/chat.txt", "picture.png", "plain.txt"];
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(
                &path,
                [
                    concat!("/", "root/x").as_bytes(),
                    if file.ends_with("png") { &[0xff] } else { b"" },
                ]
                .concat(),
            )
            .unwrap();
        }
        let problems = check(root.path(), &files.map(PathBuf::from));
        assert!(problems.len() == 1 && problems[0].starts_with("plain.txt:1"), "{problems:?}");
    }
}
