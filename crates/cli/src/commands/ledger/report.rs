//! Reports about the ledger.

use super::target::{MissingOperations, Names};
use crate::commands::translate::Missing;
use crate::ledger_arguments::LedgerRows;
use crate::table::table;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use tolmach_domain::{Timestamp, UserId};
use tolmach_engine::ports::{LedgerClient, LedgerDay, LedgerRecord};

/// A client as a report has it.
pub(super) struct ClientRow {
    client: LedgerClient,
    login: Option<String>,
    first_at: Timestamp,
    last_at: Timestamp,
    pub(super) requests: u64,
    /// The requests of each operation.
    operations: BTreeMap<String, u64>,
    missing: MissingThere,
}

/// The losses of a client at a target.
enum MissingThere {
    /// There is no target.
    NoTarget,
    /// The client's revision is not one of this gateway.
    Unknown,
    /// Something of these of its operations, each with the part that is lost.
    Operations(BTreeMap<String, &'static str>),
}

impl ClientRow {
    pub(super) fn new(record: LedgerRecord) -> Self {
        let LedgerRecord { client, login, first_at, uses, .. } = record;
        let mut operations: BTreeMap<String, u64> = BTreeMap::new();
        for used in &uses {
            *operations.entry(used.operation.clone()).or_default() += used.requests;
        }
        Self {
            last_at: uses.iter().map(|used| used.last_at).max().unwrap_or(first_at),
            requests: operations.values().sum(),
            missing: MissingThere::NoTarget,
            client,
            login,
            first_at,
            operations,
        }
    }

    pub(super) fn user(&self) -> Option<UserId> {
        self.client.user
    }

    /// The dialect and the revision.
    pub(super) fn version(&self) -> (&str, &str) {
        (&self.client.dialect, &self.client.revision)
    }

    /// Compares what the client uses with what is missing at a target.
    pub(super) fn compare(&mut self, missing: Option<&MissingOperations>) {
        self.missing = missing.map_or(MissingThere::Unknown, |missing| {
            let used = self.operations.keys();
            let of_client = used.filter_map(|name| missing.get(name));
            let entries = of_client.map(|missing| (missing.operation.to_owned(), lost(missing)));
            MissingThere::Operations(entries.collect())
        });
    }

    /// The row as one JSON object on a line.
    pub(super) fn json(&self) -> String {
        let LedgerClient { user, address, agent, dialect, revision } = &self.client;
        let mut object = json!({
            "dialect": dialect,
            "revision": revision,
            "user": user.map(UserId::get),
            "login": self.login,
            "address": address,
            "agent": agent,
            "first": self.first_at.rfc3339(),
            "last": self.last_at.rfc3339(),
            "requests": self.requests,
            "operations": self.operations,
        });
        match &self.missing {
            MissingThere::NoTarget => {}
            MissingThere::Unknown => object["missing"] = Value::Null,
            MissingThere::Operations(missing) => {
                let missing = missing.iter().map(|(name, part)| (name.clone(), (*part).into()));
                object["missing"] = Value::Object(missing.collect());
            }
        }
        format!("{object}\n")
    }

    fn cells(&self) -> [String; 8] {
        let LedgerClient { user, address, agent, dialect, revision } = &self.client;
        let number = || user.map_or_else(|| "-".to_owned(), |user| user.to_string());
        [
            dialect.clone(),
            revision.clone(),
            self.login.clone().unwrap_or_else(number),
            or_dash(address),
            or_dash(agent),
            self.first_at.rfc3339(),
            self.last_at.rfc3339(),
            self.requests.to_string(),
        ]
    }

    fn missing_cell(&self) -> String {
        match &self.missing {
            MissingThere::NoTarget => String::new(),
            MissingThere::Unknown => "unknown".to_owned(),
            MissingThere::Operations(missing) => {
                let name = |(name, part): (&String, &&str)| match *part {
                    ALL => name.clone(),
                    part => format!("{name} ({part})"),
                };
                or_dash(&missing.iter().map(name).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Nothing is left of an operation.
const ALL: &str = "all";

/// The part of an operation that is lost, in the words of `tolmach translate --table`.
fn lost(missing: &Missing) -> &'static str {
    match (missing.is_whole, missing.is_other_way) {
        (true, _) => ALL,
        (false, true) => "form",
        (false, false) => "part",
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// Clients as a table.
pub(super) fn client_table(rows: &[ClientRow]) -> String {
    let heading = ["DIALECT", "REVISION", "USER", "ADDRESS", "AGENT", "FIRST", "LAST", "REQUESTS"];
    if rows.iter().all(|row| matches!(row.missing, MissingThere::NoTarget)) {
        return table(heading, rows.iter().map(ClientRow::cells));
    }
    let [dialect, revision, user, address, agent, first, last, requests] = heading;
    let heading = [dialect, revision, user, address, agent, first, last, requests, "MISSING THERE"];
    let cells = |row: &ClientRow| {
        let [dialect, revision, user, address, agent, first, last, requests] = row.cells();
        let missing = row.missing_cell();
        [dialect, revision, user, address, agent, first, last, requests, missing]
    };
    table(heading, rows.iter().map(cells))
}

/// The losses that these clients would have, each in a sentence.
pub(super) fn sentences(
    rows: &[ClientRow],
    missing: &BTreeMap<Names, Option<MissingOperations>>,
) -> String {
    let mut lines = BTreeSet::new();
    for row in rows {
        let (dialect, revision) = row.version();
        let names = (dialect.to_owned(), revision.to_owned());
        let Some(Some(of_revision)) = missing.get(&names) else { continue };
        let used = row.operations.keys().filter_map(|name| of_revision.get(name));
        lines.extend(used.map(|missing| {
            format!("{dialect}/{revision} {}: {}\n", missing.operation, missing.sentence)
        }));
    }
    let text: String = lines.into_iter().collect();
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// Sums over clients.
pub(super) struct Sums {
    rows: LedgerRows,
    /// By dialect, revision and operation, or by week, dialect and revision.
    sums: BTreeMap<[String; 3], Sum>,
}

#[derive(Default)]
struct Sum {
    clients: u64,
    users: HashSet<UserId>,
    requests: u64,
    last_at: Timestamp,
}

impl Sums {
    pub(super) fn new(rows: LedgerRows) -> Self {
        Self { rows, sums: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, record: &LedgerRecord) {
        let LedgerClient { user, dialect, revision, .. } = &record.client;
        let mut counted = BTreeSet::new();
        for used in &record.uses {
            let (dialect, revision) = (dialect.clone(), revision.clone());
            let key = match self.rows {
                LedgerRows::Week => [date(week(used.day)), dialect, revision],
                LedgerRows::Client | LedgerRows::Operation => {
                    [dialect, revision, used.operation.clone()]
                }
            };
            let sum = self.sums.entry(key.clone()).or_default();
            sum.clients += u64::from(counted.insert(key));
            sum.users.extend(user);
            sum.requests = sum.requests.saturating_add(used.requests);
            sum.last_at = sum.last_at.max(used.last_at);
        }
    }

    /// The sums as a table.
    pub(super) fn text(
        &self,
        missing: Option<&BTreeMap<Names, Option<MissingOperations>>>,
    ) -> String {
        let rows = self.sums.iter().map(|(names, sum)| (names.clone(), sum));
        if self.rows == LedgerRows::Week {
            let heading = ["WEEK", "DIALECT", "REVISION", "CLIENTS", "USERS", "REQUESTS"];
            let cells = |([week, dialect, revision], sum): ([String; 3], &Sum)| {
                let [clients, users, requests] = sum.numbers();
                [week, dialect, revision, clients, users, requests]
            };
            return table(heading, rows.map(cells));
        }
        let last = if missing.is_some() { "MISSING THERE" } else { "" };
        let heading =
            ["DIALECT", "REVISION", "OPERATION", "CLIENTS", "USERS", "REQUESTS", "LAST", last];
        table(
            heading,
            rows.map(|(names, sum)| {
                let there = missing.map(|missing| missing_there(missing, &names));
                let there = there.unwrap_or_default().to_owned();
                let ([clients, users, requests], last) = (sum.numbers(), sum.last_at.rfc3339());
                let [dialect, revision, operation] = names;
                [dialect, revision, operation, clients, users, requests, last, there]
            }),
        )
    }

    /// The sums as JSON objects, one on each line.
    pub(super) fn json(
        &self,
        missing: Option<&BTreeMap<Names, Option<MissingOperations>>>,
    ) -> String {
        let keys = match self.rows {
            LedgerRows::Week => ["week", "dialect", "revision"],
            LedgerRows::Client | LedgerRows::Operation => ["dialect", "revision", "operation"],
        };
        let object = |(names, sum): (&[String; 3], &Sum)| {
            let mut object = json!({
                "clients": sum.clients,
                "users": sum.users.len(),
                "requests": sum.requests,
                "last": sum.last_at.rfc3339(),
            });
            for (key, name) in keys.into_iter().zip(names) {
                object[key] = Value::from(name.as_str());
            }
            if let (LedgerRows::Operation, Some(missing)) = (self.rows, missing) {
                object["missing"] = Value::from(missing_there(missing, names));
            }
            format!("{object}\n")
        };
        self.sums.iter().map(object).collect()
    }
}

/// The part of an operation that is missing at a target.
fn missing_there(
    missing: &BTreeMap<Names, Option<MissingOperations>>,
    [dialect, revision, operation]: &[String; 3],
) -> &'static str {
    let of_revision = missing.get(&(dialect.clone(), revision.clone()));
    let Some(Some(of_revision)) = of_revision else { return "unknown" };
    match of_revision.get(operation) {
        None => "nothing",
        Some(missing) => lost(missing),
    }
}

impl Sum {
    fn numbers(&self) -> [String; 3] {
        [self.clients, self.users.len() as u64, self.requests].map(|number| number.to_string())
    }
}

/// The Monday of a day's week. The first day of all was a Thursday.
fn week(day: LedgerDay) -> LedgerDay {
    LedgerDay(day.0 - (day.0 + 3).rem_euclid(7))
}

/// The date of a day.
fn date(day: LedgerDay) -> String {
    day.start().rfc3339().chars().take_while(|letter| *letter != 'T').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_engine::ports::{LedgerClientId, LedgerUse};

    /// A Thursday.
    const DAY: LedgerDay = LedgerDay(20_727);

    fn used(operation: &str, day: LedgerDay, requests: u64) -> LedgerUse {
        let hour = |hour: u64| day.start().after(std::time::Duration::from_secs(hour * 3600));
        let (first_at, last_at) = (hour(9), hour(17));
        LedgerUse { operation: operation.into(), day, requests, first_at, last_at }
    }

    fn record(id: i64, login: Option<&str>, agent: &str, uses: Vec<LedgerUse>) -> LedgerRecord {
        LedgerRecord {
            id: LedgerClientId(id),
            client: LedgerClient {
                user: login.and_then(|_| UserId::new(id % 10).ok()),
                address: "10.1.2.0/24".into(),
                agent: agent.into(),
                dialect: "sndmsg".into(),
                revision: "uchat".into(),
            },
            login: login.map(str::to_owned),
            first_at: uses[0].first_at,
            uses,
        }
    }

    fn records() -> Vec<LedgerRecord> {
        let next_week = LedgerDay(DAY.0 + 4);
        vec![
            record(1, Some("anna"), "u/1", vec![used("login", DAY, 1), used("send", DAY, 5)]),
            record(11, Some("anna"), "", vec![used("send", DAY, 2), used("send", next_week, 3)]),
            record(2, None, "curl/8", vec![used("login", next_week, 40)]),
        ]
    }

    #[test]
    fn clients_are_a_table() {
        let rows: Vec<_> = records().into_iter().map(ClientRow::new).collect();
        assert_eq!(
            client_table(&rows),
            "\
DIALECT  REVISION  USER  ADDRESS      AGENT   FIRST                 LAST                  REQUESTS
sndmsg   uchat     anna  10.1.2.0/24  u/1     2026-10-01T09:00:00Z  2026-10-01T17:00:00Z  6
sndmsg   uchat     anna  10.1.2.0/24  -       2026-10-01T09:00:00Z  2026-10-05T17:00:00Z  5
sndmsg   uchat     -     10.1.2.0/24  curl/8  2026-10-05T09:00:00Z  2026-10-05T17:00:00Z  40
"
        );
    }

    fn missing() -> MissingOperations {
        let of = |operation, is_whole| Missing {
            operation,
            is_event: false,
            is_whole,
            is_other_way: false,
            forms: BTreeSet::new(),
            fields: BTreeSet::new(),
            sentence: format!("{operation} is missing"),
        };
        let all = [of("send", false), of("login", true), of("block", true)];
        all.into_iter().map(|missing| (missing.operation.to_owned(), missing)).collect()
    }

    #[test]
    fn clients_miss_what_they_use_and_the_target_has_not() {
        let mut rows: Vec<_> = records().into_iter().map(ClientRow::new).collect();
        rows.iter_mut().for_each(|row| row.compare(Some(&missing())));
        rows[2].compare(None);
        let cells: Vec<String> = rows.iter().map(ClientRow::missing_cell).collect();
        assert_eq!(cells, ["login, send (part)", "send (part)", "unknown"]);
        let text = client_table(&rows);
        assert!(text.lines().next().is_some_and(|heading| heading.ends_with("MISSING THERE")));
        assert_eq!(
            rows[0].json(),
            "{\"address\":\"10.1.2.0/24\",\"agent\":\"u/1\",\"dialect\":\"sndmsg\",\
             \"first\":\"2026-10-01T09:00:00Z\",\"last\":\"2026-10-01T17:00:00Z\",\
             \"login\":\"anna\",\"missing\":{\"login\":\"all\",\"send\":\"part\"},\
             \"operations\":{\"login\":1,\"send\":5},\"requests\":6,\"revision\":\"uchat\",\
             \"user\":1}\n"
        );
        let names = ("sndmsg".to_owned(), "uchat".to_owned());
        let computed = BTreeMap::from([(names, Some(missing()))]);
        assert_eq!(
            sentences(&rows, &computed),
            "\nsndmsg/uchat login: login is missing\nsndmsg/uchat send: send is missing\n"
        );
        let text = sums(LedgerRows::Operation).text(Some(&computed));
        let ends: Vec<&str> =
            text.lines().filter_map(|line| line.split_whitespace().next_back()).collect();
        assert_eq!(ends, ["THERE", "all", "part"]);
    }

    fn sums(rows: LedgerRows) -> Sums {
        let mut sums = Sums::new(rows);
        records().iter().for_each(|record| sums.add(record));
        sums
    }

    #[test]
    fn operations_are_summed_over_clients() {
        assert_eq!(
            sums(LedgerRows::Operation).text(None),
            "\
DIALECT  REVISION  OPERATION  CLIENTS  USERS  REQUESTS  LAST
sndmsg   uchat     login      2        1      41        2026-10-05T17:00:00Z
sndmsg   uchat     send       2        1      10        2026-10-05T17:00:00Z
"
        );
    }

    #[test]
    fn weeks_begin_on_monday_and_count_a_client_once() {
        let sums = sums(LedgerRows::Week);
        assert_eq!(
            sums.text(None),
            "\
WEEK        DIALECT  REVISION  CLIENTS  USERS  REQUESTS
2026-09-28  sndmsg   uchat     2        1      8
2026-10-05  sndmsg   uchat     2        1      43
"
        );
        assert_eq!(
            sums.json(None).lines().next(),
            Some(
                "{\"clients\":2,\"dialect\":\"sndmsg\",\"last\":\"2026-10-01T17:00:00Z\",\
                 \"requests\":8,\"revision\":\"uchat\",\"users\":1,\"week\":\"2026-09-28\"}"
            )
        );
    }
}
