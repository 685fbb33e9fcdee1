//! How SQLite goes about the statements that matter.

use crate::connect::{Target, Use, migrate};
use crate::sql::{self, Part};
use sea_orm::{ConnectionTrait, Statement};

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("plans.db").display());
    let (target, limit) = (Target::parse(&url).unwrap(), std::time::Duration::from_secs(60));
    migrate(&target, limit).await.unwrap();
    let database = target.connect(Use::Write, limit).await.unwrap();
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
        ("flow key".into(), sql::FLOW_KEY),
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
        ("tallies", &sql::TALLIES),
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
        for step in steps {
            let Some(scanned) = step.strip_prefix("SCAN ").and_then(|rest| rest.split_whitespace().next()) else { continue };
            // What an inner statement found may be read whole, and so may a list of values.
            let inner = steps.contains(&format!("CO-ROUTINE {scanned}")) || step.ends_with("VALUES CLAUSE") || scanned == "CONSTANT";
            assert!(inner, "{name}: {steps:#?}");
        }
    }
    let skip = &plans.iter().find(|(name, _)| name == "skip").unwrap().1;
    assert!(skip.iter().any(|step| step.contains("COVERING INDEX message_visible")), "{skip:?}");
}
