//! Pages of long histories at large offsets, whose blocks are counted once.

use crate::fixtures::{group, new_message, now, page_of, user};
use futures_util::future::try_join_all;
use sea_orm::{ConnectionTrait, Database};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tolmach_domain::{Flow, HistoryRange, MessageId, User};
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{DeleteMessages, MessageStore, Store};
use tolmach_store::{Options, SqlStore};
use tolmach_test_servers::{Durability, Postgres};

/// Three blocks and a part of a fourth one.
const MESSAGES: usize = 13_000;

async fn post(store: &SqlStore, flow: &Flow, author: &User, count: usize) -> Vec<MessageId> {
    let posts = (0..count).map(|_| async {
        let posted = store.post(new_message(flow, author, "x".into()), now()).await?;
        Ok::<_, tolmach_engine::ports::StoreError>(posted.into_message().id)
    });
    let mut ids = try_join_all(posts).await.unwrap();
    ids.sort_unstable();
    ids
}

async fn delete(store: &SqlStore, by: &User, messages: &[MessageId]) {
    let deletion = DeleteMessages {
        messages: messages.to_vec(),
        flow: None,
        all_or_none: true,
        by: by.id,
        administrator: false,
        origin: None,
    };
    assert_eq!(store.delete(deletion, now()).await.unwrap().deleted.len(), messages.len());
}

/// Checks pages at offsets around the bounds of blocks and beyond the end.
async fn check(store: &SqlStore, flow: &Flow, reader: &User, visible: &BTreeSet<MessageId>) {
    let newest_first: Vec<MessageId> = visible.iter().rev().copied().collect();
    let end = newest_first.len();
    for offset in
        [0, 1, 4_095, 4_096, 4_097, 8_191, 8_192, 9_000, 12_287, 12_288, end - 1, end, end + 1]
    {
        let range = HistoryRange::Newest { limit: 3, offset: u32::try_from(offset).unwrap() };
        let page = store.history(page_of(flow, reader, range, 3)).await.unwrap();
        let found: Vec<MessageId> = page.messages.iter().rev().map(|found| found.id).collect();
        let expected = newest_first.iter().skip(offset).take(3).copied().collect::<Vec<_>>();
        assert_eq!(found, expected, "at {offset} of {end}");
    }
}

async fn offsets_count_visible_messages_only(url: &str) {
    let options = Options { timeout: Duration::from_secs(600), ..Options::default() };
    let store = SqlStore::open(url, Arc::new(MemoryBus::new()), options).await.unwrap();
    let anna = user(&store, "anna").await;
    let (flow, other) = (group(&store, &anna).await, group(&store, &anna).await);
    let ids = post(&store, &flow, &anna, MESSAGES).await;
    post(&store, &other, &anna, 10).await;
    let mut visible: BTreeSet<MessageId> = ids.iter().copied().collect();
    // Before the blocks are counted, then in counted ones, and among the newest messages.
    for gone in [&ids[4_000..4_100], &ids[10..110], &ids[8_150..8_250], &ids[12_900..12_950]] {
        delete(&store, &anna, gone).await;
        visible.retain(|message| !gone.contains(message));
        check(&store, &flow, &anna, &visible).await;
    }
    // Rows that are removed, visible ones and deleted ones.
    let database = Database::connect(url).await.unwrap();
    let (first, last) = (ids[0].get(), ids[5_000].get());
    let removal = format!("DELETE FROM message WHERE id BETWEEN {first} AND {last}");
    database.execute_unprepared(&removal).await.unwrap();
    database.close().await.unwrap();
    visible.retain(|message| *message > ids[5_000]);
    check(&store, &flow, &anna, &visible).await;
    // More blocks become full.
    visible.extend(post(&store, &flow, &anna, 5_000).await);
    check(&store, &flow, &anna, &visible).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_count_visible_messages_only_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.sqlite");
    offsets_count_visible_messages_only(&format!("sqlite://{}?mode=rwc", file.display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_count_visible_messages_only_on_postgres() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    offsets_count_visible_messages_only(&server.url()).await;
}
