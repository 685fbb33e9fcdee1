//! How SQLite goes about the statements that matter.

use crate::batch::Batch;
use crate::connect::{Target, Use, migrate};
use crate::sql::{self, Part};
use sea_orm::{ConnectionTrait, Statement};

/// Tables that may grow without bound: reading all of one is never right.
const LARGE: [&str; 4] = ["message", "flow", "member", "message_key"];

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("plans.db").display());
    let database = Target::parse(&url).unwrap().connect(Use::Write).await.unwrap();
    migrate(&database).await.unwrap();
    let mut statements: Vec<(String, &str)> = vec![
        ("newest".into(), &sql::NEWEST),
        ("newest up to".into(), &sql::NEWEST_UP_TO),
        ("skip".into(), sql::SKIP),
        ("unread".into(), &sql::UNREAD),
        ("since".into(), &sql::SINCE),
        ("changes".into(), &sql::CHANGES),
        ("changes in flow".into(), &sql::CHANGES_IN_FLOW),
        ("own overviews".into(), sql::overviews(Part::Own)),
        ("one overview".into(), sql::overviews(Part::One)),
        ("all overviews".into(), sql::overviews(Part::All)),
        ("versions".into(), sql::TAKE_VERSIONS),
    ];
    for (name, ladder) in [
        ("keys", &sql::KEYS),
        ("memberships", &sql::MEMBERSHIPS),
        ("flows", &sql::FLOWS),
        ("living", &sql::LIVING),
        ("flow of", &sql::FLOW_OF),
        ("deletable", &sql::DELETABLE),
        ("messages", &sql::MESSAGES),
        ("members", &sql::MEMBERS),
    ] {
        statements.extend([1, 64].map(|length| (format!("{name} {length}"), ladder.sql(length))));
    }
    let mut plans = Vec::new();
    for (name, sql) in statements {
        let explain = Statement::from_string(database.get_database_backend(), format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = database.query_all_raw(explain).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
        assert!(!steps.is_empty(), "{name}");
        plans.push((name, steps));
    }
    for (name, steps) in &plans {
        // Every flow is what that one is asked for, by its index and to a limit.
        let steps = steps.iter().filter(|step| !(name == "all overviews" && step.contains("USING INDEX flow_activity")));
        for step in steps {
            let scans = step.strip_prefix("SCAN ").and_then(|rest| rest.split_whitespace().next());
            let aliases = ["m", "n", "c", "e", "mb", "k"];
            assert!(
                !scans.is_some_and(|table| LARGE.contains(&table) || (aliases.contains(&table) && !steps_materialize(&plans, name, table))),
                "{name}: {step}"
            );
        }
    }
    let skip = &plans.iter().find(|(name, _)| name == "skip").unwrap().1;
    assert!(skip.iter().any(|step| step.contains("COVERING INDEX message_visible")), "{skip:?}");
    drop(Batch::begin(&database).await.unwrap());
}

/// Whether what a step calls `table` is the result of an inner statement rather than the table itself.
fn steps_materialize(plans: &[(String, Vec<String>)], name: &str, table: &str) -> bool {
    let steps = &plans.iter().find(|(known, _)| known == name).unwrap().1;
    steps.iter().any(|step| step == &format!("MATERIALIZE {table}") || step == &format!("CO-ROUTINE {table}"))
}
