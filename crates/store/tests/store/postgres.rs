//! What is PostgreSQL's own: several nodes on one database, and all that can happen to a server.

use crate::world::{Gate, group, new_user, now, page_of, post, user};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement, TransactionTrait};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tolmach_domain::{Flow, HistoryRange, Message, MessageId, User, Version};
use tolmach_engine::ErrorChain;
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{
    Bus, FlowStore, MessageStore, SessionStore, Signal, Store, StoreError, UserStore,
};
use tolmach_store::{Options, SqlStore, migrate};
use tolmach_test_servers::{Durability, Postgres, Proxy};

async fn open(url: &str, options: Options) -> Arc<SqlStore> {
    SqlStore::open(url, Arc::new(MemoryBus::new()), options).await.expect("the server is up")
}

/// For trials that time is not what they are about.
fn patient() -> Options {
    Options { timeout: Duration::from_secs(60), ..Options::default() }
}

/// For trials in which the store has to give up.
fn impatient() -> Options {
    Options { timeout: Duration::from_secs(2), ..Options::default() }
}

/// Somebody else's connection, as the server's administrator.
async fn administrator(server: &Postgres, database: &str) -> DatabaseConnection {
    Database::connect(format!("postgres://postgres@{}/{database}", server.address()))
        .await
        .expect("the server is up")
}

/// Posts until the store answers again. Every attempt waits for the store by itself.
async fn recover(store: &SqlStore, flow: &Flow, author: &User) -> Message {
    loop {
        match post(store, flow, author, "after".into()).await {
            Ok(message) => return message,
            Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Posts until the store is unavailable, and gives back what was acknowledged.
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

/// Waits until a store has committed so many changes more.
async fn committed(store: &SqlStore, more: u64) {
    let start = store.stats().jobs;
    while store.stats().jobs < start + more {
        tokio::task::yield_now().await;
    }
}

fn is_unavailable<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

/// All that was acknowledged is there, once, in one order without gaps.
async fn holds(store: &SqlStore, flow: &Flow, acknowledged: &[MessageId]) {
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
    let mut heard = Vec::new();
    for bus in &buses {
        heard.push(bus.receivers(1).remove(0));
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
        holds(store, &flow, &acknowledged).await;
        assert_eq!(
            store.messages_after(flow.id, Version(0), u32::MAX).await.unwrap().len(),
            acknowledged.len()
        );
        assert_eq!(store.stats().failures, 0);
        store.close().await;
    }
    // Each node publishes what it committed, in the order of the versions.
    drop((stores, buses));
    let mut versions = Vec::new();
    for mut heard in heard {
        let mut last = Version(0);
        while let Some(signal) = heard.next().await {
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
async fn migrations_run_once_however_many_start_them() {
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
async fn a_server_that_is_switched_off_under_load_loses_nothing_acknowledged() {
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
            acknowledged.push(recover(store, &flow, &anna).await.id);
            holds(store, &flow, &acknowledged).await;
        }
    }
    for store in stores {
        store.close().await;
    }
}

/// Reads that were given up while they began must not leave their moment behind for others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_after_the_network_was_away_sees_what_is_there_now() {
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
                        async move { store.flow_summary(flow, Some(anna), true).await }
                    })
                })
                .collect::<Vec<_>>()
        };
        for read in all() {
            let _ = read.await.unwrap();
        }
        network.cut();
        for read in all() {
            assert!(is_unavailable(&read.await.unwrap()));
        }
        network.heal();
        while store.ping().await.is_err() {}
        for _ in 0..20 {
            post(&direct, &flow, &anna, "new".into()).await.unwrap();
            posted += 1;
            for _ in 0..4 {
                // By whichever connection.
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
async fn a_server_that_was_restarted_meanwhile_refuses_nobody() {
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
        // Each connection that there was is dead, which is nobody's concern.
        read_by_all().await;
        post(&store, &flow, &anna, "after".into()).await.unwrap();
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_unavailable_until_it_goes_on() {
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
    // More often than there are connections.
    for _ in 0..6 {
        let (posted, read) =
            tokio::join!(post(&store, &flow, &anna, "during".into()), store.flow(flow.id));
        assert!(is_unavailable(&posted) && is_unavailable(&read), "{posted:?} {read:?}");
    }
    assert!(is_unavailable(&store.ping().await));
    server.resume();
    acknowledged.push(recover(&store, &flow, &anna).await.id);
    while store.ping().await.is_err() {}
    holds(&store, &flow, &acknowledged).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_does_not_wait_for_a_server_that_stands_still() {
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
async fn readers_beyond_the_pool_are_told_and_the_writer_goes_on() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = open(&server.url(), Options { read_connections: 2, ..impatient() }).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    // Nobody else reads sessions, so that only who asks for one waits.
    let other = administrator(&server, "tolmach").await;
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
    recover(&store, &flow, &anna).await;
    for outcome in stuck {
        let outcome = outcome.await.unwrap();
        assert!(is_unavailable(&outcome), "{outcome:?}");
    }
    held.rollback().await.unwrap();
    while store.flow(flow.id).await.is_err() {}
    // A server that has no connection left for anybody.
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
    let last = recover(&store, &flow, &anna).await;
    while store.flow(flow.id).await.is_err() {}
    holds(&store, &flow, &[last.id]).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_holds_is_not_waited_for_longer_than_a_call() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = open(&server.url(), impatient()).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    let other = administrator(&server, "tolmach").await;
    let held = other.begin().await.unwrap();
    held.execute_unprepared("SELECT last FROM commit_clock FOR UPDATE").await.unwrap();
    for _ in 0..2 {
        assert!(is_unavailable(&post(&store, &flow, &anna, "during".into()).await));
        assert_eq!(store.flow(flow.id).await.unwrap().map(|flow| flow.version), Some(Version(0)));
    }
    held.rollback().await.unwrap();
    // What was under way when its caller gave up may have been committed before.
    let last = recover(&store, &flow, &anna).await;
    holds(&store, &flow, &[last.id]).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_vanishes_in_the_middle_of_a_transaction_holds_nobody_up() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let network = Proxy::to(&server.address());
    let here = open(&server.url(), impatient()).await;
    let away = open(&server.url_at(&network.address()), impatient()).await;
    let anna = user(&here, "anna").await;
    let flow = group(&here, &anna).await;
    // It has begun, and waits for a lock when the network goes: it will never say what became of
    // its transaction.
    let other = administrator(&server, "tolmach").await;
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
    let mut acknowledged = vec![recover(&here, &flow, &anna).await.id];
    network.heal();
    acknowledged.push(recover(&away, &flow, &anna).await.id);
    while away.ping().await.is_err() {}
    for store in [here, away] {
        holds(&store, &flow, &acknowledged).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_any_more_is_left_out() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let gate = Arc::new(Gate { open: Semaphore::new(1), bus: MemoryBus::new() });
    let store = SqlStore::open(&server.url(), gate.clone(), impatient()).await.unwrap();
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    // The first two are committed, and the gate holds up what tells of it. The third has not begun.
    for text in ["first", "second", "third"] {
        assert!(is_unavailable(&post(&store, &flow, &anna, text.into()).await));
    }
    gate.open.add_permits(10);
    assert_eq!(
        post(&store, &flow, &anna, "fourth".into()).await.map(|message| message.version),
        Ok(Version(3))
    );
    store.close().await;
}

#[tokio::test]
async fn logins_sort_by_their_bytes_whatever_the_locale() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let other = administrator(&server, "postgres").await;
    let create = "CREATE DATABASE elsewhere OWNER tolmach LOCALE_PROVIDER icu ICU_LOCALE 'en-US' TEMPLATE template0";
    other.execute_unprepared(create).await.unwrap();
    let store =
        open(&format!("postgresql://tolmach@{}/elsewhere", server.address()), patient()).await;
    // An English collation has "a_b" before "aa" before "a-c"; the bytes have it otherwise.
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
async fn a_database_that_cannot_be_used_is_refused_with_the_reason() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let other = administrator(&server, "postgres").await;
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
async fn what_others_hold_differently_is_held_as_the_store_needs_it() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let other = administrator(&server, "tolmach").await;
    for setting in [
        "synchronous_commit = off",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
    ] {
        other.execute_unprepared(&format!("ALTER DATABASE tolmach SET {setting}")).await.unwrap();
    }
    let store = open(&server.url(), patient()).await;
    // What a transaction of the writer runs under, as the transaction itself has it.
    other
        .execute_unprepared(
            "CREATE TABLE seen (name text, value text); GRANT INSERT ON seen TO tolmach; \
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO public.seen SELECT name, setting FROM pg_settings WHERE name IN ('synchronous_commit', 'transaction_isolation', \
             'idle_in_transaction_session_timeout', 'statement_timeout', 'lock_timeout', 'application_name'); RETURN NEW; END $$; \
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
