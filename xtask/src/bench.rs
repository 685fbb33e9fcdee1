//! `cargo xtask bench`: what Tolmach costs beside the floor, as ratios of one run.
//!
//! The load generator measures one thing of one server a time (`crates/bench`); here the runs are put in turn, so that what
//! the machine does meanwhile falls on both sides, and become a table.

use crate::process::{Project, output, run as run_to_end};
use serde_json::Value;
use std::error::Error;
use std::fmt::{self, Display, Write as _};
use std::io::Write;
use std::path::Path;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The file that a whole run is kept in, in the root of the workspace.
const REPORT: &str = "BENCH.md";
/// Rounds of a whole run.
const ROUNDS: usize = 3;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Prove in seconds that it works: little of everything, once, without judging; BENCH.md stays as it is
    #[arg(long)]
    short: bool,
    /// Measure only the rows whose name contains this; BENCH.md stays as it is
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Build with this profile
    #[arg(long, default_value = "release")]
    profile: String,
}

impl Options {
    /// What CI runs: little of everything, built as the tests are.
    pub(crate) fn for_ci() -> Self {
        Self { short: true, only: None, profile: "dev".to_owned() }
    }
}

/// Builds, measures, prints, and keeps a whole run.
pub(crate) fn run(project: &Project, options: &Options) -> Result<(), String> {
    measure_all(project, options).map_err(|error| error.to_string())
}

fn measure_all(project: &Project, options: &Options) -> Outcome<()> {
    let only = options.only.as_deref().unwrap_or_default();
    let rows: Vec<_> = ROWS.iter().filter(|row| row.name.contains(only)).collect();
    if rows.is_empty() {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("no row is named like {only:?}; there are {}", names.join(", ")).into());
    }
    let mut build = project.cargo();
    run_to_end(build.args(["build", "--profile", &options.profile, "--package", "tolmach-gateway", "--package", "tolmach-bench"]))?;
    let load = project.target().join(folder(&options.profile)).join("load");
    let rounds = if options.short { 1 } else { ROUNDS };
    let mut measured: Vec<Measured> = rows.iter().map(|row| Measured { row, rounds: Vec::new() }).collect();
    for round in 1..=rounds {
        for measured in &mut measured {
            let row = measured.row;
            eprintln!("round {round} of {rounds}: {}", row.name);
            let beside = measure(project, &load, row.beside, options.short)?;
            measured.rounds.push(Round { beside, ours: measure(project, &load, row.ours, options.short)? });
        }
    }
    let judge = !options.short;
    let report = table(&measured, judge)? + "\n" + &details(&measured)?;
    writeln!(std::io::stdout(), "{}", report.trim_end())?;
    if judge && options.only.is_none() {
        std::fs::write(project.root().join(REPORT), document(&report, &Machine::look()?))?;
    }
    Ok(())
}

/// A row of the table: one figure of two runs of the load generator.
struct Row {
    /// What `--only` looks at.
    name: &'static str,
    /// What a reader is told.
    title: &'static str,
    ours: Measurement,
    /// What stands beside it: the floor, or another way of doing the same.
    beside: Measurement,
    /// The figure in the load generator's answers.
    key: &'static str,
    unit: Unit,
    judged: Judged,
    bound: Bound,
}

/// What is held against the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    /// Our figure divided by the other.
    Ratio,
    /// Our figure alone.
    Ours,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Bound::AtMost(most) => figure <= most,
            Bound::AtLeast(least) => figure >= least,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Microseconds,
    /// Measured in bytes, shown in KiB.
    Kibibytes,
    PerSecond,
}

impl Unit {
    /// The figure in the unit that is shown.
    fn shown(self, figure: f64) -> f64 {
        match self {
            Unit::Kibibytes => figure / 1024.0,
            Unit::Microseconds | Unit::PerSecond => figure,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Microseconds => "µs",
            Unit::Kibibytes => "KiB",
            Unit::PerSecond => "/s",
        }
    }

    fn write(self, figure: f64) -> String {
        let digits = if self == Unit::PerSecond { 0 } else { 2 };
        format!("{:.digits$} {}", self.shown(figure), self.name())
    }
}

/// A run of the load generator.
#[derive(Debug, Clone, Copy)]
struct Measurement {
    /// What it is asked.
    arguments: &'static [&'static str],
    /// How much of it, for a whole run and for a short one.
    amount: &'static [(&'static str, &'static str, &'static str)],
}

impl Measurement {
    fn arguments(&self, short: bool) -> Vec<&'static str> {
        let amounts = self.amount.iter().flat_map(|(name, whole, little)| [*name, if short { *little } else { *whole }]);
        self.arguments.iter().copied().chain(amounts).collect()
    }
}

const fn fan_out(arguments: &'static [&'static str]) -> Measurement {
    Measurement { arguments, amount: &[("--members", "1000", "40"), ("--messages", "1000", "50")] }
}

const fn fan_out_many(arguments: &'static [&'static str]) -> Measurement {
    Measurement { arguments, amount: &[("--members", "1000", "40"), ("--messages", "8000", "200"), ("--in-flight", "32", "32")] }
}

const fn idle(arguments: &'static [&'static str]) -> Measurement {
    Measurement { arguments, amount: &[("--connections", "10000", "100")] }
}

const fn sends(arguments: &'static [&'static str]) -> Measurement {
    Measurement { arguments, amount: &[("--connections", "64", "8"), ("--seconds", "5", "0.3")] }
}

const fn requests(arguments: &'static [&'static str]) -> Measurement {
    Measurement { arguments, amount: &[("--connections", "64", "8"), ("--requests", "5000", "50")] }
}

const ROWS: &[Row] = &[
    Row {
        name: "fan-out-bearer-1",
        title: "server CPU per delivered frame, room of 1,000 bearer sockets, one message in flight, ÷ floor",
        ours: fan_out(&["fan-out", "--subject", "tolmach", "--wire", "bearer"]),
        beside: fan_out(&["fan-out", "--subject", "floor", "--wire", "bearer"]),
        key: "cpu_us_per_delivery",
        unit: Unit::Microseconds,
        judged: Judged::Ratio,
        bound: Bound::AtMost(1.3),
    },
    Row {
        name: "fan-out-bearer-32",
        title: "the same, 32 messages in flight",
        ours: fan_out_many(&["fan-out", "--subject", "tolmach", "--wire", "bearer"]),
        beside: fan_out_many(&["fan-out", "--subject", "floor", "--wire", "bearer"]),
        key: "cpu_us_per_delivery",
        unit: Unit::Microseconds,
        judged: Judged::Ratio,
        bound: Bound::AtMost(1.3),
    },
    Row {
        name: "fan-out-mode-1",
        title: "server CPU per delivered frame, group of 1,000 mode connections, one message in flight, ÷ floor",
        ours: fan_out(&["fan-out", "--subject", "tolmach", "--wire", "mode"]),
        beside: fan_out(&["fan-out", "--subject", "floor", "--wire", "mode"]),
        key: "cpu_us_per_delivery",
        unit: Unit::Microseconds,
        judged: Judged::Ratio,
        bound: Bound::AtMost(1.3),
    },
    Row {
        name: "fan-out-mode-32",
        title: "the same, 32 messages in flight",
        ours: fan_out_many(&["fan-out", "--subject", "tolmach", "--wire", "mode"]),
        beside: fan_out_many(&["fan-out", "--subject", "floor", "--wire", "mode"]),
        key: "cpu_us_per_delivery",
        unit: Unit::Microseconds,
        judged: Judged::Ratio,
        bound: Bound::AtMost(1.3),
    },
    Row {
        name: "requests-mode",
        title: "server CPU per request answered without the store, 64 mode connections, ÷ floor's echo",
        ours: requests(&["requests", "--subject", "tolmach"]),
        beside: requests(&["requests", "--subject", "floor"]),
        key: "cpu_us_per_request",
        unit: Unit::Microseconds,
        judged: Judged::Ratio,
        bound: Bound::AtMost(1.6),
    },
    Row {
        name: "idle-bearer",
        title: "resident memory per idle authenticated bearer socket, at 10,000",
        ours: idle(&["idle", "--subject", "tolmach", "--wire", "bearer"]),
        beside: idle(&["idle", "--subject", "floor"]),
        key: "bytes_per_connection",
        unit: Unit::Kibibytes,
        judged: Judged::Ours,
        bound: Bound::AtMost(16.0),
    },
    Row {
        name: "idle-mode",
        title: "resident memory per idle authenticated mode connection, at 10,000",
        ours: idle(&["idle", "--subject", "tolmach", "--wire", "mode"]),
        beside: idle(&["idle", "--subject", "floor"]),
        key: "bytes_per_connection",
        unit: Unit::Kibibytes,
        judged: Judged::Ours,
        bound: Bound::AtMost(16.0),
    },
    Row {
        name: "sends-mode",
        title: "durable acknowledged sends from 64 mode connections ÷ one transaction per message in the store alone",
        ours: sends(&["sends"]),
        beside: sends(&["sends-baseline"]),
        key: "sends_per_second",
        unit: Unit::PerSecond,
        judged: Judged::Ratio,
        bound: Bound::AtLeast(5.0),
    },
];

/// What the load generator answered in one round.
struct Round {
    beside: Value,
    ours: Value,
}

struct Measured {
    row: &'static Row,
    rounds: Vec<Round>,
}

impl Measured {
    /// The medians of this figure: ours, and beside it.
    fn medians(&self, key: &str) -> Outcome<(f64, f64)> {
        let figures = |side: fn(&Round) -> &Value| self.rounds.iter().map(|round| figure(side(round), key)).collect::<Outcome<Vec<_>>>();
        Ok((median(figures(|round| &round.ours)?), median(figures(|round| &round.beside)?)))
    }

    /// What is held against the bound: for a ratio the median of the rounds' own, since what disturbs a round disturbs both
    /// sides of it.
    fn judged(&self) -> Outcome<f64> {
        let row = self.row;
        let of = |round: &Round| {
            let ours = figure(&round.ours, row.key)?;
            Ok(match row.judged {
                Judged::Ours => row.unit.shown(ours),
                Judged::Ratio => ours / figure(&round.beside, row.key)?,
            })
        };
        Ok(median(self.rounds.iter().map(of).collect::<Outcome<Vec<_>>>()?))
    }
}

fn figure(measured: &Value, key: &str) -> Outcome<f64> {
    measured.get(key).and_then(Value::as_f64).ok_or_else(|| format!("the load generator did not answer {key}").into())
}

/// The middle one; of an even number the mean of the two in the middle, of none NaN.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let upper = figures.len() / 2;
    match (figures.get(upper.wrapping_sub(1)), figures.get(upper)) {
        (Some(below), Some(above)) if figures.len().is_multiple_of(2) => (below + above) / 2.0,
        (_, Some(middle)) => *middle,
        (_, None) => f64::NAN,
    }
}

fn table(measured: &[Measured], judge: bool) -> Outcome<String> {
    let mut text = String::from("| what | target | measured | | Tolmach | beside it |\n|---|---|---|---|---|---|\n");
    for measured in measured {
        let row = measured.row;
        let (ours, beside) = measured.medians(row.key)?;
        let judged = measured.judged()?;
        let unit = if row.judged == Judged::Ours { format!(" {}", row.unit.name()) } else { String::new() };
        let target = match row.bound {
            Bound::AtMost(most) => format!("≤ {most:.2}{unit}"),
            Bound::AtLeast(least) => format!("≥ {least:.2}{unit}"),
        };
        let verdict = match (judge, row.bound.holds(judged)) {
            (false, _) => "not judged",
            (true, true) => "met",
            (true, false) => "missed",
        };
        // The clock of CPU time ticks every 10 ms, which little work does not reach.
        let judged = if judged.is_finite() { format!("{judged:.2}{unit}") } else { "too little to tell".to_owned() };
        let (ours, beside) = (row.unit.write(ours), row.unit.write(beside));
        writeln!(text, "| {} | {target} | {judged} | {verdict} | {ours} | {beside} |", row.title)?;
    }
    Ok(text)
}

/// Figures that are not judged, and what they mean.
const DETAILS: &[(&str, &str)] = &[
    ("delivery_us_p50", "µs from posting to delivery, median"),
    ("delivery_us_p99", "µs from posting to delivery, 99th percentile"),
    ("deliveries_per_second", "deliveries a second"),
    ("frame_bytes", "bytes of a frame"),
    ("answer_us_p99", "µs to the answer, 99th percentile"),
    ("connections_per_second", "connections made a second"),
    ("acknowledged_us_p50", "µs to the acknowledgement, median"),
    ("acknowledged_us_p99", "µs to the acknowledgement, 99th percentile"),
    ("cpu_us_per_send", "µs of server CPU per send"),
];

fn details(measured: &[Measured]) -> Outcome<String> {
    let mut text = String::from("| row | figure | Tolmach | beside it |\n|---|---|---|---|\n");
    for measured in measured {
        let last = measured.rounds.last().ok_or("a row was not measured")?;
        for (key, meaning) in DETAILS.iter().filter(|(key, _)| last.ours.get(key).is_some()) {
            let beside = last.beside.get(key).is_some();
            let (ours, beside) =
                if beside { measured.medians(key).map(|(a, b)| (a, format!("{b:.0}")))? } else { (figure(&last.ours, key)?, "".into()) };
            writeln!(text, "| {} | {meaning} | {ours:.0} | {beside} |", measured.row.name)?;
        }
    }
    Ok(text)
}

fn document(report: &str, machine: &Machine) -> String {
    format!(
        "# Tolmach beside the floor\n\n\
         Made by `cargo xtask bench`: {ROUNDS} rounds, medians. {machine}\n\n\
         {report}\n\
         The floor is a bare hyper and tokio-tungstenite server that broadcasts or echoes the same bytes, with one task and one\n\
         bounded queue per connection and one flush for all that waits. Servers have one half of the cores to themselves, their\n\
         clients the other. CPU is user and system time of the server's process, from the operating system; with Tolmach it\n\
         includes committing each message to disk. Memory is the growth of resident memory, divided by the connections. One\n\
         transaction per message is Tolmach's own store with a batch of one, without any wire: the same schema, disk and\n\
         synchronisation. A ratio is the median of the rounds' ratios.\n"
    )
}

/// What it was measured on.
struct Machine {
    cores: usize,
    processor: String,
    memory_gib: f64,
    kernel: String,
}

impl Machine {
    fn look() -> Outcome<Self> {
        let (processors, memory) = (std::fs::read_to_string("/proc/cpuinfo")?, std::fs::read_to_string("/proc/meminfo")?);
        let kibibytes: f64 = field(&memory, "MemTotal").and_then(|text| text.strip_suffix(" kB")).ok_or("no MemTotal")?.parse()?;
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
        write!(formatter, "Machine: {cores} cores ({processor}), {memory_gib:.0} GiB of memory, Linux {kernel}.")
    }
}

/// The first value of a name in a file of /proc that has lines `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// The folder of a profile in the target folder.
fn folder(profile: &str) -> &str {
    match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        profile => profile,
    }
}

fn measure(project: &Project, load: &Path, measurement: Measurement, short: bool) -> Outcome<Value> {
    Ok(serde_json::from_str(&output(project.command(load).args(measurement.arguments(short)))?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured(row: &'static Row, rounds: &[(f64, f64)]) -> Measured {
        let rounds = rounds.iter().map(|(ours, beside)| Round { ours: json!({ row.key: ours }), beside: json!({ row.key: beside }) });
        Measured { row, rounds: rounds.collect() }
    }

    fn row(name: &str) -> &'static Row {
        ROWS.iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn the_median_is_the_middle() {
        for (figures, expected) in [(&[3.0, 1.0, 2.0][..], 2.0), (&[5.0], 5.0), (&[1.0, 4.0], 2.5), (&[9.0, 1.0, 1.0, 3.0], 2.0)] {
            assert_eq!(median(figures.to_vec()), expected, "{figures:?}");
        }
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_so_that_a_slow_round_does_not_count() {
        let rounds = [(2.0, 1.0), (30.0, 10.0), (4.4, 4.0)];
        assert_eq!(measured(row("fan-out-bearer-1"), &rounds).judged().unwrap(), 2.0);
    }

    #[test]
    fn what_is_judged_alone_is_judged_in_the_unit_shown() {
        let memory = measured(row("idle-mode"), &[(10_240.0, 2_048.0)]);
        assert_eq!(memory.judged().unwrap(), 10.0);
        let table = table(&[memory], true).unwrap();
        assert!(table.ends_with("| ≤ 16.00 KiB | 10.00 KiB | met | 10.00 KiB | 2.00 KiB |\n"), "{table}");
    }

    #[test]
    fn the_verdict_goes_by_the_direction_of_the_bound() {
        for (name, ours, judge, verdict) in [
            ("fan-out-bearer-1", 1.2, true, "met"),
            ("fan-out-bearer-1", 1.4, true, "missed"),
            ("sends-mode", 6.0, true, "met"),
            ("sends-mode", 4.0, true, "missed"),
            ("sends-mode", 4.0, false, "not judged"),
        ] {
            let table = table(&[measured(row(name), &[(ours, 1.0)])], judge).unwrap();
            assert!(table.contains(&format!("| {verdict} |")), "{name} {ours}: {table}");
        }
    }

    #[test]
    fn rows_have_names_of_their_own() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }

    #[test]
    fn an_absent_figure_is_an_error() {
        assert!(figure(&json!({ "other": 1 }), "wanted").is_err());
        assert!(figure(&json!({ "wanted": "1" }), "wanted").is_err());
    }
}
