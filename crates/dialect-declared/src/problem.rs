//! Problems of a file, each at its place.

use std::fmt;
use std::ops::Range;

/// A place in a file, as bytes from its beginning.
pub(crate) type Place = Range<usize>;

/// A problem of a file at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) place: Place,
    pub(crate) text: String,
    /// True if the file can be served all the same.
    pub(crate) is_warning: bool,
}

impl Problem {
    pub(crate) fn error(place: Place, text: impl Into<String>) -> Self {
        Self { place, text: text.into(), is_warning: false }
    }

    pub(crate) fn warning(place: Place, text: impl Into<String>) -> Self {
        Self { place, text: text.into(), is_warning: true }
    }
}

/// A problem of a dialect file, as a compiler names it: `FILE:LINE:COLUMN: TEXT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The problem, and what exists instead.
    pub text: String,
    /// True if the file can be served all the same.
    pub is_warning: bool,
}

impl Diagnostic {
    pub(crate) fn new(file: &str, source: &str, problem: Problem) -> Self {
        let start = problem.place.start.min(source.len());
        let before = source.get(..start).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            text: problem.text,
            is_warning: problem.is_warning,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, text, is_warning } = self;
        let warning = if *is_warning { "warning: " } else { "" };
        write!(formatter, "{file}:{line}:{column}: {warning}{text}")
    }
}

/// The problems for which a dialect file cannot be served; warnings are among them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct FileError(pub Vec<Diagnostic>);

/// The end of a message about a name that does not exist: the nearest one that does, or all.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let distance = |other: &&str| strsim::damerau_levenshtein(name, other);
    match names.clone().min_by_key(distance) {
        Some(near) if distance(&near) <= 1 + name.chars().count() / 3 => {
            format!("the nearest is {near}")
        }
        Some(_) => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
        None => "there is none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_names_line_and_column() {
        let source = "a = 1\nжж = '<x>'\n";
        for (place, expected) in [(0, "1:1"), (5, "1:6"), (6, "2:1"), (14, "2:7"), (99, "3:1")] {
            let problem = Problem::error(place..place + 1, "wrong");
            let diagnostic = Diagnostic::new("x.toml", source, problem);
            assert_eq!(diagnostic.to_string(), format!("x.toml:{expected}: wrong"), "{place}");
        }
        let warning = Diagnostic::new("x.toml", source, Problem::warning(0..1, "odd"));
        assert_eq!(warning.to_string(), "x.toml:1:1: warning: odd");
    }

    #[test]
    fn the_nearest_name_is_given_or_all() {
        let names = ["identifier", "password"];
        assert_eq!(nearest("identifer", names.into_iter()), "the nearest is identifier");
        assert_eq!(nearest("zzz", names.into_iter()), "there are identifier, password");
    }
}
