//! What is to be reached: rows of the table, each a figure or a ratio of figures of one round.

use super::measured::{Measured, Outcome, Round};
use serde_json::Value;

/// A row of the table.
pub(super) struct Row {
    pub(super) title: String,
    pub(super) bound: Bound,
    /// What figures have where they are not ratios.
    pub(super) unit: &'static str,
    /// The worst of these is held against the bound.
    pub(super) cases: Vec<Case>,
    /// What profiles show to bound it, told where it is missed.
    pub(super) bounded_by: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    pub(super) fn holds(self, figure: f64) -> bool {
        match self {
            Bound::AtMost(most) => figure <= most,
            Bound::AtLeast(least) => figure >= least,
        }
    }

    /// Whether `one` is further from holding than `other`.
    pub(super) fn is_worse(self, one: f64, other: f64) -> bool {
        match self {
            Bound::AtMost(_) => one > other,
            Bound::AtLeast(_) => one < other,
        }
    }
}

/// A figure, divided by the mean of others if there are any.
pub(super) struct Case {
    /// What sets it apart from the others of its row; empty where it is alone.
    pub(super) name: String,
    over: Figure,
    under: Vec<Figure>,
    /// What it is multiplied by to be shown.
    scale: f64,
}

/// Where a figure is found.
struct Figure {
    scenario: String,
    side: Side,
    /// Names it within what was measured, as RFC 6901 does.
    pointer: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Beside,
}

fn ours(scenario: impl Into<String>, pointer: impl Into<String>) -> Figure {
    Figure { scenario: scenario.into(), side: Side::Ours, pointer: pointer.into() }
}

fn beside(scenario: impl Into<String>, pointer: impl Into<String>) -> Figure {
    Figure { scenario: scenario.into(), side: Side::Beside, pointer: pointer.into() }
}

fn ratio(name: &str, over: Figure, under: Figure) -> Case {
    Case { name: name.to_owned(), over, under: vec![under], scale: 1.0 }
}

fn alone(name: &str, over: Figure, scale: f64) -> Case {
    Case { name: name.to_owned(), over, under: Vec::new(), scale }
}

fn row(title: &str, bound: Bound, unit: &'static str, cases: Vec<Case>) -> Row {
    Row { title: title.to_owned(), bound, unit, cases, bounded_by: "" }
}

impl Row {
    fn bounded_by(self, profile: &'static str) -> Self {
        Self { bounded_by: profile, ..self }
    }
}

/// Of `perf record -e cpu-clock -p …` on the server while its scenario ran, on one core.
const ALONE: &str = "Of 5.0 µs a delivery (the floor's 4.6), the kernel takes 4.3 for one write \
    (4.1), all that leads to it 0.3 (0.6: \
    the floor wakes a task for everybody), and the commit 0.4, in which three threads hand eight \
    statements to each other, shared by \
    1,000 listeners. With SQLite in the thread that writes, by rusqlite, the commit took 0.28; \
    sea-orm's way to such a driver, its \
    proxy, does not build beside its SQLite.";
const MANY: &str = "A write costs the kernel 5 µs and 0.2 for each KiB, so that all depends on \
    how many frames are told together: \
    hub/audience.rs has a crowd rest by what it was told. Longer rests would lift it, and delay \
    what is told.";
const PACED: &str = "A message is committed before anybody hears of it, which the floor does not \
    do: 0.9 ms at the median after a rest \
    of 50 ms, of which 0.5 is the disk's (on a file system in memory the medians differ by 0.4). \
    The 99th percentile is what the \
    slowest two of 120 messages take. A faster disk lifts it, or fewer threads between a message \
    and its commit.";
const SENDS: &str = "46 µs of CPU a message on one core, where the loop takes 15: SQLite's thread \
    26, of which a third writes pages to \
    the log, since each sender has a flow of its own and so a page of its own in three indexes; \
    connections 16, of which the kernel \
    7 for a read and a write; the writer's thread 4. One sender who writes to one flow takes 13 \
    all together (the row of pipelined \
    messages). SQLite in the thread that writes took 6 less (rusqlite, tried). A core more for \
    SQLite's thread lifts it, or fewer \
    indexes on messages.";
const DECODE: &str = "What is kept of a request has to be allocated, 20 ns each: the text, the \
    draft, the echo for the reply, and with \
    action the request's id, which everybody in the room is told. Fewer and smaller allocations \
    in the contract between dialects \
    and gateway would lift it.";
const GROWTH: &str = "The structures of a write, the kernel's of both ends above all, are 6 KiB \
    and more a connection: those of 1,000 \
    connections stay in the processor's caches, those of 10,000 do not. The floor grows by 1.36 \
    to 1.46 from 1,000 to 10,000 \
    connections in its one room (load fan-out --subject floor --members 10000), from 4.9 to 7.2 \
    µs. Of flows nothing is seen: \
    10,000 connections in one flow take 6.5 µs a delivery, in 10,000 flows 6.4. A larger cache \
    lifts it.";

/// The rows, in the order in which a reader is shown them.
pub(super) fn all(dialects: &[String]) -> Vec<Row> {
    use Bound::{AtLeast, AtMost};
    let fan_out = |pointer: &str| {
        let case = |dialect: &String| {
            ratio(
                dialect,
                ours(format!("fan-out-{dialect}"), pointer),
                beside(format!("fan-out-{dialect}"), pointer),
            )
        };
        dialects.iter().map(case).collect()
    };
    let mixed = |pointer: &str| {
        let under =
            dialects.iter().map(|dialect| ours(format!("fan-out-{dialect}"), pointer)).collect();
        vec![Case { name: String::new(), over: ours("fan-out-mixed", pointer), under, scale: 1.0 }]
    };
    let sends = |store: &str, pointer: &str, beside_it: &str| {
        ratio("", ours(store, pointer), beside(store, beside_it))
    };
    let decode = |dialects: &[&str], way: &str| {
        dialects
            .iter()
            .map(|dialect| {
                ratio(
                    dialect,
                    ours("decode", format!("/{dialect}/dialect")),
                    ours("decode", format!("/{dialect}/{way}")),
                )
            })
            .collect()
    };
    let others: Vec<&str> =
        dialects.iter().map(String::as_str).filter(|dialect| *dialect != "morelia").collect();
    vec![
        row(
            "server CPU per delivered frame, room of 1,000, one in flight ÷ floor",
            AtMost(1.1),
            "",
            fan_out("/single/cpu_us_per_delivery"),
        )
        .bounded_by(ALONE),
        row("the same, 32 in flight", AtMost(1.3), "", fan_out("/many/cpu_us_per_delivery"))
            .bounded_by(MANY),
        row(
            "p99 delivery at 20,000/s ÷ \
            floor's",
            AtMost(1.25),
            "",
            fan_out("/paced/delivery_us_p99"),
        )
        .bounded_by(PACED),
        row(
            "a mixed room of five dialects ÷ one dialect (their mean), CPU per delivered frame, \
                one in flight",
            AtMost(1.1),
            "",
            mixed("/single/cpu_us_per_delivery"),
        ),
        row(
            "request/reply without the store (64 connections), CPU ÷ floor's echo",
            AtMost(1.6),
            "",
            vec![ratio("", ours("requests", "/cpu_us_each"), beside("requests", "/cpu_us_each"))],
        ),
        row(
            "resident memory per idle authenticated connection, 10,000",
            AtMost(5.0),
            " KiB",
            ["mode", "bearer"]
                .map(|dialect| {
                    alone(
                        dialect,
                        ours(format!("idle-{dialect}"), "/bytes_per_connection"),
                        1.0 / 1024.0,
                    )
                })
                .into(),
        ),
        row(
            "durable acknowledged sends, 512 connections, SQLite FULL ÷ plain insert_many of 100 \
                in a loop",
            AtLeast(0.5),
            "",
            vec![sends("sends-sqlite", "/from_512/per_second", "/many_a_transaction")],
        )
        .bounded_by(SENDS),
        row(
            "the same ÷ one transaction a message",
            AtLeast(10.0),
            "",
            vec![sends("sends-sqlite", "/from_512/per_second", "/one_a_transaction")],
        )
        .bounded_by(SENDS),
        row(
            "one connection sending pipelined durable messages ÷ that loop",
            AtLeast(0.25),
            "",
            vec![sends("sends-sqlite", "/pipelined/per_second", "/many_a_transaction")],
        ),
        row(
            "two nodes over Redis: CPU added per message per remote node",
            AtMost(15.0),
            " µs",
            vec![alone("", ours("nodes", "/added_cpu_us_each"), 1.0)],
        ),
        row(
            "decode + validate + lift, MoreliaTalk ÷ parse to \
            Value",
            AtMost(3.0),
            "",
            decode(&["morelia"], "value"),
        ),
        row(
            "decode + lift, other dialects ÷ typed \
            parse",
            AtMost(1.5),
            "",
            decode(&others, "struct"),
        )
        .bounded_by(DECODE),
        row(
            "p99 delivery during a storm of 100 logins ÷ without it",
            AtMost(1.5),
            "",
            vec![ratio(
                "",
                ours("storm", "/storm/delivery_us_p99"),
                ours("storm", "/calm/delivery_us_p99"),
            )],
        ),
        row(
            "from start to ready on an existing store of 1 M messages",
            AtMost(150.0),
            " ms",
            vec![alone("", ours("start", "/ready_ms"), 1.0)],
        ),
        row(
            "growth: CPU per delivered frame at 10,000 flows and 10,000 connections ÷ at 1 flow",
            AtMost(1.2),
            "",
            vec![ratio(
                "",
                ours("growth", "/single/cpu_us_per_delivery"),
                beside("growth", "/single/cpu_us_per_delivery"),
            )],
        )
        .bounded_by(GROWTH),
    ]
}

/// What came of a case.
pub(super) enum Judged {
    /// The median of the rounds; what disturbs a round disturbs both sides of its ratio.
    Figure(f64),
    /// Its scenario was not run, or not all of it.
    Absent,
    /// The machine lacks what it needs.
    Missing(String),
}

impl Case {
    pub(super) fn judge(&self, measured: &[Measured]) -> Outcome<Judged> {
        let figures: Vec<_> = std::iter::once(&self.over).chain(&self.under).collect();
        let mut rounds = usize::MAX;
        for figure in &figures {
            let Some(of) = figure.rounds(measured) else { return Ok(Judged::Absent) };
            rounds = rounds.min(of.len());
            for round in of {
                let side = figure.of(round);
                if let Some(missing) = side.get("missing").and_then(Value::as_str) {
                    return Ok(Judged::Missing(missing.to_owned()));
                }
                if side.pointer(&figure.pointer).is_none() {
                    return Ok(Judged::Absent);
                }
            }
        }
        let in_round = |number| {
            let over = self.over.value(measured, number)?;
            let under = self
                .under
                .iter()
                .map(|figure| figure.value(measured, number))
                .collect::<Outcome<Vec<_>>>()?;
            let under =
                if under.is_empty() { 1.0 } else { under.iter().sum::<f64>() / under.len() as f64 };
            Ok(over * self.scale / under)
        };
        Ok(Judged::Figure(median((0..rounds).map(in_round).collect::<Outcome<Vec<_>>>()?)))
    }
}

impl Figure {
    fn rounds<'a>(&self, measured: &'a [Measured]) -> Option<&'a [Round]> {
        measured
            .iter()
            .find(|measured| measured.scenario.name == self.scenario)
            .map(|measured| measured.rounds.as_slice())
    }

    fn of<'a>(&self, round: &'a Round) -> &'a Value {
        match self.side {
            Side::Ours => &round.ours,
            Side::Beside => &round.beside,
        }
    }

    fn value(&self, measured: &[Measured], round: usize) -> Outcome<f64> {
        let found = self
            .rounds(measured)
            .and_then(|rounds| rounds.get(round))
            .and_then(|round| self.of(round).pointer(&self.pointer));
        found
            .and_then(Value::as_f64)
            .ok_or_else(|| format!("{}: {} is no figure", self.scenario, self.pointer).into())
    }
}

/// The middle one; of an even number the mean of the two in the middle, of none NaN.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let upper = figures.len() / 2;
    match (figures.get(upper.wrapping_sub(1)), figures.get(upper)) {
        (Some(below), Some(above)) if figures.len().is_multiple_of(2) => (below + above) / 2.0,
        (_, Some(middle)) => *middle,
        (_, None) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenarios;
    use serde_json::json;

    fn dialects() -> Vec<String> {
        ["action", "bearer", "mode", "morelia", "sndmsg"].map(String::from).into()
    }

    fn measured(name: &str, rounds: &[(Value, Value)]) -> Measured {
        let scenario =
            scenarios::all(&dialects()).into_iter().find(|scenario| scenario.name == name).unwrap();
        Measured {
            scenario,
            rounds: rounds
                .iter()
                .map(|(ours, beside)| Round { ours: ours.clone(), beside: beside.clone() })
                .collect(),
        }
    }

    fn figure(judged: Judged) -> f64 {
        match judged {
            Judged::Figure(figure) => figure,
            Judged::Absent => panic!("absent"),
            Judged::Missing(why) => panic!("{why}"),
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        for (figures, expected) in [
            (&[3.0, 1.0, 2.0][..], 2.0),
            (&[5.0], 5.0),
            (&[1.0, 4.0], 2.5),
            (&[9.0, 1.0, 1.0, 3.0], 2.0),
        ] {
            assert_eq!(median(figures.to_vec()), expected, "{figures:?}");
        }
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_so_that_a_slow_round_does_not_count() {
        let of = |ours: f64, beside: f64| {
            (json!({ "cpu_us_each": ours }), json!({ "cpu_us_each": beside }))
        };
        let measured = [measured("requests", &[of(2.0, 1.0), of(30.0, 10.0), of(4.4, 4.0)])];
        let case = ratio("", ours("requests", "/cpu_us_each"), beside("requests", "/cpu_us_each"));
        assert_eq!(figure(case.judge(&measured).unwrap()), 2.0);
    }

    #[test]
    fn a_mixed_room_is_held_against_the_mean_of_the_others() {
        let cpu = |cpu: f64| [(json!({ "single": { "cpu_us_per_delivery": cpu } }), Value::Null)];
        let mut all = vec![measured("fan-out-mixed", &cpu(6.0))];
        all.extend(
            dialects()
                .iter()
                .zip([1.0, 2.0, 3.0, 4.0, 5.0])
                .map(|(dialect, of)| measured(&format!("fan-out-{dialect}"), &cpu(of))),
        );
        let row = super::all(&dialects())
            .into_iter()
            .find(|row| row.title.starts_with("a mixed room"))
            .unwrap();
        assert_eq!(figure(row.cases[0].judge(&all).unwrap()), 2.0);
        assert!(matches!(row.cases[0].judge(&all[..2]).unwrap(), Judged::Absent));
    }

    #[test]
    fn what_the_machine_lacks_is_said_and_what_is_no_figure_is_an_error() {
        let case = || alone("", ours("nodes", "/added_cpu_us_each"), 1.0);
        let lacking = [measured("nodes", &[(json!({ "missing": "no redis" }), Value::Null)])];
        assert!(
            matches!(case().judge(&lacking).unwrap(), Judged::Missing(why) if why == "no redis")
        );
        let wrong = [measured("nodes", &[(json!({ "added_cpu_us_each": "1" }), Value::Null)])];
        assert!(case().judge(&wrong).is_err());
    }

    #[test]
    fn every_figure_of_a_row_is_of_a_scenario_that_is_run() {
        let names: Vec<_> =
            scenarios::all(&dialects()).into_iter().map(|scenario| scenario.name).collect();
        for row in super::all(&dialects()) {
            for figure in
                row.cases.iter().flat_map(|case| std::iter::once(&case.over).chain(&case.under))
            {
                assert!(names.contains(&figure.scenario), "{}: {}", row.title, figure.scenario);
            }
        }
    }
}
