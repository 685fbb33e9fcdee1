//! `tolmach dialect new`

/// A file with comments, for a dialect named `ID`.
const TEMPLATE: &str = include_str!("template.toml");

/// The text of a file to begin with.
pub(super) fn run(id: &str) -> String {
    TEMPLATE.replace("ID", id)
}
