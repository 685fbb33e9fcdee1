//! The targets: rows of the table, each a figure or a ratio of figures of one round.

use super::explanations;
use super::figures::Bound::{AtLeast, AtMost};
use super::figures::{Bound, Case, Figure};
use super::scenarios::{BRIDGES, REVISION};

/// The documents that are files too: the file's name without its ending, and the dialect.
pub(super) const DOCUMENTS_AS_FILES: [(&str, &str); 2] =
    [("mode-doc", "mode"), ("sndmsg-doc", "sndmsg")];

/// A row of the table.
pub(super) struct Row {
    pub(super) title: String,
    pub(super) bound: Bound,
    /// The unit of its figures; empty for ratios.
    pub(super) unit: &'static str,
    /// The worst of these is judged.
    pub(super) cases: Vec<Case>,
    /// The limiting factor, by profiles; printed if the target is missed. Empty if not profiled.
    pub(super) explanation: &'static str,
}

/// The rows, in the order of the table.
pub(super) fn all(dialects: &[String]) -> Vec<Row> {
    [
        fan_out(dialects),
        requests_and_idle(),
        sends_and_nodes(),
        decoding(dialects),
        under_load(),
        recording_and_ledger(),
        bridging(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn fan_out(dialects: &[String]) -> Vec<Row> {
    let scenario = |dialect: &String| format!("fan-out-{dialect}");
    let beside_floor_of = |wire: &str, pointer: &str| {
        let scenario = format!("fan-out-{wire}");
        let numerator = Figure::of_tolmach(scenario.clone(), pointer);
        Case::ratio(wire, numerator, Figure::of_baseline(scenario, pointer))
    };
    let beside_floor = |pointer: &str| -> Vec<Case> {
        dialects.iter().map(|dialect| beside_floor_of(dialect, pointer)).collect()
    };
    let single_cpu = "/single/cpu_us_per_delivery";
    let mixed = Case {
        name: String::new(),
        numerator: Figure::of_tolmach("fan-out-mixed", single_cpu),
        denominators: dialects
            .iter()
            .map(|dialect| Figure::of_tolmach(scenario(dialect), single_cpu))
            .collect(),
        scale: 1.0,
    };
    vec![
        row(
            "server CPU per delivered frame, group of 1,000, one in flight ÷ floor",
            AtMost(1.1),
            "",
            beside_floor(single_cpu),
        )
        .explained_by(explanations::FAN_OUT_SINGLE),
        row("the same, 32 in flight", AtMost(1.3), "", beside_floor("/many/cpu_us_per_delivery"))
            .explained_by(explanations::FAN_OUT_MANY),
        row(
            "p99 delivery at 20,000/s ÷ floor's",
            AtMost(1.25),
            "",
            beside_floor("/paced/delivery_us_p99"),
        )
        .explained_by(explanations::FAN_OUT_PACED),
        row(
            "a mixed group of all dialects ÷ one dialect (their mean), CPU per delivered frame, \
                one in flight",
            AtMost(1.1),
            "",
            vec![mixed],
        ),
        row(
            "server CPU per delivered frame of a revision that is a file, group of 1,000, one in \
                flight ÷ floor",
            AtMost(1.1),
            "",
            vec![beside_floor_of(REVISION, single_cpu)],
        ),
    ]
}

fn requests_and_idle() -> Vec<Row> {
    let requests = Case::ratio(
        "",
        Figure::of_tolmach("requests", "/cpu_us_each"),
        Figure::of_baseline("requests", "/cpu_us_each"),
    );
    let idle = |dialect: &str| {
        let figure = Figure::of_tolmach(format!("idle-{dialect}"), "/bytes_per_connection");
        Case::absolute(dialect, figure, 1.0 / 1024.0)
    };
    vec![
        row(
            "request and response without the store (64 connections), CPU ÷ floor's echo",
            AtMost(1.6),
            "",
            vec![requests],
        ),
        row(
            "resident memory per idle authenticated connection, 10,000",
            AtMost(5.0),
            " KiB",
            vec![idle("mode"), idle("bearer")],
        ),
    ]
}

fn sends_and_nodes() -> Vec<Row> {
    let sends = |tolmach: &str, baseline: &str| {
        let numerator = Figure::of_tolmach("sends-sqlite", tolmach);
        vec![Case::ratio("", numerator, Figure::of_baseline("sends-sqlite", baseline))]
    };
    let nodes = Figure::of_tolmach("nodes", "/added_cpu_us_each");
    vec![
        row(
            "durable acknowledged sends, 512 connections, SQLite FULL ÷ plain insert_many of 100 \
                in a loop",
            AtLeast(0.5),
            "",
            sends("/from_512/per_second", "/many_a_transaction"),
        )
        .explained_by(explanations::SENDS),
        row(
            "the same ÷ one transaction a message",
            AtLeast(10.0),
            "",
            sends("/from_512/per_second", "/one_a_transaction"),
        )
        .explained_by(explanations::SENDS),
        row(
            "one connection sending pipelined durable messages ÷ that loop",
            AtLeast(0.25),
            "",
            sends("/pipelined/per_second", "/many_a_transaction"),
        ),
        row(
            "two nodes over Redis: CPU added per message per remote node",
            AtMost(15.0),
            " µs",
            vec![Case::absolute("", nodes, 1.0)],
        ),
    ]
}

fn decoding(dialects: &[String]) -> Vec<Row> {
    let beside = |dialect: &str, way: &str| {
        let numerator = Figure::of_tolmach("decode", format!("/{dialect}/dialect"));
        let denominator = Figure::of_tolmach("decode", format!("/{dialect}/{way}"));
        Case::ratio(dialect, numerator, denominator)
    };
    let others = dialects.iter().filter(|dialect| *dialect != "morelia");
    vec![
        row(
            "decoding with validation by schema, morelia ÷ parsing to a Value",
            AtMost(3.0),
            "",
            vec![beside("morelia", "value")],
        ),
        row(
            "decoding, other dialects ÷ typed parsing",
            AtMost(1.5),
            "",
            others.map(|dialect| beside(dialect, "struct")).collect(),
        )
        .explained_by(explanations::DECODE),
        row(
            "decoding by a document as a file ÷ by its crate",
            AtMost(3.0),
            "",
            beside_crates("dialect"),
        ),
        row(
            "encoding by a document as a file ÷ by its crate",
            AtMost(2.0),
            "",
            beside_crates("encode"),
        ),
    ]
}

/// The figures of documents that are files beside those of their crates.
fn beside_crates(figure: &str) -> Vec<Case> {
    let beside = |(file, dialect): (&str, &str)| {
        let of = |name: &str| Figure::of_tolmach("decode", format!("/{name}/{figure}"));
        Case::ratio(file, of(file), of(dialect))
    };
    DOCUMENTS_AS_FILES.into_iter().map(beside).collect()
}

fn under_load() -> Vec<Row> {
    let storm = Case::ratio(
        "",
        Figure::of_tolmach("storm", "/storm/delivery_us_p99"),
        Figure::of_tolmach("storm", "/calm/delivery_us_p99"),
    );
    let growth = Case::ratio(
        "",
        Figure::of_tolmach("growth", "/single/cpu_us_per_delivery"),
        Figure::of_baseline("growth", "/single/cpu_us_per_delivery"),
    );
    vec![
        row("p99 delivery during a storm of 100 logins ÷ without it", AtMost(1.5), "", vec![storm]),
        row(
            "from start to ready on an existing store of 1 M messages",
            AtMost(150.0),
            " ms",
            vec![Case::absolute("", Figure::of_tolmach("start", "/ready_ms"), 1.0)],
        ),
        row(
            "growth: CPU per delivered frame at 10,000 flows and 10,000 connections ÷ at 1 flow",
            AtMost(1.2),
            "",
            vec![growth],
        )
        .explained_by(explanations::GROWTH),
    ]
}

fn recording_and_ledger() -> Vec<Row> {
    let single_cpu = "/single/cpu_us_per_delivery";
    let recorded = Case::ratio(
        "",
        Figure::of_tolmach("fan-out-recorded", single_cpu),
        Figure::of_tolmach("fan-out-mixed", single_cpu),
    );
    let cpu = "/cpu_us_each";
    let ledger = Case {
        name: String::new(),
        numerator: Figure::of_tolmach("ledger", cpu).less(Figure::of_baseline("ledger", cpu)),
        denominators: vec![Figure::of_tolmach("fan-out-mixed", single_cpu)],
        // A message of the group is delivered 1,000 times.
        scale: 100.0 / 1000.0,
    };
    let proxy = Figure::of_tolmach("record-proxy", "/added_us_p50");
    let diff =
        |pointer: &str, scale| vec![Case::absolute("", Figure::of_tolmach("diff", pointer), scale)];
    vec![
        row(
            "a mixed group that is recorded ÷ one that is not, CPU per delivered frame, one in \
                flight",
            AtMost(1.1),
            "",
            vec![recorded],
        ),
        row(
            "a request in the ledger, written every second, beside the CPU of a message in the \
                mixed group",
            AtMost(1.0),
            " %",
            vec![ledger],
        ),
        row(
            "time that `tolmach record` as a proxy adds at the median",
            AtMost(1.0),
            " ms",
            vec![Case::absolute("", proxy, 1e-3)],
        ),
        row("`tolmach diff` of captures of 1 M frames", AtMost(60.0), " s", diff("/seconds", 1.0)),
        row(
            "resident memory of that comparison at its peak",
            AtMost(768.0),
            " MiB",
            diff("/peak_bytes", 1.0 / (1024.0 * 1024.0)),
        ),
    ]
}

fn bridging() -> Vec<Row> {
    let beside_proxy = |pointer: &str| -> Vec<Case> {
        let beside = |(clients, server): (&str, &str)| {
            let scenario = format!("bridge-{clients}-{server}");
            let bridge = Figure::of_tolmach(scenario.clone(), pointer);
            let name = format!("{clients} to {server}");
            Case::ratio(&name, bridge, Figure::of_baseline(scenario, pointer))
        };
        BRIDGES.into_iter().map(beside).collect()
    };
    vec![
        row(
            "CPU of a bridge per message (64 connections) ÷ a plain WebSocket proxy's",
            AtMost(2.0),
            "",
            beside_proxy("/cpu_us_each"),
        )
        .explained_by(explanations::BRIDGE),
        row(
            "time that a bridge adds at the median ÷ a plain WebSocket proxy's",
            AtMost(1.5),
            "",
            beside_proxy("/added_us_p50"),
        )
        .explained_by(explanations::BRIDGE),
    ]
}

fn row(title: &str, bound: Bound, unit: &'static str, cases: Vec<Case>) -> Row {
    Row { title: title.to_owned(), bound, unit, cases, explanation: "" }
}

impl Row {
    fn explained_by(self, explanation: &'static str) -> Self {
        Self { explanation, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenarios::{self, test_dialects};

    #[test]
    fn every_figure_of_a_row_belongs_to_a_scenario() {
        let names: Vec<_> =
            scenarios::all(&test_dialects()).into_iter().map(|scenario| scenario.name).collect();
        for row in all(&test_dialects()) {
            assert!(!row.cases.is_empty(), "{}", row.title);
            for figure in row.cases.iter().flat_map(Case::figures) {
                assert!(names.contains(&figure.scenario), "{}: {}", row.title, figure.scenario);
            }
        }
    }

    #[test]
    fn a_mixed_group_is_compared_with_every_dialect() {
        let rows = all(&test_dialects());
        let mixed = rows.iter().find(|row| row.title.starts_with("a mixed group")).unwrap();
        let scenarios: Vec<_> =
            mixed.cases[0].denominators.iter().map(|figure| figure.scenario.as_str()).collect();
        let expected: Vec<_> =
            test_dialects().iter().map(|dialect| format!("fan-out-{dialect}")).collect();
        assert_eq!(scenarios, expected);
    }
}
