//! What a reader is shown.

use super::measured::{Measured, Outcome};
use super::rows::{Bound, Judged, Row, median};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

/// What is to be reached and what was measured, side by side; and of what is missed, why.
pub(super) fn table(rows: &[Row], measured: &[Measured], judge: bool) -> Outcome<String> {
    let mut text = String::from("| what | target | measured | |\n|---|---|---|---|\n");
    let mut missed: Vec<&Row> = Vec::new();
    for row in rows {
        let unit = row.unit;
        let target = match row.bound {
            Bound::AtMost(most) => format!("≤ {most:.2}{unit}"),
            Bound::AtLeast(least) => format!("≥ {least:.2}{unit}"),
        };
        let (mut worst, mut lacks): (Option<(f64, &str)>, _) = (None, None);
        for case in &row.cases {
            match case.judge(measured)? {
                Judged::Absent => {}
                Judged::Missing(why) => lacks = Some(why),
                Judged::Figure(figure) => {
                    // The clock of CPU time ticks every 10 ms, which little work does not reach:
                    // that is no figure to judge.
                    if worst.is_none_or(|(worst, _)| {
                        row.bound.is_worse(figure, worst) || !figure.is_finite()
                    }) {
                        worst = Some((figure, &case.name));
                    }
                }
            }
        }
        let (figure, verdict) = match (worst, lacks) {
            (_, Some(why)) => (why, "not measured"),
            (None, None) => continue,
            (Some((figure, _)), None) if !figure.is_finite() => {
                ("too little to tell".to_owned(), "not judged")
            }
            (Some((figure, name)), None) => {
                let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
                let verdict = match (judge, row.bound.holds(figure)) {
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
        writeln!(text, "| {} | {target} | {figure} | {verdict} |", row.title)?;
    }
    if !missed.is_empty() {
        writeln!(text, "\nWhat is missed, by the profiles that were made of it:\n")?;
    }
    for row in missed {
        let bounded_by = if row.bounded_by.is_empty() { "not profiled" } else { row.bounded_by };
        writeln!(text, "- {}: {bounded_by}", row.title)?;
    }
    Ok(text)
}

/// Every figure of every scenario.
pub(super) fn details(measured: &[Measured]) -> Outcome<String> {
    let mut text = String::from("| scenario | figure | Tolmach | beside it |\n|---|---|---|---|\n");
    for Measured { scenario, rounds } in measured {
        writeln!(text, "| **{}** | {} | | |", scenario.name, scenario.title)?;
        let ours = medians(rounds.iter().map(|round| &round.ours));
        let beside = medians(rounds.iter().map(|round| &round.beside));
        let paths: std::collections::BTreeSet<_> = ours.keys().chain(beside.keys()).collect();
        for path in paths {
            let shown = |of: &BTreeMap<String, f64>| {
                of.get(path).map(|figure| shown(*figure)).unwrap_or_default()
            };
            writeln!(text, "| | {path} | {} | {} |", shown(&ours), shown(&beside))?;
        }
    }
    Ok(text)
}

/// Three digits of what is small, and all of what is large.
fn shown(figure: f64) -> String {
    let digits = if figure.abs() < 10.0 { 2 } else { usize::from(figure.abs() < 100.0) };
    if figure.fract() == 0.0 { format!("{figure:.0}") } else { format!("{figure:.digits$}") }
}

/// The median of each figure in these, by where it is found.
fn medians<'a>(rounds: impl Iterator<Item = &'a Value>) -> BTreeMap<String, f64> {
    let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    rounds.for_each(|round| collect(String::new(), round, &mut figures));
    figures.into_iter().map(|(path, figures)| (path, median(figures))).collect()
}

fn collect(path: String, value: &Value, figures: &mut BTreeMap<String, Vec<f64>>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
                collect(path, value, figures);
            }
        }
        Value::Number(number) => figures.entry(path).or_default().extend(number.as_f64()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
    }
}

pub(super) fn document(report: &str, rounds: usize, machine: &Machine) -> String {
    format!(
        "# Tolmach beside the floor\n\n\
         Made by `cargo xtask bench`: {rounds} rounds, medians. {machine}\n\n\
         {report}\n\
         The floor is a bare hyper and tokio-tungstenite server that broadcasts or echoes the \
         same bytes, with one task and one\n\
         bounded queue per connection and one flush for all that waits. Servers have one half of \
         the cores to themselves, their\n\
         clients the other, and PostgreSQL and Redis both; plain inserts have the server's half. \
         CPU is user and system time of the server's\n\
         process, from the operating system; with Tolmach it includes committing each message to \
         disk. Memory is the growth of\n\
         resident memory, divided by the connections. `single` is one message in flight, `many` \
         32, `paced` 20,000 deliveries a\n\
         second. Where a row has several cases, the worst is judged, and named. A ratio is the \
         median of the rounds' ratios.\n"
    )
}

/// What it was measured on.
pub(super) struct Machine {
    cores: usize,
    processor: String,
    memory_gib: f64,
    kernel: String,
}

impl Machine {
    pub(super) fn look() -> Outcome<Self> {
        let (processors, memory) =
            (std::fs::read_to_string("/proc/cpuinfo")?, std::fs::read_to_string("/proc/meminfo")?);
        let kibibytes: f64 = field(&memory, "MemTotal")
            .and_then(|text| text.strip_suffix(" kB"))
            .ok_or("no MemTotal")?
            .parse()?;
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: field(&processors, "model name").unwrap_or("unknown processor").to_owned(),
            memory_gib: kibibytes / (1024.0 * 1024.0),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }
}

impl Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, memory_gib, kernel } = self;
        write!(
            formatter,
            "Machine: {cores} cores ({processor}), {memory_gib:.0} GiB of memory, Linux {kernel}."
        )
    }
}

/// The first value of a name in a file of /proc that has lines `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measured::Round;
    use crate::bench::{rows, scenarios};
    use serde_json::json;

    fn storm(storm: f64, calm: f64) -> Vec<Measured> {
        let scenario =
            scenarios::all(&[]).into_iter().find(|scenario| scenario.name == "storm").unwrap();
        let ours = json!({ "storm": { "delivery_us_p99": storm }, "calm": { "delivery_us_p99": calm }, "sample": "x" });
        vec![Measured { scenario, rounds: vec![Round { ours, beside: Value::Null }] }]
    }

    #[test]
    fn the_verdict_goes_by_the_bound_and_rows_that_were_not_measured_are_left_out() {
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
        assert!(
            table(&rows::all(&[]), &storm(0.0, 0.0), true)
                .unwrap()
                .contains("| too little to tell | not judged |")
        );
    }

    #[test]
    fn details_have_every_figure() {
        let details = details(&storm(12.345, 1000.5)).unwrap();
        assert!(
            details.contains(
                "| | calm delivery_us_p99 | 1000 |  |\n| | storm delivery_us_p99 | 12.3 |  |\n"
            ),
            "{details}"
        );
    }
}
