//! The report for programs.

use crate::report::model::Report;

/// The report as one JSON object, with the fields of [`Report`].
pub fn json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report)
        .expect("a report has texts, numbers and lists, which JSON can always hold");
    text.push('\n');
    text
}
