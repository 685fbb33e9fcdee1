//! Patterns in a line: paths, words and dates.

/// True if a line holds an absolute path into this folder, and not one that merely ends like it.
pub(super) fn holds_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(index, _)| {
        let before = line[..index].chars().next_back();
        !before.is_some_and(|before| {
            before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '}' | '/' | '*')
        })
    })
}

/// The words of a line, in lower case.
pub(super) fn words(line: &str) -> impl Iterator<Item = String> {
    line.split(|character: char| !character.is_alphanumeric()).map(str::to_lowercase)
}

/// True if there is a date such as `2001-02-03` or `03.02.2001`, but for text between backticks.
pub(super) fn holds_date(prose: &str) -> bool {
    let prose = prose.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let shape: Vec<u8> =
        prose.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }).collect();
    [&b"0000-00-00"[..], b"00.00.0000"]
        .iter()
        .any(|date| shape.windows(date.len()).any(|window| window == *date))
}
