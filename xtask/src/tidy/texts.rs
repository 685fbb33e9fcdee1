//! What no file of the project may hold: paths of somebody's machine, dates, tests that are put
//! off, silenced lints.

use std::path::{Path, PathBuf};

/// Folders that only exist on somebody's machine. Put together, so that this file does not hold
/// them.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/"), concat!("/", "tmp/")];

/// Attributes that no code carries, and what is expected instead.
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

/// True for files whose contents are data: what a wire says, what a tool writes.
fn is_data(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "transcripts" || part.as_os_str() == "data")
        || file.ends_with("Cargo.lock")
}

/// Checks files, given by their paths below the root.
pub(super) fn check(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| !is_data(file)) {
        // What is no text has no words.
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        problems.extend(check_text(file, &text));
    }
    problems
}

fn check_text(file: &Path, text: &str) -> Vec<String> {
    let kind = file.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
    let mut problems = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        let mut put = |what: String| problems.push(format!("{}:{number}: {what}", file.display()));
        for folder in MACHINE_FOLDERS.iter().filter(|folder| holds_path(line, folder)) {
            put(format!(
                "{folder} is a place on one machine; a path below the project is expected"
            ));
        }
        if kind == "rs" {
            let code = line.trim_start();
            for (attribute, expected) in ATTRIBUTES {
                if code.starts_with('#') && code.contains(attribute) {
                    put(format!("{attribute} is not used here: {expected}"));
                }
            }
        }
        if kind == "rs" {
            let width = line.chars().count();
            if width > WIDTH {
                put(format!("{width} characters; at most {WIDTH} are expected"));
            }
            let words = line.split(|character: char| !character.is_alphanumeric());
            for word in words {
                let word = word.to_lowercase();
                if PRIVATE_WORDS.contains(&&*word) && !file.ends_with("tidy/texts.rs") {
                    put(format!("the word {word:?}; the field's standard term is expected"));
                }
            }
        }
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence && kind == "md";
        let code_block = fenced || fence || line.starts_with("    ");
        let prose = if kind == "md" { (!code_block).then_some(line) } else { comment(kind, line) };
        if prose.is_some_and(|prose| holds_date(&without_code(prose))) {
            put("a date; what is true is expected, not when it was written".to_owned());
        }
    }
    problems
}

/// Whether a line holds an absolute path into this folder, and not one that merely ends like it.
fn holds_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| {
            before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '}' | '/' | '*')
        })
    })
}

/// The comment that a line is, in a language that has them.
fn comment<'a>(kind: &str, line: &'a str) -> Option<&'a str> {
    let mark = match kind {
        "rs" => "//",
        "toml" | "sh" | "py" | "yml" | "yaml" => "#",
        _ => return None,
    };
    line.trim_start().strip_prefix(mark)
}

/// Prose without what stands between backticks.
fn without_code(prose: &str) -> String {
    prose.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Whether there is a date such as `2001-02-03` or `03.02.2001`.
fn holds_date(prose: &str) -> bool {
    let shape: Vec<u8> =
        prose.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }).collect();
    [&b"0000-00-00"[..], b"00.00.0000"]
        .iter()
        .any(|date| shape.windows(date.len()).any(|window| window == *date))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: &str = concat!(
        "// 45678901234567890123456789012345678901234567890",
        "123456789012345678901234567890123456789012345678901"
    );

    #[test]
    fn what_no_file_may_hold_is_found_and_nothing_else() {
        for (file, line, found) in [
            ("a.rs", concat!("let path = \"/", "work/main\";"), Some("place on one machine")),
            ("a.md", concat!("See `/", "home/somebody/notes`."), Some("place on one machine")),
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
            ("a.rs", WIDE, Some("101 characters")),
            ("a.md", WIDE, None),
            ("a.rs", concat!("// clippy says #[", "allow(…)]"), None),
            ("a.rs", "// Fixed on 2001-02-03.", Some("a date")),
            ("a.rs", "/// `2001-02-03T00:00:00Z` to the second.", None),
            ("a.rs", "let moment = \"2001-02-03\";", None),
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
