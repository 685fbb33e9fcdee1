//! Reads of several statements: users take turns, and a read that waits holds nothing.

use crate::fixtures::{group, page_of, post, user};
use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tolmach_domain::{Flow, HistoryRange, User};
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{MessageStore, Store};
use tolmach_store::{Options, SqlStore};

/// The reads of one user that wait at once.
const READS: usize = 200;

struct Talk {
    _folder: TempDir,
    store: Arc<SqlStore>,
    /// Each user with a group that has a message.
    users: [(User, Flow); 2],
}

impl Talk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be created");
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("tolmach.db").display());
        // No read is refused because those before it would take too long.
        let options = Options { timeout: Duration::from_secs(3_600), ..Options::default() };
        let store = SqlStore::open(&url, Arc::new(MemoryBus::new()), options).await;
        let store = store.expect("a new file can be opened");
        let with_group = async |login| {
            let user = user(&store, login).await;
            let flow = group(&store, &user).await;
            post(&store, &flow, &user, "hello".into()).await.expect("it is a member");
            (user, flow)
        };
        let users = [with_group("anna").await, with_group("boris").await];
        Self { _folder: folder, store, users }
    }

    /// Reads the group of the user with this number.
    async fn read(&self, number: usize) -> usize {
        let (user, flow) = &self.users[number];
        let page = self.store.history(page_of(flow, user, HistoryRange::All, 10)).await;
        assert_eq!(page.expect("the store is open").messages.len(), 1);
        number
    }
}

#[tokio::test]
async fn many_reads_of_a_user_delay_another_by_few() {
    let talk = Talk::new().await;
    let mut reads: Vec<_> = (0..READS).map(|_| Box::pin(talk.read(0))).collect();
    // All of them wait before any is counted, but for those that are done at their first polls.
    reads.retain_mut(|read| read.as_mut().now_or_never().is_none());
    let mut other = Box::pin(talk.read(1));
    if other.as_mut().now_or_never().is_some() {
        reads.clear();
    } else {
        reads.push(other);
    }
    let waiting = reads.len();
    let mut reads: FuturesUnordered<_> = reads.into_iter().collect();
    let mut before = 0;
    while reads.next().await == Some(0) {
        before += 1;
    }
    assert!(before <= 10, "{before} reads of the other user went first");
    assert_eq!(reads.count().await, waiting.saturating_sub(before + 1));
    talk.store.close().await;
}

#[tokio::test]
async fn reads_that_are_given_up_leave_nothing_that_waits() {
    let talk = Talk::new().await;
    let alive = || Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let mut reads: Vec<_> = (0..READS).map(|_| Box::pin(talk.read(0))).collect();
    // One that is fast may be done at its first poll.
    let done = reads.iter_mut().filter_map(|read| read.as_mut().now_or_never()).count();
    assert!(done < READS, "no read waits");
    drop(reads);
    let after = alive();
    assert!(after <= before + 1, "{after} tasks, {before} before");
    assert_eq!(talk.read(1).await, 1);
    talk.store.close().await;
}
