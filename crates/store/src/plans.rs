//! Tests of the statements: their query plans, and their parameters.

use crate::batch::housekeeping_statements;
use crate::connect::{Target, Use, migrate};
use crate::sql::{self, ChangesScope, FlowScope, ListQuery, ListStatement, RowsStatement};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tolmach_test_servers::{Durability, Postgres};

#[tokio::test]
async fn sqlite_reads_no_whole_table_for_a_hot_statement() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("plans.db").display());
    let (target, limit) = (Target::parse(&url).unwrap(), std::time::Duration::from_secs(60));
    migrate(&target, limit).await.unwrap();
    let database = target.connect(Use::Write, limit).await.unwrap();
    let statements = statements(database.get_database_backend());
    let mut plans = Vec::new();
    for (name, sql) in statements {
        let explain = Statement::from_string(
            database.get_database_backend(),
            format!("EXPLAIN QUERY PLAN {sql}"),
        );
        let rows = database.query_all_raw(explain).await.unwrap();
        let steps: Vec<String> =
            rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
        assert!(!steps.is_empty(), "{name}");
        plans.push((name, steps));
    }
    for (name, steps) in &plans {
        for step in steps {
            let Some(scanned) =
                step.strip_prefix("SCAN ").and_then(|rest| rest.split_whitespace().next())
            else {
                continue;
            };
            // The result of an inner statement, a list of values and the index that has deleted
            // flows alone may be read whole.
            let inner = ["CO-ROUTINE", "MATERIALIZE"]
                .iter()
                .any(|made| steps.contains(&format!("{made} {scanned}")))
                || step.ends_with("VALUES CLAUSE")
                || step.ends_with(" INDEX flow_deleted")
                || scanned == "json_each"
                || scanned == "g"
                || scanned == "CONSTANT";
            assert!(inner, "{name}: {steps:#?}");
        }
    }
    let skip = &plans.iter().find(|(name, _)| name == "skip").unwrap().1;
    let after = &plans.iter().find(|(name, _)| name == "messages after").unwrap().1;
    assert!(after.iter().any(|step| step.contains("INDEX message_event ")), "{after:?}");
    assert!(skip.iter().any(|step| step.contains("COVERING INDEX message_visible")), "{skip:?}");
}

#[tokio::test]
async fn postgres_has_an_index_for_every_hot_statement() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let (target, limit) =
        (Target::parse(&server.url()).unwrap(), std::time::Duration::from_secs(60));
    migrate(&target, limit).await.unwrap();
    let database = target.connect(Use::Write, limit).await.unwrap();
    // Then the plan reads a whole table only where no index serves.
    database
        .execute_unprepared("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        .await
        .unwrap();
    for (name, sql) in statements(database.get_database_backend()) {
        let count = (1..).take_while(|number| sql.contains(&format!("${number}"))).count();
        let keyed = name.starts_with("keys") || name == "flow key";
        let kind = |number: usize| match (number, number % 2) {
            (_, 1) if keyed => "text",
            _ if name.starts_with("photos") => "text",
            _ if name.starts_with("login_counters") => "bytea",
            _ if name.starts_with("ledger clients by key") => "bytea",
            (0 | 1, _) if name.starts_with("ledger of a revision") => "text",
            (0, _) if name.starts_with("ledger of a party") => "text",
            (2.., _) if name.starts_with("new ledger clients") => "text",
            _ if name.starts_with("rows: ") => "text",
            _ if name.starts_with("list: ") && number + 1 == count => "text",
            (0, _) if name.contains("external id") => "text",
            (2.., _) if name.starts_with("objects of external") => "bytea",
            (2, _) if name == "highest external id" => "bytea",
            _ => "bigint",
        };
        let kinds = (0..count).map(kind).collect::<Vec<_>>().join(", ");
        database.execute_unprepared(&format!("PREPARE hot ({kinds}) AS {sql}")).await.unwrap();
        let nulls = vec!["NULL"; count].join(", ");
        let explain = Statement::from_string(
            database.get_database_backend(),
            format!("EXPLAIN EXECUTE hot ({nulls})"),
        );
        let rows = database.query_all_raw(explain).await.unwrap();
        let steps: Vec<String> =
            rows.iter().map(|row| row.try_get("", "QUERY PLAN").unwrap()).collect();
        assert!(
            !steps.is_empty() && steps.iter().all(|step| !step.contains("Seq Scan")),
            "{name}: {steps:#?}"
        );
        // Messages that were imported are not passed over.
        let is_of_events = steps.iter().any(|step| step.contains("using message_event "));
        assert_eq!(is_of_events, name == "messages after", "{name}: {steps:#?}");
        database.execute_unprepared("DEALLOCATE hot").await.unwrap();
    }
}

#[test]
fn statements_name_each_parameter_once_in_ascending_order() {
    let statements: [&ListStatement; 27] = [
        &sql::INSERT_MESSAGES,
        &sql::PUT_MESSAGE_KEYS,
        &sql::MESSAGE_KEYS,
        &sql::LOGIN_COUNTERS,
        &sql::MEMBERSHIPS,
        &sql::SET_ACTED,
        &sql::BLOCKERS,
        &sql::POSTING_FLOWS,
        &sql::SET_FLOW_VERSIONS,
        &sql::ACTIVE_USERS,
        &sql::FLOWS_OF_MESSAGES,
        &sql::DELETABLE_MESSAGES,
        &sql::MESSAGES,
        &sql::APPEND_EVENT,
        &sql::FLOWS,
        &sql::USER_SUMMARIES,
        sql::ADD_EXTERNAL_IDS.lists(),
        &sql::OBJECTS_OF_EXTERNAL_IDS,
        &sql::EXTERNAL_IDS_OF_OBJECTS,
        &sql::PHOTOS_OF_USERS,
        &sql::PHOTOS_OF_FLOWS,
        &sql::LEDGER_CLIENTS,
        &sql::NEW_LEDGER_CLIENTS,
        &sql::INSERT_LEDGER_CLIENTS,
        &sql::SET_LEDGER_DAYS,
        &sql::ADD_LEDGER_USES,
        &sql::LEDGER_USES,
    ];
    for (statement, length) in statements
        .into_iter()
        .flat_map(|statement| sql::chunk_lengths(1_023).map(move |length| (statement, length)))
    {
        let numbered = statement.sql(DbBackend::Postgres, length);
        let unnumbered = statement.sql(DbBackend::Sqlite, length);
        let mut pieces = unnumbered.split('?');
        let first = pieces.next().unwrap_or_default().to_owned();
        let restored = (1..)
            .zip(pieces)
            .fold(first, |text, (number, piece)| format!("{text}${number}{piece}"));
        assert_eq!(restored, numbered);
    }
}

fn statements(backend: DbBackend) -> Vec<(String, &'static str)> {
    let mut statements: Vec<(String, &'static str)> = vec![
        ("newest".into(), &sql::NEWEST_MESSAGES),
        ("newest up to".into(), &sql::NEWEST_MESSAGES_UP_TO),
        ("skip".into(), sql::SKIP_MESSAGES),
        ("counted blocks".into(), sql::COUNTED_BLOCKS),
        ("uncounted messages".into(), sql::COUNT_UNCOUNTED),
        ("block at an offset".into(), sql::BLOCK_AT_OFFSET),
        ("unread".into(), &sql::UNREAD_MESSAGES),
        ("messages after".into(), &sql::MESSAGES_AFTER),
        ("ids of all flows".into(), sql::flow_ids(FlowScope::All)),
        ("ids of a user's flows".into(), sql::flow_ids(FlowScope::Users)),
        ("ids of changed flows".into(), sql::flow_ids(FlowScope::Changed)),
        ("members of a flow".into(), &sql::MEMBERS),
        ("flow and membership".into(), &sql::FLOW_AND_MEMBERSHIP),
        ("acquaintances".into(), sql::ACQUAINTANCES.sql(backend)),
        ("count of members".into(), sql::COUNT_MEMBERS),
        ("versions".into(), sql::TAKE_VERSIONS),
        ("changed flows of some".into(), sql::SOME_FLOWS_CHANGED_AFTER.sql(backend)),
        ("flow key".into(), &sql::FLOW_KEY),
        ("has business member".into(), sql::HAS_BUSINESS_MEMBER),
        ("block in chat".into(), sql::BLOCK_IN_CHAT),
        ("blocked users".into(), &sql::BLOCKED_USERS),
        ("other blocks".into(), sql::COUNT_OTHER_BLOCKS),
        ("excess sessions".into(), sql::EXCESS_SESSIONS),
        ("next owner".into(), sql::NEXT_OWNER),
        ("highest external id".into(), sql::HIGHEST_EXTERNAL_ID_BELOW),
        ("highest object with an external id".into(), sql::HIGHEST_EXTERNAL_OBJECT),
        ("ledger of a revision: next".into(), sql::NEXT_LEDGER_REVISION),
        ("ledger of a revision: count".into(), sql::COUNT_LEDGER_CLIENTS),
        ("ledger of a revision".into(), &sql::LEDGER_CLIENTS_OF_REVISION),
        ("ledger of a party".into(), &sql::LEDGER_CLIENTS_OF_PARTY),
        ("ledger of a party: some".into(), sql::SOME_LEDGER_CLIENTS),
        ("remove ledger uses of a client".into(), sql::REMOVE_LEDGER_USES_OF_CLIENT),
        ("remove a ledger client".into(), sql::REMOVE_LEDGER_CLIENT),
    ];
    statements.extend(match backend {
        DbBackend::Postgres => vec![
            ("first changes".into(), sql::FIRST_CHANGES),
            ("next changes".into(), sql::NEXT_CHANGES),
            ("changes".into(), sql::CHANGES_AT.as_str()),
        ],
        _ => [ChangesScope::All, ChangesScope::One]
            .map(|scope| (format!("changes, {scope:?}"), sql::merged_changes(scope)))
            .into(),
    });
    for (name, statement) in [
        ("keys", &sql::MESSAGE_KEYS),
        ("memberships", &sql::MEMBERSHIPS),
        ("set acted", &sql::SET_ACTED),
        ("blockers", &sql::BLOCKERS),
        ("posting flows", &sql::POSTING_FLOWS),
        ("set flow versions", &sql::SET_FLOW_VERSIONS),
        ("active users", &sql::ACTIVE_USERS),
        ("flows of messages", &sql::FLOWS_OF_MESSAGES),
        ("deletable", &sql::DELETABLE_MESSAGES),
        ("messages", &sql::MESSAGES),
        ("user summaries", &sql::USER_SUMMARIES),
        ("login_counters", &sql::LOGIN_COUNTERS),
        ("objects of external ids", &sql::OBJECTS_OF_EXTERNAL_IDS),
        ("external ids of objects", &sql::EXTERNAL_IDS_OF_OBJECTS),
        ("photos of users", &sql::PHOTOS_OF_USERS),
        ("photos of flows", &sql::PHOTOS_OF_FLOWS),
        ("ledger clients by key", &sql::LEDGER_CLIENTS),
        ("new ledger clients", &sql::NEW_LEDGER_CLIENTS),
        ("set ledger days", &sql::SET_LEDGER_DAYS),
        ("ledger uses", &sql::LEDGER_USES),
    ] {
        statements.extend(
            [1, 64].map(|length| (format!("{name} {length}"), statement.sql(backend, length))),
        );
    }
    let queries: [(&str, &'static ListQuery); 17] = [
        ("message previews", &sql::MESSAGE_PREVIEWS),
        ("first members", &sql::FIRST_MEMBERS),
        ("first business members", &sql::FIRST_BUSINESS_MEMBERS),
        ("summaries", &sql::SUMMARIES),
        ("users", &sql::USERS),
        ("existing users", &sql::EXISTING_USERS),
        ("existing flows", &sql::EXISTING_FLOWS),
        ("newest versions", &sql::NEWEST_VERSIONS),
        ("counts of members", &sql::FORGET_MEMBER_COUNTS),
        ("flows of members", &sql::MEMBER_FLOWS),
        ("users of members", &sql::MEMBER_USERS),
        ("identities of messages", &sql::MESSAGE_IDENTITIES),
        ("contents of messages", &sql::MESSAGE_CONTENTS),
        ("pairs", &sql::PAIRS),
        ("authors", &sql::AUTHORS),
        ("taken identifiers", &sql::TAKEN_IDENTIFIERS),
        ("objects of external ids", &sql::OBJECTS_OF_MANY_EXTERNAL_IDS),
    ];
    statements.extend(queries.map(|(name, query)| (format!("list: {name}"), query.sql(backend))));
    let changes: [(&str, &'static RowsStatement); 2] = [
        ("newest versions", &sql::SET_NEWEST_VERSIONS),
        ("authors acted", &sql::SET_AUTHORS_ACTED),
    ];
    statements.extend(changes.map(|(name, change)| match backend {
        DbBackend::Postgres => (format!("rows: {name}"), change.arrays()),
        _ => (format!("rows: {name}"), change.lists().sql(backend, 64)),
    }));
    statements.extend(housekeeping_statements());
    statements
}
