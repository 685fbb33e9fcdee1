//! The table of a run.

use crate::ledger::Findings;

/// The findings of one scenario.
pub(crate) struct Row {
    pub(crate) scenario: &'static str,
    pub(crate) rounds: u64,
    pub(crate) findings: Findings,
    /// The largest resident size of a gateway, in bytes.
    pub(crate) peak_memory: u64,
}

const HEADINGS: [&str; 9] = [
    "scenario",
    "rounds",
    "acknowledged",
    "missing",
    "duplicates",
    "inversions",
    "gaps",
    "slowest recovery, s",
    "peak memory, MiB",
];

/// The rows as a table in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or_default())
        .collect();
    let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("|");
    let mut table: Vec<String> = lines.iter().map(|cells| aligned(cells, &widths)).collect();
    table.insert(1, format!("|{rule}|"));
    table.join("\n")
}

fn cells(row: &Row) -> [String; 9] {
    let Findings { acknowledged, missing, duplicates, inversions, gaps, recovery, .. } =
        &row.findings;
    [
        row.scenario.to_owned(),
        row.rounds.to_string(),
        acknowledged.to_string(),
        missing.to_string(),
        duplicates.to_string(),
        inversions.to_string(),
        gaps.to_string(),
        format!("{:.2}", recovery.as_secs_f64()),
        (row.peak_memory >> 20).to_string(),
    ]
}

/// The first cell is aligned to the left, the numbers to the right.
fn aligned(cells: &[String; 9], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
        if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    });
    format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
}
