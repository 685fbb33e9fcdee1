//! Comments: their extraction, and their first words.

/// Words that no comment begins with.
const QUESTIONS: [&str; 9] =
    ["What", "Whether", "Who", "Whose", "Whom", "Where", "How", "So", "Which"];

/// The markers of comment lines in Rust, the longer ones first.
const MARKERS: [&str; 3] = ["///", "//!", "//"];

/// The comment of a line that is one, in a language that has line comments.
pub(super) fn comment_of<'a>(extension: &str, line: &'a str) -> Option<&'a str> {
    let marker = match extension {
        "rs" => "//",
        "toml" | "sh" | "py" | "yml" | "yaml" => "#",
        _ => return None,
    };
    line.trim_start().strip_prefix(marker)
}

/// The first word of the comment paragraph that begins on `line`, if it is a question word. A
/// paragraph begins after a line that is not a comment with the same marker, or is an empty one.
pub(super) fn question_word(previous: Option<&str>, line: &str) -> Option<&'static str> {
    let (marker, text) = rust_comment(line)?;
    let is_continued = previous
        .and_then(rust_comment)
        .is_some_and(|(previous, text)| previous == marker && !text.trim().is_empty());
    if is_continued {
        return None;
    }
    let first = text.trim_start().split(|character: char| !character.is_alphanumeric()).next()?;
    QUESTIONS.into_iter().find(|word| *word == first)
}

/// The marker and the text of a comment line.
fn rust_comment(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    MARKERS.into_iter().find_map(|marker| Some((marker, line.strip_prefix(marker)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_words_at_the_beginning_of_a_paragraph_are_found() {
        for (previous, line, found) in [
            (None, "/// What it is.", Some("What")),
            (None, "    // Whether it is.", Some("Whether")),
            (None, "//! How: so.", Some("How")),
            (None, "//Where", Some("Where")),
            (None, "/// So.", Some("So")),
            (None, "/// Which one.", Some("Which")),
            (None, "/// Who's there.", Some("Who")),
            (None, "/// Whose.", Some("Whose")),
            (None, "/// Whom.", Some("Whom")),
            (Some("let a = 1;"), "// What.", Some("What")),
            (Some("///"), "/// What.", Some("What")),
            (Some("/// A line."), "// What.", Some("What")),
            (Some("//! A line."), "/// What.", Some("What")),
            (Some("/// A line, which states"), "/// What it is.", None),
            (None, "/// Whatever.", None),
            (None, "/// Sorted by id.", None),
            (None, "/// Howl.", None),
            (None, "/// The number, so that it is known.", None),
            (None, "/// what", None),
            (None, "let what = \"// What\";", None),
            (None, "What", None),
            (None, "", None),
        ] {
            assert_eq!(question_word(previous, line), found, "{previous:?}, {line:?}");
        }
    }
}
