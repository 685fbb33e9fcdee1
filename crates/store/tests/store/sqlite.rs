//! SQLite: shared commits, shared files, and failures.

use crate::fixtures::{Gate, group, new_message, new_user, now, page_of, post, user};
use sea_orm::{ConnectionTrait, TransactionTrait};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tolmach_domain::{Fault, FlowKind, FlowKindFilter, HistoryRange, User, Version};
use tolmach_engine::ErrorChain;
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{
    Bus, CounterKey, CreateFlow, FlowCreation, FlowLimits, FlowStore, IdempotencyKey,
    LoginCounterStore, MessageStore, Retention, Signal, Store, StoreError, UserStore,
};
use tolmach_store::{Options, SqlStore, migrate};

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder can be created") }
    }

    fn url(&self, mode: &str) -> String {
        format!("sqlite://{}?mode={mode}", self.folder.path().join("a/b/tolmach.db").display())
    }

    async fn open(&self, bus: Arc<dyn Bus>) -> Arc<SqlStore> {
        let options = Options { timeout: Duration::from_secs(60), ..Options::default() };
        SqlStore::open(&self.url("rwc"), bus, options).await.expect("a new file can be opened")
    }
}

#[tokio::test]
async fn queued_posts_share_one_transaction() {
    const POSTS: usize = 300;
    let (file, gate) =
        (File::new(), Arc::new(Gate { open: Semaphore::new(1), bus: MemoryBus::new() }));
    let store = file.open(gate.clone()).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    let before = store.stats();
    let mut tasks = Vec::new();
    for number in 0..=POSTS {
        let (store, anna, flow) = (store.clone(), anna.clone(), flow.clone());
        tasks.push(tokio::spawn(async move {
            post(&store, &flow, &anna, number.to_string()).await.unwrap()
        }));
    }
    // The gate delays the publication of the first transaction; the other posts queue meanwhile.
    while store.stats().transactions == before.transactions {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    gate.open.add_permits(POSTS + 1);
    for task in tasks {
        task.await.unwrap();
    }
    let after = store.stats();
    assert_eq!(after.jobs - before.jobs, POSTS as u64 + 1);
    assert!(after.transactions - before.transactions <= 4, "{before:?} {after:?}");
    let page = store.history(page_of(&flow, &anna, HistoryRange::All, 1000)).await.unwrap();
    assert!(
        page.messages.iter().map(|message| message.posted).eq((1..=POSTS as i64 + 1).map(Version))
    );
    store.close().await;
}

#[tokio::test]
async fn a_user_with_many_large_messages_waiting_delays_another_by_one_transaction() {
    const TEXT: usize = 64 << 10;
    let (file, gate) =
        (File::new(), Arc::new(Gate { open: Semaphore::new(4), bus: MemoryBus::new() }));
    let store = file.open(gate.clone()).await;
    let [anna, boris] = [user(&store, "anna").await, user(&store, "boris").await];
    let (hers, his) = (group(&store, &anna).await, group(&store, &boris).await);
    // The gate delays the publication of the first message; with the second one committed, the
    // writer waits for it.
    gate.open.forget_permits(4);
    let before = store.stats().transactions;
    let mut messages = Vec::new();
    for number in 1..=2 {
        let message = new_message(&hers, &anna, number.to_string());
        messages.push(store.submit_message(message, now()).await.unwrap());
        while store.stats().transactions < before + number {
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..100 {
        let message = new_message(&hers, &anna, "x".repeat(TEXT));
        messages.push(store.submit_message(message, now()).await.unwrap());
    }
    let message = new_message(&his, &boris, "hello".into());
    let other = store.submit_message(message, now()).await.unwrap();
    gate.open.add_permits(200);
    let other = other.await.unwrap().into_message();
    let mut earlier = 0;
    for (message, version) in messages.into_iter().zip(1..) {
        let message = message.await.unwrap().into_message();
        assert_eq!(message.version, Version(version), "the messages of a user keep their order");
        earlier += usize::from(message.changed_at < other.changed_at);
    }
    assert!(earlier <= 2 + (1 << 20) / TEXT, "{earlier}");
    store.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    // The URL encodes the question mark of the path.
    let url = format!("sqlite://{}/a%3F/b/tolmach.db?mode=rwc", folder.path().display());
    let database = folder.path().join("a?/b/tolmach.db");
    let files = ["tolmach.db", "tolmach.db-wal", "tolmach.db-shm"];
    for others_read in [false, true] {
        if others_read {
            std::fs::set_permissions(&database, PermissionsExt::from_mode(0o644)).unwrap();
        }
        let store =
            SqlStore::open(&url, Arc::new(MemoryBus::new()), Options::default()).await.unwrap();
        user(&store, if others_read { "anna" } else { "boris" }).await;
        for file in files {
            assert_eq!(mode(&database.with_file_name(file)), 0o600, "{file} {others_read}");
        }
        for created in ["a?", "a?/b"] {
            assert_eq!(mode(&folder.path().join(created)), 0o700, "{created}");
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_file_lose_no_version() {
    const POSTS: i64 = 60;
    let file = File::new();
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let stores = [file.open(bus.clone()).await, file.open(bus).await];
    let anna = user(&stores[0], "anna").await;
    let flow = group(&stores[1], &anna).await;
    let tasks = stores.clone().map(|store| {
        let (anna, flow) = (anna.clone(), flow.clone());
        tokio::spawn(async move {
            for number in 0..POSTS {
                post(&store, &flow, &anna, number.to_string()).await.unwrap();
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    for store in &stores {
        let messages = store.messages_after(flow.id, Version(0), 1000).await.unwrap();
        assert!(messages.iter().map(|message| message.version).eq((1..=POSTS * 2).map(Version)));
        assert!(
            messages.is_sorted_by(|one, next| one.changed_at < next.changed_at && one.id < next.id)
        );
        assert_eq!(store.stats().failures, 0);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_migrations_are_applied_once() {
    let file = File::new();
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn({
                let url = file.url("rwc");
                async move { migrate(&url).await.unwrap() }
            })
        })
        .collect();
    let mut applied = Vec::new();
    for task in tasks {
        applied.push(task.await.unwrap());
    }
    applied.retain(|names| !names.is_empty());
    assert_eq!(applied.len(), 1, "{applied:?}");
    assert!(applied[0].len() >= 5 && applied[0].is_sorted(), "{applied:?}");
    assert_eq!(migrate(&file.url("rwc")).await, Ok(vec![]));
}

#[tokio::test]
async fn acknowledged_messages_are_there_after_reopening() {
    let file = File::new();
    let store = file.open(Arc::new(MemoryBus::new())).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    let first = post(&store, &flow, &anna, "first".into()).await.unwrap();
    store.close().await;
    let store = file.open(Arc::new(MemoryBus::new())).await;
    let second = post(&store, &flow, &anna, "second".into()).await.unwrap();
    assert_eq!(
        (second.version, second.id > first.id, second.changed_at > first.changed_at),
        (Version(2), true, true)
    );
    assert_eq!(
        store.history(page_of(&flow, &anna, HistoryRange::All, 10)).await.unwrap().messages,
        [first, second]
    );
    store.close().await;
}

#[tokio::test]
async fn urls_that_are_not_served_are_refused_with_the_reason() {
    for (url, expected) in [
        ("mysql://tolmach:secret@localhost/tolmach", "served are sqlite"),
        ("tolmach.db", "served are sqlite"),
        ("secret", "served are sqlite"),
        ("postgres://tolmach:secret@localhost:port/tolmach", "port"),
        ("postgresql://tolmach:secret@localhost/tolmach?sslmode=maybe", "maybe"),
        ("sqlite::memory:", "names no file"),
        ("sqlite://?mode=rwc", "names no file"),
        ("sqlite://x.db?mode=memory", "names no file"),
    ] {
        let refused = SqlStore::open(url, Arc::new(MemoryBus::new()), Options::default()).await;
        let Err(error @ StoreError::Failed(_)) = refused.map(drop) else {
            panic!("{url} was not refused")
        };
        let text = ErrorChain(&error).to_string();
        assert!(text.contains(expected) && !text.contains("secret"), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_file_that_is_absent_or_read_only_is_unavailable() {
    let file = File::new();
    let absent =
        SqlStore::open(&file.url("rw"), Arc::new(MemoryBus::new()), Options::default()).await;
    assert!(matches!(absent.map(drop), Err(StoreError::Unavailable(_))));
    let bus = Arc::new(MemoryBus::new());
    let mut events = bus.receivers(1);
    file.open(bus.clone()).await.close().await;
    // File permissions do not apply to root, so the database itself is opened for reading.
    let store = SqlStore::open(&file.url("ro"), bus.clone(), Options::default()).await;
    let refused = match store {
        Ok(store) => store.create_user(new_user("anna"), now()).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    drop(bus);
    assert!(events[0].next().await.is_none());
}

#[tokio::test]
async fn a_file_locked_by_another_program_is_unavailable_until_it_is_released() {
    let (file, bus) = (File::new(), Arc::new(MemoryBus::new()));
    let store = file.open(bus.clone()).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    post(&store, &flow, &anna, "before".into()).await.unwrap();
    // Another program holds the lock of writers: SQLite waits, then fails.
    let other = sea_orm::Database::connect(file.url("rw")).await.unwrap();
    let held = other.begin().await.unwrap();
    held.execute_unprepared("UPDATE commit_clock SET last = last").await.unwrap();
    let mut events = bus.receivers(1);
    let refused = post(&store, &flow, &anna, "during".into()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    held.rollback().await.unwrap();
    other.close().await.unwrap();
    let after = post(&store, &flow, &anna, "after".into()).await.unwrap();
    assert_eq!(after.version, Version(2));
    let Some(Signal::Events(events)) = events[0].next().await else { panic!("the bus is alive") };
    assert_eq!(events[0].versions(), Some((Version(2), Version(2))));
    assert_eq!(store.stats().failures, 1);
    store.close().await;
}

#[tokio::test]
async fn a_change_that_timed_out_before_it_began_is_not_made() {
    let (file, gate) =
        (File::new(), Arc::new(Gate { open: Semaphore::new(1), bus: MemoryBus::new() }));
    let options = Options { timeout: Duration::from_millis(200), ..Options::default() };
    let store = SqlStore::open(&file.url("rwc"), gate.clone(), options).await.unwrap();
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    // The first is committed and its publication delayed, and the second is committed behind it:
    // their callers cannot know. The third has not begun.
    for text in ["first", "second", "third"] {
        let unknown = post(&store, &flow, &anna, text.into()).await;
        assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{unknown:?}");
    }
    gate.open.add_permits(10);
    assert_eq!(
        post(&store, &flow, &anna, "fourth".into()).await.map(|message| message.version),
        Ok(Version(3))
    );
    let page = store.history(page_of(&flow, &anna, HistoryRange::All, 10)).await.unwrap();
    assert_eq!(
        page.messages.iter().map(|message| message.content.text.as_str()).collect::<Vec<_>>(),
        ["first", "second", "fourth"]
    );
    store.close().await;
}

#[tokio::test]
async fn messages_of_a_deleted_flow_are_removed_by_housekeeping() {
    const POSTS: usize = 1200;
    let file = File::new();
    let store = file.open(Arc::new(MemoryBus::new())).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    let tasks: Vec<_> = (0..POSTS)
        .map(|number| {
            tokio::spawn({
                let (store, anna, flow) = (store.clone(), anna.clone(), flow.clone());
                async move { post(&store, &flow, &anna, number.to_string()).await.map(drop) }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    store.delete_flow(flow.id, anna.id, FlowKindFilter::Any, None, now()).await.unwrap();
    assert_eq!(
        post(&store, &flow, &anna, "late".into()).await.map(drop),
        Err(StoreError::Refused(Fault::NoSuchFlow))
    );
    let other = sea_orm::Database::connect(file.url("ro")).await.unwrap();
    let count = async |table: &str| {
        let sql = sea_orm::Statement::from_string(
            other.get_database_backend(),
            format!("SELECT count(*) AS number FROM {table}"),
        );
        other.query_one_raw(sql).await.unwrap().unwrap().try_get::<i64>("", "number").unwrap()
    };
    while count("flow").await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(count("message").await, 0);
    other.close().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn expired_keys_and_counters_are_removed() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let file = File::new();
    let store = file.open(Arc::new(MemoryBus::new())).await;
    let anna = user(&store, "anna").await;
    let key = |byte: u8| Some(IdempotencyKey { key: byte.to_string(), fingerprint: [byte; 32] });
    let new = |owner: &User, key| CreateFlow {
        kind: FlowKind::Group,
        title: "t".into(),
        info: String::new(),
        owner: owner.id,
        photo: None,
        members: vec![],
        key,
    };
    let later = now().after(3 * DAY);
    for (byte, now) in [(1, now()), (2, later)] {
        store.create_flow(new(&anna, key(byte)), FlowLimits::NONE, None, now).await.unwrap();
        store
            .increment_login_counters(&[CounterKey([byte; 32])], now, now.after(DAY))
            .await
            .unwrap();
    }
    let other = sea_orm::Database::connect(file.url("ro")).await.unwrap();
    let count = async |table: &str| {
        let sql = sea_orm::Statement::from_string(
            other.get_database_backend(),
            format!("SELECT count(*) AS number FROM {table}"),
        );
        other.query_one_raw(sql).await.unwrap().unwrap().try_get::<i64>("", "number").unwrap()
    };
    for table in ["flow_key", "login_counter"] {
        while count(table).await > 1 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(
        store
            .create_flow(new(&anna, key(2)), FlowLimits::NONE, None, later)
            .await
            .map(|creation| matches!(creation, FlowCreation::Existing(_))),
        Ok(true)
    );
    assert_eq!(
        store
            .login_counters(&[CounterKey([2; 32])], later)
            .await
            .map(|counters| counters[0].map(|counter| counter.count)),
        Ok(Some(1))
    );
    other.close().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn old_messages_are_removed_by_housekeeping() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const POSTS: usize = 700;
    let file = File::new();
    let retention = Retention { groups: Some(DAY), ..Retention::default() };
    let options = Options { timeout: Duration::from_secs(60), retention, ..Options::default() };
    let bus = Arc::new(MemoryBus::new());
    let store = SqlStore::open(&file.url("rwc"), bus, options).await.expect("a new file");
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    let tasks: Vec<_> = (0..POSTS)
        .map(|number| {
            tokio::spawn({
                let (store, anna, flow) = (store.clone(), anna.clone(), flow.clone());
                async move { post(&store, &flow, &anna, number.to_string()).await.map(drop) }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let left = async || {
        let page = store.history(page_of(&flow, &anna, HistoryRange::All, 1_000)).await.unwrap();
        (page.messages.len(), page.version)
    };
    let version = Version(POSTS as i64);
    assert_eq!(left().await, (POSTS, version));
    // The time of housekeeping is that of the latest change. Messages are kept for a day beyond
    // their period.
    let minute = Duration::from_secs(60);
    for (text, time) in [("kept", now().after(minute)), ("new", now().after(DAY * 2))] {
        store.post(new_message(&flow, &anna, text.into()), time).await.unwrap();
    }
    while left().await != (2, Version(version.0 + 2)) {
        tokio::task::yield_now().await;
    }
    store.close().await;
}
