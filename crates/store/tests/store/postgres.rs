//! PostgreSQL: several nodes on one database, and failures of servers and networks.

use crate::fixtures::{Gate, group, new_user, now, page_of, post, user};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement, TransactionTrait};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tolmach_domain::{
    ExternalId, Fault, Flow, HistoryRange, IdNamespace, Message, MessageId, User, Version,
};
use tolmach_engine::ErrorChain;
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{
    Bus, FlowStore, ImportChunk, ImportUser, MessageStore, SessionStore, Signal, Store, StoreError,
    UserStore, WorldStore,
};
use tolmach_store::{Options, SqlStore, migrate};
use tolmach_test_servers::{Durability, Postgres, Proxy};

async fn open(url: &str, options: Options) -> Arc<SqlStore> {
    SqlStore::open(url, Arc::new(MemoryBus::new()), options).await.expect("the server is up")
}

/// Options with a long timeout, for tests that do not test it.
fn patient() -> Options {
    Options { timeout: Duration::from_secs(60), ..Options::default() }
}

/// Options with a short timeout, for tests in which calls time out.
fn impatient() -> Options {
    Options { timeout: Duration::from_secs(2), ..Options::default() }
}

/// A connection of the server's administrator.
async fn administrator(server: &Postgres) -> DatabaseConnection {
    Database::connect(format!("postgres://postgres@{}/tolmach", server.address()))
        .await
        .expect("the server is up")
}

/// Posts until the store answers again. The calls wait, so there is no pause between them.
async fn post_until_answered(store: &SqlStore, flow: &Flow, author: &User) -> Message {
    loop {
        match post(store, flow, author, "after".into()).await {
            Ok(message) => return message,
            Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Posts until the store is unavailable, and returns the acknowledged messages.
fn load(
    store: &Arc<SqlStore>,
    flow: &Flow,
    author: &User,
    name: usize,
) -> JoinHandle<Vec<MessageId>> {
    let (store, flow, author) = (store.clone(), flow.clone(), author.clone());
    tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        loop {
            match post(&store, &flow, &author, format!("{name}.{}", acknowledged.len())).await {
                Ok(message) => acknowledged.push(message.id),
                Err(StoreError::Unavailable(_)) => return acknowledged,
                Err(error) => panic!("{error}"),
            }
        }
    })
}

/// Waits until a store has committed this many more changes.
async fn committed(store: &SqlStore, more: u64) {
    let start = store.stats().jobs;
    while store.stats().jobs < start + more {
        tokio::task::yield_now().await;
    }
}

fn is_unavailable<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

/// Asserts that all acknowledged messages are there, once, with versions without gaps.
async fn assert_holds(store: &SqlStore, flow: &Flow, acknowledged: &[MessageId]) {
    let messages =
        store.messages_after(flow.id, Version(0), u32::MAX).await.expect("the store answers");
    let stored: BTreeSet<MessageId> = messages.iter().map(|message| message.id).collect();
    assert_eq!(stored.len(), messages.len());
    let missing: Vec<_> = acknowledged.iter().filter(|id| !stored.contains(id)).collect();
    assert!(missing.is_empty(), "acknowledged, but missing: {missing:?}");
    assert!(
        messages.iter().map(|message| message.version.0).eq(1..=messages.len() as i64),
        "versions have gaps"
    );
    assert!(
        messages.is_sorted_by(|one, next| one.changed_at < next.changed_at && one.id < next.id)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_on_one_database_write_to_one_flow_in_one_order() {
    const WRITERS: usize = 8;
    const POSTS: usize = 40;
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let buses =
        [Arc::new(MemoryBus::new()), Arc::new(MemoryBus::new()), Arc::new(MemoryBus::new())];
    let mut stores = Vec::new();
    let mut receivers = Vec::new();
    for bus in &buses {
        receivers.push(bus.receivers(1).remove(0));
        stores.push(SqlStore::open(&server.url(), bus.clone(), patient()).await.unwrap());
    }
    let anna = user(&stores[0], "anna").await;
    let flow = group(&stores[1], &anna).await;
    let mut tasks = Vec::new();
    for (node, store) in stores.iter().enumerate() {
        for writer in 0..WRITERS {
            let (store, flow, anna) = (store.clone(), flow.clone(), anna.clone());
            tasks.push(tokio::spawn(async move {
                let mut posted = Vec::new();
                for number in 0..POSTS {
                    posted.push(
                        post(&store, &flow, &anna, format!("{node}.{writer}.{number}"))
                            .await
                            .unwrap()
                            .id,
                    );
                }
                posted
            }));
        }
    }
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    for store in &stores {
        assert_holds(store, &flow, &acknowledged).await;
        assert_eq!(
            store.messages_after(flow.id, Version(0), u32::MAX).await.unwrap().len(),
            acknowledged.len()
        );
        assert_eq!(store.stats().failures, 0);
        store.close().await;
    }
    // Each node publishes its commits in the order of the versions.
    drop((stores, buses));
    let mut versions = Vec::new();
    for mut receiver in receivers {
        let mut last = Version(0);
        while let Some(signal) = receiver.next().await {
            let Signal::Events(events) = signal else { panic!("nothing is lost within a process") };
            for (first, _) in events.iter().filter_map(|event| event.versions()) {
                assert!(first > last);
                last = first;
                versions.push(first.0);
            }
        }
    }
    versions.sort_unstable();
    assert!(versions.into_iter().eq(1..=acknowledged.len() as i64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_migrations_are_applied_once() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let url = server.url();
            tokio::spawn(async move { migrate(&url).await.unwrap() })
        })
        .collect();
    let mut applied = Vec::new();
    for task in tasks {
        applied.push(task.await.unwrap());
    }
    applied.retain(|names| !names.is_empty());
    assert_eq!(applied.len(), 1, "{applied:?}");
    assert!(applied[0].len() >= 5 && applied[0].is_sorted(), "{applied:?}");
    assert_eq!(migrate(&server.url()).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_under_load_loses_no_acknowledged_message() {
    let Some(server) = Postgres::start_or_skip(Durability::Full) else { return };
    let stores = [open(&server.url(), impatient()).await, open(&server.url(), impatient()).await];
    let anna = user(&stores[0], "anna").await;
    let flow = group(&stores[0], &anna).await;
    let mut acknowledged = Vec::new();
    for ending in [Postgres::stop_immediately, Postgres::kill] {
        let tasks: Vec<_> =
            (0..8).map(|number| load(&stores[number % 2], &flow, &anna, number)).collect();
        committed(&stores[0], 100).await;
        ending(&server);
        for task in tasks {
            acknowledged.extend(task.await.unwrap());
        }
        for store in &stores {
            assert!(is_unavailable(&post(store, &flow, &anna, "during".into()).await));
            assert!(is_unavailable(&store.ping().await));
            assert!(is_unavailable(
                &store.history(page_of(&flow, &anna, HistoryRange::All, 10)).await
            ));
        }
        server.start_again();
        for store in &stores {
            acknowledged.push(post_until_answered(store, &flow, &anna).await.id);
            assert_holds(store, &flow, &acknowledged).await;
        }
    }
    for store in stores {
        store.close().await;
    }
}

/// Reads that were cancelled while they began must not leave their old snapshot to later ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_after_a_network_failure_see_the_current_state() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let network = Proxy::to(&server.address());
    let hasty = Options { timeout: Duration::from_millis(300), ..Options::default() };
    let store = open(&server.url_at(&network.address()), hasty).await;
    let direct = open(&server.url(), patient()).await;
    let anna = user(&direct, "anna").await;
    let flow = group(&direct, &anna).await;
    let mut posted = 0;
    for _ in 0..3 {
        let all = || {
            (0..16)
                .map(|_| {
                    tokio::spawn({
                        let (store, flow, anna) = (store.clone(), flow.id, anna.id);
                        async move { store.flow_summary(flow, Some(anna), true, 8 << 20).await }
                    })
                })
                .collect::<Vec<_>>()
        };
        for read in all() {
            let _ = read.await.unwrap();
        }
        network.cut();
        for read in all() {
            let outcome = read.await.unwrap();
            // Those that would wait for too many others of the same user are refused at once.
            let is_refused = outcome == Err(StoreError::Refused(Fault::Unavailable));
            assert!(is_unavailable(&outcome) || is_refused, "{outcome:?}");
        }
        network.heal();
        while store.ping().await.is_err() {}
        for _ in 0..20 {
            post(&direct, &flow, &anna, "new".into()).await.unwrap();
            posted += 1;
            for _ in 0..4 {
                // On any connection.
                match store.messages_after(flow.id, Version(0), 1_000).await {
                    Ok(messages) => assert_eq!(messages.len(), posted),
                    Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
                }
            }
        }
    }
    direct.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_an_idle_server_fails_no_call() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = open(&server.url(), patient()).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    let read_by_all = async || {
        let reads = (0..32).map(|_| {
            tokio::spawn({
                let (store, flow) = (store.clone(), flow.id);
                async move { store.flow(flow).await }
            })
        });
        for read in reads.collect::<Vec<_>>() {
            assert_eq!(read.await.unwrap().map(|flow| flow.is_some()), Ok(true));
        }
    };
    for _ in 0..3 {
        read_by_all().await;
        server.stop_immediately();
        server.start_again();
        // All connections are dead, which no caller notices.
        read_by_all().await;
        post(&store, &flow, &anna, "after".into()).await.unwrap();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_is_unavailable_until_it_resumes() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = open(&server.url(), impatient()).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    let tasks: Vec<_> = (0..8).map(|number| load(&store, &flow, &anna, number)).collect();
    committed(&store, 100).await;
    server.pause();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    // More calls than connections.
    for _ in 0..6 {
        let (posted, read) =
            tokio::join!(post(&store, &flow, &anna, "during".into()), store.flow(flow.id));
        assert!(is_unavailable(&posted) && is_unavailable(&read), "{posted:?} {read:?}");
    }
    assert!(is_unavailable(&store.ping().await));
    server.resume();
    acknowledged.push(post_until_answered(&store, &flow, &anna).await.id);
    while store.ping().await.is_err() {}
    assert_holds(&store, &flow, &acknowledged).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_does_not_wait_for_a_paused_server() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = open(&server.url(), impatient()).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    server.pause();
    let (posted, read) =
        tokio::join!(post(&store, &flow, &anna, "during".into()), store.flow(flow.id));
    assert!(is_unavailable(&posted) && is_unavailable(&read), "{posted:?} {read:?}");
    store.close().await;
    server.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beyond_the_pool_time_out_and_the_writer_works() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = open(&server.url(), Options { read_connections: 2, ..impatient() }).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    // Only reads of sessions wait for this lock.
    let other = administrator(&server).await;
    let held = other.begin().await.unwrap();
    held.execute_unprepared("LOCK TABLE session IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let stuck: Vec<_> = (1..=6)
        .map(|id| {
            let store = store.clone();
            tokio::spawn(
                async move { store.session(tolmach_domain::SessionId::new(id).unwrap()).await },
            )
        })
        .collect();
    post_until_answered(&store, &flow, &anna).await;
    for outcome in stuck {
        let outcome = outcome.await.unwrap();
        assert!(is_unavailable(&outcome), "{outcome:?}");
    }
    held.rollback().await.unwrap();
    while store.flow(flow.id).await.is_err() {}
    // A server whose limit of connections is reached.
    other.execute_unprepared("ALTER ROLE tolmach CONNECTION LIMIT 0").await.unwrap();
    other
        .execute_unprepared(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tolmach'",
        )
        .await
        .unwrap();
    for _ in 0..2 {
        assert!(is_unavailable(&post(&store, &flow, &anna, "none left".into()).await));
    }
    while !is_unavailable(&store.flow(flow.id).await) {}
    other.execute_unprepared("ALTER ROLE tolmach CONNECTION LIMIT -1").await.unwrap();
    let last = post_until_answered(&store, &flow, &anna).await;
    while store.flow(flow.id).await.is_err() {}
    assert_holds(&store, &flow, &[last.id]).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_table_is_waited_for_no_longer_than_the_timeout() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = open(&server.url(), impatient()).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    let other = administrator(&server).await;
    let held = other.begin().await.unwrap();
    held.execute_unprepared("SELECT last FROM commit_clock FOR UPDATE").await.unwrap();
    held.execute_unprepared("LOCK TABLE message IN EXCLUSIVE MODE").await.unwrap();
    for _ in 0..2 {
        assert!(is_unavailable(&post(&store, &flow, &anna, "during".into()).await));
        assert!(is_unavailable(&store.create_user(new_user("boris"), now()).await));
        assert_eq!(store.flow(flow.id).await.unwrap().map(|flow| flow.version), Some(Version(0)));
    }
    held.rollback().await.unwrap();
    // The change that was under way when its caller timed out may have been committed before.
    let last = post_until_answered(&store, &flow, &anna).await;
    assert_holds(&store, &flow, &[last.id]).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_vanishes_within_a_transaction_blocks_no_other() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let network = Proxy::to(&server.address());
    let here = open(&server.url(), impatient()).await;
    let away = open(&server.url_at(&network.address()), impatient()).await;
    let anna = user(&here, "anna").await;
    let flow = group(&here, &anna).await;
    // Its transaction waits for a lock when the network fails, so that the server does not learn
    // that the node is gone.
    let other = administrator(&server).await;
    let held = other.begin().await.unwrap();
    held.execute_unprepared("LOCK TABLE message IN SHARE MODE").await.unwrap();
    let lost = load(&away, &flow, &anna, 0);
    let waiting = Statement::from_string(
        held.get_database_backend(),
        "SELECT pid FROM pg_locks WHERE NOT granted",
    );
    while held.query_all_raw(waiting.clone()).await.unwrap().is_empty() {}
    network.cut();
    held.rollback().await.unwrap();
    assert_eq!(lost.await.unwrap(), []);
    for _ in 0..6 {
        let (posted, read) =
            tokio::join!(post(&away, &flow, &anna, "during".into()), away.flow(flow.id));
        assert!(is_unavailable(&posted) && is_unavailable(&read), "{posted:?} {read:?}");
    }
    let mut acknowledged = vec![post_until_answered(&here, &flow, &anna).await.id];
    network.heal();
    acknowledged.push(post_until_answered(&away, &flow, &anna).await.id);
    while away.ping().await.is_err() {}
    for store in [here, away] {
        assert_holds(&store, &flow, &acknowledged).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_change_that_timed_out_before_it_began_is_not_made() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let gate = Arc::new(Gate { open: Semaphore::new(1), bus: MemoryBus::new() });
    let store = SqlStore::open(&server.url(), gate.clone(), impatient()).await.unwrap();
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    // The first is committed, and the gate delays its publication. The others have not begun.
    for text in ["first", "second", "third"] {
        assert!(is_unavailable(&post(&store, &flow, &anna, text.into()).await));
    }
    gate.open.add_permits(10);
    assert_eq!(
        post(&store, &flow, &anna, "fourth".into()).await.map(|message| message.version),
        Ok(Version(2))
    );
    store.close().await;
}

#[tokio::test]
async fn logins_are_ordered_by_their_bytes_with_any_locale() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let other = administrator(&server).await;
    let create = "CREATE DATABASE elsewhere OWNER tolmach \
         LOCALE_PROVIDER icu ICU_LOCALE 'en-US' TEMPLATE template0";
    other.execute_unprepared(create).await.unwrap();
    let store =
        open(&format!("postgresql://tolmach@{}/elsewhere", server.address()), patient()).await;
    // An English collation orders "a_b", "aa", "a-c"; the order of the bytes is another.
    let mut logins = ["a_b", "aa", "a-c", "ä", "z", "b", "a1"];
    for login in logins {
        user(&store, login).await;
    }
    logins.sort_unstable();
    let found: Vec<String> =
        store.search_users("", 10).await.unwrap().into_iter().map(|user| user.login).collect();
    assert_eq!(found, logins);
    store.close().await;
}

#[tokio::test]
async fn an_unusable_database_is_refused_with_the_reason() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let other = administrator(&server).await;
    other
        .execute_unprepared(
            "CREATE DATABASE bytes OWNER tolmach ENCODING 'SQL_ASCII' TEMPLATE template0",
        )
        .await
        .unwrap();
    let address = server.address();
    for (url, unavailable, expected) in [
        (format!("postgres://tolmach:hunter2@{address}/bytes"), false, "encoding is SQL_ASCII"),
        (format!("postgres://tolmach:hunter2@{address}/absent"), true, "\"absent\" does not exist"),
        (
            format!("postgres://stranger:hunter2@{address}/tolmach"),
            true,
            "\"stranger\" does not exist",
        ),
    ] {
        let Err(error) =
            SqlStore::open(&url, Arc::new(MemoryBus::new()), patient()).await.map(drop)
        else {
            panic!("{url} was opened")
        };
        let text = ErrorChain(&error).to_string();
        assert!(text.contains(expected) && !text.contains("hunter2"), "{text}");
        assert_eq!(matches!(error, StoreError::Unavailable(_)), unavailable, "{text}");
    }
}

#[tokio::test]
async fn settings_of_the_server_are_overridden_where_the_store_needs_others() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let other = administrator(&server).await;
    for setting in [
        "synchronous_commit = off",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
    ] {
        other.execute_unprepared(&format!("ALTER DATABASE tolmach SET {setting}")).await.unwrap();
    }
    let store = open(&server.url(), patient()).await;
    // The settings of the writer's transaction, recorded by a trigger within it.
    other
        .execute_unprepared(
            "CREATE TABLE seen (name text, value text); GRANT INSERT ON seen TO tolmach; \
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO public.seen SELECT name, setting FROM pg_settings WHERE name IN \
             ('synchronous_commit', 'transaction_isolation', \
             'idle_in_transaction_session_timeout', 'statement_timeout', 'lock_timeout', \
             'application_name'); RETURN NEW; END $$; \
             CREATE TRIGGER look AFTER INSERT ON \"user\" FOR EACH ROW EXECUTE FUNCTION look()",
        )
        .await
        .unwrap();
    store.create_user(new_user("anna"), now()).await.unwrap();
    let sql = Statement::from_string(
        other.get_database_backend(),
        "SELECT name || '=' || value AS line FROM seen ORDER BY name",
    );
    let rows = other.query_all_raw(sql).await.unwrap();
    let seen: Vec<String> = rows.iter().map(|row| row.try_get("", "line").unwrap()).collect();
    assert_eq!(
        seen,
        [
            "application_name=tolmach",
            "idle_in_transaction_session_timeout=3000",
            "lock_timeout=60000",
            "statement_timeout=60000",
            "synchronous_commit=on",
            "transaction_isolation=read committed",
        ]
    );
    store.close().await;
}

/// Without statistics the lists by which an import looks records up are taken for most of a table.
#[tokio::test]
async fn tables_are_counted_while_an_import_fills_them() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = open(&server.url(), patient()).await;
    let source: IdNamespace = "old".parse().expect("the name is plain");
    store.begin_import(&source).await.expect("writable");
    for chunk in 0..4_u128 {
        let users = (1..=500).map(|number| {
            let number = chunk * 500 + number;
            ImportUser {
                source_id: ExternalId(number),
                account: new_user(&format!("user{number}")),
                created_at: now(),
                deleted_at: None,
            }
        });
        let chunk = ImportChunk { users: users.collect(), ..ImportChunk::new(source.clone()) };
        store.import(chunk, now()).await.expect("writable");
    }
    let database = administrator(&server).await;
    let counted = "SELECT count(*) AS number FROM pg_class WHERE reltuples >= 500 \
         AND relname IN ('user', 'identifier', 'external_id')";
    let statement = Statement::from_string(database.get_database_backend(), counted);
    let row = database.query_one_raw(statement).await.expect("readable").expect("one row");
    assert_eq!(row.try_get::<i64>("", "number").expect("a number"), 3);
    store.close().await;
}
