//! PostgreSQL: the order of commits while several transactions write.

use crate::fixtures::{group, new_message, now, post, user};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement, TransactionTrait};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tolmach_domain::{
    Changes, EventKind, Flow, FlowId, FlowKind, Message, MessageId, Timestamp, User, Version,
};
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{
    CreateFlow, DeleteMessages, EditMessage, EventLog, FlowLimits, FlowStore, MessageStore,
    PostMessage, Posted, Store, StoreError,
};
use tolmach_store::{Options, SqlStore};
use tolmach_test_servers::{Durability, Postgres};

async fn open(server: &Postgres, timeout: Duration) -> Arc<SqlStore> {
    let options = Options { timeout, ..Options::default() };
    SqlStore::open(&server.url(), Arc::new(MemoryBus::new()), options)
        .await
        .expect("the server is up")
}

const PATIENT: Duration = Duration::from_secs(60);

/// A connection beside those of the stores, as the same role.
async fn beside(server: &Postgres) -> DatabaseConnection {
    Database::connect(server.url()).await.expect("the server is up")
}

async fn number<C: ConnectionTrait>(database: &C, sql: &str) -> i64 {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let row = database.query_one_raw(statement).await.expect("it is valid").expect("it has a row");
    row.try_get("", "number").expect("it is a number")
}

async fn changes(store: &SqlStore, viewer: &User, since: Timestamp, limit: u32) -> Changes {
    store.changes(viewer.id, since, None, limit, 8 << 20).await.expect("the store answers")
}

/// The statement of a writer that posts one message to a flow.
fn posting(flow: &Flow, author: &User) -> String {
    format!(
        "SELECT id AS number FROM post_messages(ARRAY[{}::bigint], ARRAY[{}::bigint], ARRAY[0], \
         ARRAY[false], ARRAY[NULL::text], ARRAY[NULL::bigint], ARRAY[0::bigint], ARRAY['text'], \
         ARRAY['x'], ARRAY[NULL::text], ARRAY[NULL::text], 0)",
        flow.id, author.id
    )
}

/// Time does not pass what may still be committed below it, and a page of changes waits for that:
/// nothing that was committed before it, and so published, is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_by_time_wait_for_earlier_commit_times() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let store = open(&server, PATIENT).await;
    let impatient = open(&server, Duration::from_secs(2)).await;
    let anna = user(&store, "anna").await;
    let (one, two) = (group(&store, &anna).await, group(&store, &anna).await);
    let other = beside(&server).await;
    for commits in [false, true] {
        let before = store.last_commit_time().await.unwrap();
        let running = other.begin().await.unwrap();
        let early = number(&running, &posting(&one, &anna)).await;
        // Another flow is not held up, and its message has a later time.
        let late = post(&store, &two, &anna, "late".into()).await.unwrap();
        let since = store.last_commit_time().await.unwrap();
        assert!(since >= before && since < late.changed_at);
        let page = store.changes_after(before, None, 100).await.unwrap();
        assert_eq!(page.until, since);
        // A flow that changed later is told, so that one that changes always is told at all.
        assert!(page.flows.contains(&(two.id, late.version)), "{page:?}");
        let refused = impatient.changes(anna.id, before, None, 100, 8 << 20).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        let end = async {
            // A page that does not wait is read meanwhile.
            for _ in 0..20 {
                store.ping().await.unwrap();
            }
            if commits { running.commit().await } else { running.rollback().await }.unwrap();
        };
        let (seen, ()) = tokio::join!(changes(&store, &anna, before, 100), end);
        let ids: Vec<i64> = seen.messages.iter().map(|message| message.id.get()).collect();
        let expected = if commits { vec![early, late.id.get()] } else { vec![late.id.get()] };
        assert_eq!(ids, expected);
        assert!(seen.until >= late.changed_at);
        assert_eq!(store.last_commit_time().await, Ok(seen.until));
    }
    // Changes other than messages register their time too.
    let running = other.begin().await.unwrap();
    let begun = number(&running, "SELECT begin_changes(false, '', '') AS number").await;
    let late = post(&store, &two, &anna, "late".into()).await.unwrap();
    assert_eq!(store.last_commit_time().await, Ok(Timestamp::from_micros(begun)));
    running.rollback().await.unwrap();
    assert_eq!(store.last_commit_time().await, Ok(late.changed_at));
    assert_eq!(store.stats().failures, 0);
    for store in [store, impatient] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_holds_up_messages_to_its_own_flows_only() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let [here, there] = [open(&server, PATIENT).await, open(&server, Duration::from_secs(2)).await];
    let anna = user(&here, "anna").await;
    let (one, two) = (group(&here, &anna).await, group(&here, &anna).await);
    let other = beside(&server).await;
    let running = other.begin().await.unwrap();
    number(&running, &posting(&one, &anna)).await;
    for store in [&here, &there] {
        post(store, &two, &anna, "during".into()).await.unwrap();
    }
    let held = post(&there, &one, &anna, "held".into()).await;
    assert!(matches!(held, Err(StoreError::Unavailable(_))), "{held:?}");
    let waiting = tokio::spawn({
        let (here, one, anna) = (here.clone(), one.clone(), anna.clone());
        async move { post(&here, &one, &anna, "after".into()).await }
    });
    running.commit().await.unwrap();
    let after = waiting.await.unwrap().unwrap();
    assert!(after.version > Version(1), "{after:?}");
    // A change that may concern any flow is alone.
    let running = other.begin().await.unwrap();
    number(&running, "SELECT begin_changes(true, '', '') AS number").await;
    let held = post(&there, &two, &anna, "held".into()).await;
    assert!(matches!(held, Err(StoreError::Unavailable(_))), "{held:?}");
    running.commit().await.unwrap();
    post(&here, &two, &anna, "after".into()).await.unwrap();
    for store in [here, there] {
        store.close().await;
    }
}

/// The load of the writers of one node.
struct Load {
    store: Arc<SqlStore>,
    flows: Vec<Flow>,
    author: User,
}

impl Load {
    /// Posts to all flows, each time in another order, and changes some of the messages.
    async fn run(self, node: usize, rounds: usize) {
        for round in 0..rounds {
            for step in 0..self.flows.len() {
                let turn = if node.is_multiple_of(2) { step } else { self.flows.len() - 1 - step };
                let flow = &self.flows[(turn + round) % self.flows.len()];
                let text = format!("{node}.{round}.{step}");
                let posted = post(&self.store, flow, &self.author, text).await.unwrap();
                match step % 4 {
                    0 => self.edit(posted.id).await,
                    1 => self.delete(vec![posted.id]).await,
                    _ => {}
                }
            }
            self.create(node, round).await;
        }
    }

    async fn edit(&self, message: MessageId) {
        let edit = EditMessage {
            message,
            flow: None,
            by: self.author.id,
            administrator: false,
            text: "edited".into(),
            origin: None,
        };
        self.store.edit(edit, now()).await.unwrap();
    }

    async fn delete(&self, messages: Vec<MessageId>) {
        let by = self.author.id;
        let deletion = DeleteMessages {
            messages,
            flow: None,
            all_or_none: false,
            by,
            administrator: false,
            origin: None,
        };
        self.store.delete(deletion, now()).await.unwrap();
    }

    async fn create(&self, node: usize, round: usize) {
        let flow = CreateFlow {
            kind: FlowKind::Group,
            title: format!("{node}.{round}"),
            info: String::new(),
            owner: self.author.id,
            photo: None,
            members: vec![],
            key: None,
        };
        self.store.create_flow(flow, FlowLimits::NONE, None, now()).await.unwrap();
    }
}

/// Reads changes by time, a few at once, until the writers have ended and nothing is left.
async fn follow(
    store: Arc<SqlStore>,
    viewer: User,
    since: Timestamp,
    ended: Arc<AtomicBool>,
) -> BTreeMap<(MessageId, Version), Message> {
    let (mut since, mut seen) = (since, BTreeMap::new());
    loop {
        let is_last = ended.load(Ordering::Acquire);
        let page = changes(&store, &viewer, since, 7).await;
        assert!(page.until >= since, "time went back");
        for message in page.messages {
            assert!(message.changed_at > since && message.changed_at <= page.until);
            let earlier = seen.insert((message.id, message.version), message);
            assert_eq!(earlier, None, "it was read twice");
        }
        since = page.until;
        if is_last && !page.more {
            return seen;
        }
    }
}

/// The same for the log of events: the flows that were created.
async fn follow_log(
    store: Arc<SqlStore>,
    since: Timestamp,
    ended: Arc<AtomicBool>,
) -> BTreeSet<FlowId> {
    let (mut since, mut seen) = (since, BTreeSet::new());
    loop {
        let is_last = ended.load(Ordering::Acquire);
        let page = store.changes_after(since, None, 3).await.expect("the store answers");
        assert!(page.until >= since, "time went back");
        for event in page.events {
            assert!(event.committed_at > Some(since) && event.committed_at <= Some(page.until));
            if let EventKind::FlowCreated { flow, .. } = event.kind {
                assert!(seen.insert(flow.id), "it was read twice");
            }
        }
        since = page.until;
        if is_last && !page.more {
            return seen;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_by_time_miss_and_repeat_nothing_while_many_write() {
    const ROUNDS: usize = 6;
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(open(&server, PATIENT).await);
    }
    let anna = user(&stores[0], "anna").await;
    let mut flows = Vec::new();
    for _ in 0..8 {
        flows.push(group(&stores[0], &anna).await);
    }
    let mut authors = vec![anna.clone()];
    for number in 0..5 {
        authors.push(user(&stores[0], &format!("author{number}")).await);
    }
    for flow in &flows {
        let members: Vec<_> = authors[1..].iter().map(|author| author.id).collect();
        let added =
            stores[0].add_members(flow.id, anna.id, &members, FlowLimits::NONE, None, now());
        added.await.unwrap();
    }
    let start = stores[0].last_commit_time().await.unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let followers: Vec<_> = (0..2)
        .map(|node| {
            let (store, viewer) = (stores[node].clone(), anna.clone());
            tokio::spawn(follow(store, viewer, start, ended.clone()))
        })
        .collect();
    let log = tokio::spawn(follow_log(stores[1].clone(), start, ended.clone()));
    let writers: Vec<_> = authors
        .iter()
        .enumerate()
        .map(|(number, author)| {
            let load = Load {
                store: stores[number % stores.len()].clone(),
                flows: flows.clone(),
                author: author.clone(),
            };
            tokio::spawn(load.run(number, ROUNDS))
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    ended.store(true, Ordering::Release);
    let mut stored = BTreeMap::new();
    for flow in &flows {
        let messages = stores[2].messages_after(flow.id, Version(0), u32::MAX).await.unwrap();
        assert!(
            messages.is_sorted_by(
                |one, next| one.version < next.version && one.changed_at < next.changed_at
            ),
            "times follow versions"
        );
        for message in messages {
            stored.insert((message.id, message.version), message);
        }
    }
    assert_eq!(stored.len(), authors.len() * ROUNDS * flows.len());
    for follower in followers {
        let mut seen = follower.await.unwrap();
        // Earlier versions were read too, where a reader came before the later change.
        seen.retain(|id, _| stored.contains_key(id));
        assert_eq!(seen, stored);
    }
    assert_eq!(log.await.unwrap().len(), authors.len() * ROUNDS);
    for store in stores {
        assert_eq!(store.stats().failures, 0, "no transaction was undone for another");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_used_on_two_nodes_at_once_stores_one_message() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let stores = [open(&server, PATIENT).await, open(&server, PATIENT).await];
    let anna = user(&stores[0], "anna").await;
    let flow = group(&stores[0], &anna).await;
    for number in 0..30 {
        let message = || PostMessage {
            key: Some(format!("key {number}")),
            ..new_message(&flow, &anna, format!("text {number}"))
        };
        let (one, two) =
            tokio::join!(stores[0].post(message(), now()), stores[1].post(message(), now()));
        let (one, two) = (one.unwrap(), two.unwrap());
        let repeated = [&one, &two].map(|posted| matches!(posted, Posted::Repeated(_)));
        assert!(repeated[0] != repeated[1], "{one:?} {two:?}");
        assert_eq!(one.into_message(), two.into_message());
    }
    let messages = stores[0].messages_after(flow.id, Version(0), u32::MAX).await.unwrap();
    assert!(messages.iter().map(|message| message.version.0).eq(1..=30));
    for store in stores {
        store.close().await;
    }
}
