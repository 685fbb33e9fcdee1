//! The scenarios: runs of the load generator, each in a whole and in a short size.

/// One measurement, with its baseline.
pub(super) struct Scenario {
    /// The name that `--only` is compared with.
    pub(super) name: String,
    /// A description for the report.
    pub(super) title: String,
    pub(super) tolmach: Work,
    pub(super) baseline: Option<Work>,
    /// True if one round is enough: the figures vary little, or are statistics of many runs.
    pub(super) once: bool,
}

/// The program that measures one side of a scenario.
pub(super) enum Work {
    /// A run of the load generator.
    Load(Vec<Argument>),
    /// The micro benches of decoding and encoding.
    Wire,
}

/// An argument of the load generator, in a whole run and in a short one.
pub(super) struct Argument {
    whole: String,
    short: String,
}

impl Argument {
    pub(super) fn value(&self, short: bool) -> &str {
        if short { &self.short } else { &self.whole }
    }

    fn fixed(word: &str) -> Self {
        Self { whole: word.to_owned(), short: word.to_owned() }
    }
}

/// An option of the load generator: its name, its value in a whole run, and in a short one.
type Amount = (&'static str, &'static str, &'static str);

const GROUP: [Amount; 6] = [
    ("--members", "1000", "40"),
    ("--single", "150", "5"),
    ("--many", "2000", "70"),
    ("--in-flight", "32", "32"),
    ("--rate", "20000", "4000"),
    ("--seconds", "6", "0.2"),
];
const SECONDS: Amount = ("--seconds", "2", "0.1");
/// As [`GROUP`], without the bursts, which the queue of a recording does not take.
const RECORDED_GROUP: [Amount; 6] = [
    ("--members", "1000", "40"),
    ("--single", "150", "5"),
    ("--many", "1", "1"),
    ("--in-flight", "1", "1"),
    ("--rate", "20000", "4000"),
    ("--seconds", "2", "0.2"),
];
const PASSING: [Amount; 3] =
    [("--connections", "64", "4"), ("--requests", "500", "20"), ("--single", "2000", "20")];
const READERS: [Amount; 2] = [("--connections", "64", "4"), SECONDS];

/// A revision that is a file, for the fan-out.
pub(super) const REVISION: &str = "action-2025-04";

/// The bridges that are measured: the dialect of the clients, and that of the server.
pub(super) const BRIDGES: [(&str, &str); 2] = [("mode", "sndmsg"), ("sndmsg", "morelia")];

/// All scenarios, in the order in which they are run.
pub(super) fn all(dialects: &[String]) -> Vec<Scenario> {
    let wires = dialects.iter().map(String::as_str).chain([REVISION]);
    let mut all: Vec<_> = wires.map(fan_out).collect();
    all.extend([fan_out_mixed(dialects), fan_out_recorded(dialects), requests(), ledger()]);
    all.push(sends("sqlite", "SQLite, synchronous FULL"));
    all.push(sends("postgres", "PostgreSQL, fsync on"));
    all.extend([idle_mode(), idle_bearer(), history(), storm()]);
    all.extend([nodes(), start(), growth(), decode()]);
    all.extend(BRIDGES.map(|(clients, server)| bridge(clients, server)));
    all.extend([record_proxy(), diff()]);
    all
}

fn fan_out(dialect: &str) -> Scenario {
    scenario(
        format!("fan-out-{dialect}"),
        format!("a group of 1,000 {dialect} connections; baseline: the floor, the same frames"),
        load(&format!("fan-out --subject tolmach --wire {dialect}"), &GROUP),
        Some(load("fan-out --subject floor", &GROUP)),
    )
}

fn fan_out_mixed(dialects: &[String]) -> Scenario {
    scenario(
        "fan-out-mixed",
        "a group of 1,000 connections, as many of each dialect",
        load(&format!("fan-out --subject tolmach --wire {}", dialects.join(",")), &GROUP),
        None,
    )
}

fn fan_out_recorded(dialects: &[String]) -> Scenario {
    scenario(
        "fan-out-recorded",
        "the same group, all of whose traffic is recorded",
        load(
            &format!("fan-out --subject tolmach --record --wire {}", dialects.join(",")),
            &RECORDED_GROUP,
        ),
        None,
    )
}

fn requests() -> Scenario {
    let amounts = [("--connections", "64", "8"), ("--requests", "2000", "50")];
    scenario(
        "requests",
        "requests answered without the store, 64 mode connections; baseline: the floor's echo",
        load("requests --subject tolmach", &amounts),
        Some(load("requests --subject floor", &amounts)),
    )
}

fn ledger() -> Scenario {
    scenario(
        "ledger",
        "histories of one message, 64 mode connections, with a ledger that is written every \
            second; baseline: without a ledger",
        load("history --messages 1 --ledger-interval 1s", &READERS),
        Some(load("history --messages 1 --no-ledger", &READERS)),
    )
}

fn sends(store: &str, name: &str) -> Scenario {
    let inserts = [("--rows", "100", "100"), ("--seconds", "1.5", "0.1")];
    let sends = [("--connections", "1,64,512", "1,8"), ("--pipelined", "256", "16"), SECONDS];
    scenario(
        format!("sends-{store}"),
        format!(
            "durable acknowledged sends, mode, {name}; baseline: plain inserts into the same table"
        ),
        load(&format!("sends --store {store}"), &sends),
        Some(load(&format!("inserts --store {store}"), &inserts)),
    )
}

fn idle_mode() -> Scenario {
    let amounts = [("--connections", "10000", "100"), ("--more", "8000", "20")];
    once(scenario(
        "idle-mode",
        "idle connections, and up to 8,000 more as the limit of open files allows; baseline: the \
            floor",
        load("idle --subject tolmach --wire mode", &amounts),
        Some(load("idle --subject floor", &amounts)),
    ))
}

fn idle_bearer() -> Scenario {
    let amounts = [("--connections", "10000", "100"), ("--more", "0", "20")];
    let work = load("idle --subject tolmach --wire bearer", &amounts);
    once(scenario("idle-bearer", "idle connections", work, None))
}

fn history() -> Scenario {
    let amounts = [("--connections", "64", "4"), ("--messages", "50", "5"), SECONDS];
    let work = load("history", &amounts);
    scenario("history", "histories of 50 messages, 64 mode connections", work, None)
}

fn storm() -> Scenario {
    let amounts = [
        ("--members", "1000", "40"),
        ("--logins", "100", "5"),
        ("--cost", "12", "6"),
        ("--rate", "20000", "4000"),
        SECONDS,
    ];
    scenario(
        "storm",
        "a group of 1,000 mode connections at 20,000 deliveries a second, without and during 100 \
            logins at once (bcrypt, cost 12)",
        load("storm", &amounts),
        None,
    )
}

fn nodes() -> Scenario {
    scenario(
        "nodes",
        "64 mode connections send to one gateway, one receives from another; PostgreSQL and Redis \
            between them",
        load("nodes", &[("--connections", "64", "4"), SECONDS]),
        None,
    )
}

fn start() -> Scenario {
    let work = load("start", &[("--messages", "1000000", "2000")]);
    once(scenario("start", "a start on SQLite", work, None))
}

fn growth() -> Scenario {
    let groups = |connections, flows| {
        let amounts = [
            ("--members", "1000", "20"),
            ("--connections", connections, "60"),
            ("--flows", flows, "10"),
            ("--messages", "1000", "6"),
        ];
        load("growth", &amounts)
    };
    scenario(
        "growth",
        "groups of 1,000 mode connections, one message in flight, of 10,000 connections and \
            flows; baseline: one group alone",
        groups("10000", "10000"),
        Some(groups("1000", "1")),
    )
}

fn bridge(clients: &str, server: &str) -> Scenario {
    once(scenario(
        format!("bridge-{clients}-{server}"),
        format!(
            "messages and acknowledgements of {clients} clients over a bridge to a gateway of \
                {server}, 64 connections, times of one; baseline: {server} clients over a plain \
                proxy"
        ),
        load(&format!("passing --through bridge --wire {clients} --upstream {server}"), &PASSING),
        Some(load(&format!("passing --through proxy --upstream {server}"), &PASSING)),
    ))
}

fn record_proxy() -> Scenario {
    once(scenario(
        "record-proxy",
        "messages and acknowledgements of mode clients through `tolmach record`; baseline: a plain \
            proxy",
        load("passing --through recorder --upstream mode", &PASSING),
        Some(load("passing --through proxy --upstream mode", &PASSING)),
    ))
}

fn diff() -> Scenario {
    once(scenario(
        "diff",
        "`tolmach diff` of two captures of 1,000 mode connections",
        load("diff", &[("--frames", "1000000", "2000")]),
        None,
    ))
}

fn decode() -> Scenario {
    once(scenario("decode", "decoding of a request, encoding of a response, ns", Work::Wire, None))
}

/// A run of the load generator: its fixed arguments, as on a command line, and its amounts.
fn load(fixed: &str, amounts: &[Amount]) -> Work {
    let fixed = fixed.split(' ').map(Argument::fixed);
    let amounts = amounts.iter().flat_map(|(name, whole, short)| {
        let amount = Argument { whole: (*whole).to_owned(), short: (*short).to_owned() };
        [Argument::fixed(name), amount]
    });
    Work::Load(fixed.chain(amounts).collect())
}

fn scenario(
    name: impl Into<String>,
    title: impl Into<String>,
    tolmach: Work,
    baseline: Option<Work>,
) -> Scenario {
    Scenario { name: name.into(), title: title.into(), tolmach, baseline, once: false }
}

fn once(scenario: Scenario) -> Scenario {
    Scenario { once: true, ..scenario }
}

/// Ids for tests of other modules.
#[cfg(test)]
pub(super) fn test_dialects() -> Vec<String> {
    ["action", "bearer", "mode", "morelia", "sndmsg"].map(String::from).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_names_of_their_own() {
        let mut names: Vec<_> =
            all(&test_dialects()).into_iter().map(|scenario| scenario.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_short_run_has_the_same_arguments_with_smaller_amounts() {
        let Work::Load(arguments) = load("history --a b", &[("--connections", "64", "4")]) else {
            panic!("a run of the load generator")
        };
        let line = |short| {
            arguments.iter().map(|argument| argument.value(short)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            (line(false).as_str(), line(true).as_str()),
            ("history --a b --connections 64", "history --a b --connections 4")
        );
    }
}
