//! The report of a run, in Markdown.

use super::figures::{Bound, CaseResult, median};
use super::results::ScenarioResults;
use super::rows::Row;
use crate::error::TaskResult;
use crate::machine::Machine;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The targets beside the figures, and the explanations of those that are missed. Without
/// `judge`, no figure is judged.
pub(super) fn table(rows: &[Row], results: &[ScenarioResults], judge: bool) -> TaskResult<String> {
    let mut lines =
        vec!["| figure | target | measured | |".to_owned(), "|---|---|---|---|".to_owned()];
    let mut missed: Vec<&Row> = Vec::new();
    for row in rows {
        let unit = row.unit;
        let target = match row.bound {
            Bound::AtMost(most) => format!("≤ {most:.2}{unit}"),
            Bound::AtLeast(least) => format!("≥ {least:.2}{unit}"),
        };
        let (measured, verdict) = match worst_case(row, results)? {
            WorstCase::NotRun => continue,
            WorstCase::Missing(reason) => (reason, "not measured"),
            // CPU time is counted in ticks of 10 ms: a short load may have used none.
            WorstCase::Figure(figure, _) if !figure.is_finite() => {
                ("too little to tell".to_owned(), "not judged")
            }
            WorstCase::Figure(figure, name) => {
                let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
                let verdict = match (judge, row.bound.is_met_by(figure)) {
                    (false, _) => "not judged",
                    (true, true) => "met",
                    (true, false) => {
                        missed.push(row);
                        "missed"
                    }
                };
                (format!("{figure:.2}{unit}{name}"), verdict)
            }
        };
        lines.push(format!("| {} | {target} | {measured} | {verdict} |", row.title));
    }
    if !missed.is_empty() {
        lines.push("\nThe missed targets, explained by profiles:\n".to_owned());
    }
    for row in missed {
        let explanation = if row.explanation.is_empty() { "not profiled" } else { row.explanation };
        lines.push(format!("- {}: {explanation}", row.title));
    }
    Ok(lines.join("\n") + "\n")
}

/// Every figure of every scenario.
pub(super) fn details(results: &[ScenarioResults]) -> String {
    let mut lines = vec![
        "| scenario | figure | Tolmach | baseline |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    for ScenarioResults { scenario, rounds } in results {
        lines.push(format!("| **{}** | {} | | |", scenario.name, scenario.title));
        let tolmach = medians(rounds.iter().map(|round| &round.tolmach));
        let baseline = medians(rounds.iter().map(|round| &round.baseline));
        let names: BTreeSet<&String> = tolmach.keys().chain(baseline.keys()).collect();
        for name in names {
            let cell = |figures: &BTreeMap<String, f64>| {
                figures.get(name).map(|figure| rounded(*figure)).unwrap_or_default()
            };
            lines.push(format!("| | {name} | {} | {} |", cell(&tolmach), cell(&baseline)));
        }
    }
    lines.join("\n") + "\n"
}

/// The contents of BENCH.md.
pub(super) fn document(report: &str, rounds: usize, machine: &Machine) -> String {
    let title = "# Tolmach beside the floor";
    let origin = format!("Made by `cargo xtask bench`: {rounds} rounds, medians. {machine}");
    [title, &origin, report.trim_end(), METHOD].join("\n\n")
}

/// The method of measurement, for the end of BENCH.md.
const METHOD: &str = "\
The floor is a bare hyper and tokio-tungstenite server that broadcasts or echoes the same bytes,
with one task and one bounded queue per connection and one flush for all queued messages. Servers
run on one half of the cores, their clients on the other, PostgreSQL and Redis on both; plain
inserts run on the servers' half. CPU is user and system time of the server's process, from the
operating system; with Tolmach it includes committing each message to disk. Memory is the growth of
resident memory, divided by the connections, after each client has come and gone once, so that
bounded caches do not count. `single` is one message in flight, `many` 32, `paced` 20,000 deliveries
a second. The proxy that a bridge is compared with is the floor, which copies
messages between two WebSockets; the time that a program adds is the median through it less that of
the gateway alone, with a store in memory. The ledger's part is the CPU of a request with a ledger
less that without. A recording that is off is what all other rows measure.
Where a row has several cases, the worst is judged, and named. A ratio
is the median of the rounds' ratios.
";

/// The case of a row that is furthest from its bound.
enum WorstCase<'r> {
    NotRun,
    Missing(String),
    Figure(f64, &'r str),
}

fn worst_case<'r>(row: &'r Row, results: &[ScenarioResults]) -> TaskResult<WorstCase<'r>> {
    let mut worst: Option<(f64, &str)> = None;
    for case in &row.cases {
        match case.evaluate(results)? {
            CaseResult::NotRun => {}
            CaseResult::Missing(reason) => return Ok(WorstCase::Missing(reason)),
            CaseResult::Figure(figure) => {
                let is_worst = worst.is_none_or(|(worst, _)| {
                    row.bound.is_worse(figure, worst) || !figure.is_finite()
                });
                if is_worst {
                    worst = Some((figure, &case.name));
                }
            }
        }
    }
    Ok(worst.map_or(WorstCase::NotRun, |(figure, name)| WorstCase::Figure(figure, name)))
}

/// Three digits of small figures, and all digits before the point of large ones.
fn rounded(figure: f64) -> String {
    let digits = if figure.abs() < 10.0 { 2 } else { usize::from(figure.abs() < 100.0) };
    if figure.fract() == 0.0 { format!("{figure:.0}") } else { format!("{figure:.digits$}") }
}

/// The median of each figure of these rounds, by the keys that lead to it.
fn medians<'a>(rounds: impl Iterator<Item = &'a Value>) -> BTreeMap<String, f64> {
    let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    rounds.for_each(|round| collect(String::new(), round, &mut figures));
    figures.into_iter().map(|(name, figures)| (name, median(figures))).collect()
}

fn collect(name: String, value: &Value, figures: &mut BTreeMap<String, Vec<f64>>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let name = if name.is_empty() { key.clone() } else { format!("{name} {key}") };
                collect(name, value, figures);
            }
        }
        Value::Number(number) => figures.entry(name).or_default().extend(number.as_f64()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Round;
    use crate::bench::{rows, scenarios};
    use serde_json::json;

    fn storm(storm: f64, calm: f64) -> Vec<ScenarioResults> {
        let mut all = scenarios::all(&[]).into_iter();
        let scenario = all.find(|scenario| scenario.name == "storm").unwrap();
        let tolmach = json!({
            "storm": { "delivery_us_p99": storm },
            "calm": { "delivery_us_p99": calm },
            "sample": "x",
        });
        vec![ScenarioResults { scenario, rounds: vec![Round { tolmach, baseline: Value::Null }] }]
    }

    #[test]
    fn figures_are_judged_by_the_bound_and_rows_that_were_not_run_are_left_out() {
        for (ratio, judge, verdict) in [
            (1.5, true, "1.50 | met"),
            (1.6, true, "1.60 | missed"),
            (1.6, false, "1.60 | not judged"),
        ] {
            let table = table(&rows::all(&[]), &storm(ratio, 1.0), judge).unwrap();
            assert!(table.contains(&format!("| ≤ 1.50 | {verdict} |")), "{ratio}: {table}");
            assert_eq!(
                table.contains("- p99 delivery during a storm"),
                verdict.ends_with("missed"),
                "{table}"
            );
            assert_eq!(table.lines().filter(|line| line.starts_with('|')).count(), 3, "{table}");
        }
        let table = table(&rows::all(&[]), &storm(0.0, 0.0), true).unwrap();
        assert!(table.contains("| too little to tell | not judged |"), "{table}");
    }

    #[test]
    fn details_have_every_figure() {
        let details = details(&storm(12.345, 1000.5));
        assert!(
            details.contains(
                "| | calm delivery_us_p99 | 1000 |  |\n| | storm delivery_us_p99 | 12.3 |  |\n"
            ),
            "{details}"
        );
    }
}
