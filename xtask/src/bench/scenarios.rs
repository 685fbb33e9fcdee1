//! What is measured: runs of the load generator, and how much of each.

use cargo_metadata::Metadata;

/// The id of every dialect: of each crate `tolmach-dialect-<id>`.
pub(super) fn dialects(metadata: &Metadata) -> Vec<String> {
    let mut ids: Vec<String> = metadata
        .workspace_packages()
        .iter()
        .filter_map(|package| package.name.strip_prefix("tolmach-dialect-"))
        .filter(|id| *id != "kit")
        .map(str::to_owned)
        .collect();
    ids.sort();
    ids
}

/// One thing to measure, and what stands beside it.
pub(super) struct Scenario {
    /// What `--only` looks at.
    pub(super) name: String,
    /// What a reader is told.
    pub(super) title: String,
    pub(super) ours: Work,
    pub(super) beside: Option<Work>,
    /// Whether its figures hardly differ from round to round, or are statistics of many runs
    /// themselves.
    pub(super) once: bool,
}

/// What is done to measure it.
pub(super) enum Work {
    /// A run of the load generator.
    Load(Vec<Argument>),
    /// The micro benches of decoding.
    Wire,
}

/// An argument of the load generator, in a whole run and in a short one.
pub(super) struct Argument {
    whole: String,
    short: String,
}

impl Argument {
    pub(super) fn of(&self, short: bool) -> &str {
        if short { &self.short } else { &self.whole }
    }
}

/// A run of the load generator: what it is asked, as on a command line, and amounts, `name whole
/// short`.
fn load(asked: &str, amounts: &[(&str, &str, &str)]) -> Work {
    let same = |word: &str| Argument { whole: word.to_owned(), short: word.to_owned() };
    let asked = asked.split(' ').map(same);
    let amounts = amounts.iter().flat_map(|(name, whole, short)| {
        [same(name), Argument { whole: (*whole).to_owned(), short: (*short).to_owned() }]
    });
    Work::Load(asked.chain(amounts).collect())
}

fn scenario(
    name: impl Into<String>,
    title: impl Into<String>,
    ours: Work,
    beside: Option<Work>,
) -> Scenario {
    Scenario { name: name.into(), title: title.into(), ours, beside, once: false }
}

const ROOM: [(&str, &str, &str); 6] = [
    ("--members", "1000", "40"),
    ("--single", "150", "5"),
    ("--many", "2000", "70"),
    ("--in-flight", "32", "32"),
    ("--rate", "20000", "4000"),
    ("--seconds", "6", "0.2"),
];
const LENGTH: (&str, &str, &str) = ("--seconds", "2", "0.1");

/// All of them, in the order in which they are run.
pub(super) fn all(dialects: &[String]) -> Vec<Scenario> {
    let mut all: Vec<_> = dialects.iter().map(|dialect| fan_out(dialect)).collect();
    all.push(scenario(
        "fan-out-mixed",
        "a room of 1,000, of whom each dialect has as many",
        load(&format!("fan-out --subject tolmach --wire {}", dialects.join(",")), &ROOM),
        None,
    ));
    let requests = [("--connections", "64", "8"), ("--requests", "2000", "50")];
    all.push(scenario(
        "requests",
        "requests answered without the store, 64 mode connections; beside it the floor's echo",
        load("requests --subject tolmach", &requests),
        Some(load("requests --subject floor", &requests)),
    ));
    for (store, name) in
        [("sqlite", "SQLite, synchronous FULL"), ("postgres", "PostgreSQL, fsync on")]
    {
        let inserts = [("--rows", "100", "100"), ("--seconds", "1.5", "0.1")];
        all.push(scenario(
            format!("sends-{store}"),
            format!(
                "durable acknowledged sends, mode, {name}; beside it plain inserts into the \
                same table"
            ),
            load(
                &format!(
                    "sends --store \
                {store}"
                ),
                &[("--connections", "1,64,512", "1,8"), ("--pipelined", "256", "16"), LENGTH],
            ),
            Some(load(&format!("inserts --store {store}"), &inserts)),
        ));
    }
    let idle = |more| [("--connections", "10000", "100"), ("--more", more, "20")];
    all.push(Scenario {
        once: true,
        ..scenario(
            "idle-mode",
            "idle connections, and as many of 8,000 more as the limit of open files allows; \
                beside it the floor's",
            load("idle --subject tolmach --wire mode", &idle("8000")),
            Some(load("idle --subject floor", &idle("8000"))),
        )
    });
    all.push(Scenario {
        once: true,
        ..scenario(
            "idle-bearer",
            "idle connections",
            load("idle --subject tolmach --wire bearer", &idle("0")),
            None,
        )
    });
    all.push(scenario(
        "history",
        "histories of 50 messages, 64 mode connections",
        load("history", &[("--connections", "64", "4"), ("--messages", "50", "5"), LENGTH]),
        None,
    ));
    all.push(scenario(
        "storm",
        "a room of 1,000 mode connections at 20,000 deliveries a second, without and during 100 \
            logins at once (bcrypt, cost 12)",
        load(
            "storm",
            &[
                ("--members", "1000", "40"),
                ("--logins", "100", "5"),
                ("--cost", "12", "6"),
                ("--rate", "20000", "4000"),
                LENGTH,
            ],
        ),
        None,
    ));
    all.push(scenario(
        "nodes",
        "64 mode connections send at one gateway and are heard at another, PostgreSQL and Redis \
            between them",
        load("nodes", &[("--connections", "64", "4"), LENGTH]),
        None,
    ));
    all.push(Scenario {
        once: true,
        ..scenario(
            "start",
            "a start on SQLite",
            load("start", &[("--messages", "1000000", "2000")]),
            None,
        )
    });
    let rooms = |connections, flows| {
        load(
            "growth",
            &[
                ("--members", "1000", "20"),
                ("--connections", connections, "60"),
                ("--flows", flows, "10"),
                ("--messages", "1000", "6"),
            ],
        )
    };
    all.push(scenario(
        "growth",
        "rooms of 1,000 mode connections, one message in flight, of 10,000 connections and flows; \
            beside it one room alone",
        rooms("10000", "10000"),
        Some(rooms("1000", "1")),
    ));
    all.push(Scenario {
        once: true,
        ..scenario("decode", "decode, validate and lift a send, ns", Work::Wire, None)
    });
    all
}

fn fan_out(dialect: &str) -> Scenario {
    scenario(
        format!("fan-out-{dialect}"),
        format!("a room of 1,000 {dialect} connections; beside it the floor with the same frames"),
        load(&format!("fan-out --subject tolmach --wire {dialect}"), &ROOM),
        Some(load("fan-out --subject floor", &ROOM)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_names_of_their_own() {
        let mut names: Vec<_> = all(&["mode".to_owned(), "action".to_owned()])
            .into_iter()
            .map(|scenario| scenario.name)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_short_run_is_asked_the_same_of_less() {
        let Work::Load(arguments) = load("history --a b", &[("--connections", "64", "4")]) else {
            panic!("a run of the load generator")
        };
        let of = |short| {
            arguments.iter().map(|argument| argument.of(short)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            (of(false).as_str(), of(true).as_str()),
            ("history --a b --connections 64", "history --a b --connections 4")
        );
    }
}
