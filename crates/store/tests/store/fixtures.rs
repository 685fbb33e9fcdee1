//! Users, flows and messages for the tests.

use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tolmach_domain::{
    Content, Event, Flow, FlowKind, FlowKindFilter, HistoryRange, Message, Timestamp, User,
};
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{
    Bus, BusReceiver, CreateFlow, FlowLimits, FlowStore, HistoryQuery, MessageStore, NewUser,
    PostMessage, Posted, StoreError, Topic, UserStore,
};
use tolmach_store::SqlStore;

/// A bus that publishes an event for each permit of its semaphore.
pub(crate) struct Gate {
    pub(crate) open: Semaphore,
    pub(crate) bus: MemoryBus,
}

#[async_trait]
impl Bus for Gate {
    async fn publish(&self, events: &[Arc<Event>]) {
        let permits = u32::try_from(events.len()).expect("there are few");
        self.open.acquire_many(permits).await.expect("the semaphore is never closed").forget();
        self.bus.publish(events).await;
    }

    fn subscribe(&self, _: &[Topic]) {}

    fn unsubscribe(&self, _: &[Topic]) {}

    fn last_error(&self) -> Option<String> {
        None
    }

    async fn close(&self) {}

    fn receivers(&self, shards: usize) -> Vec<Box<dyn BusReceiver>> {
        self.bus.receivers(shards)
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(1_600_000_000_000_000)
}

pub(crate) fn new_user(login: &str) -> NewUser {
    NewUser::named(login)
}

pub(crate) async fn user(store: &SqlStore, login: &str) -> User {
    store.create_user(new_user(login), now()).await.expect("the login is free")
}

pub(crate) async fn group(store: &SqlStore, owner: &User) -> Flow {
    let new = CreateFlow {
        kind: FlowKind::Group,
        title: "t".into(),
        info: String::new(),
        owner: owner.id,
        photo: None,
        members: vec![],
        key: None,
    };
    store
        .create_flow(new, FlowLimits::NONE, None, now())
        .await
        .expect("the owner exists")
        .into_flow()
}

pub(crate) fn page_of(flow: &Flow, viewer: &User, range: HistoryRange, limit: u32) -> HistoryQuery {
    HistoryQuery { flow: flow.id, viewer: viewer.id, range, limit, max_bytes: 8 << 20 }
}

pub(crate) fn new_message(flow: &Flow, author: &User, text: String) -> PostMessage {
    PostMessage {
        flow: flow.id,
        kinds: FlowKindFilter::Any,
        author: author.summary(),
        administrator: false,
        content: Content::text(text),
        key: None,
        origin: None,
    }
}

pub(crate) async fn post(
    store: &SqlStore,
    flow: &Flow,
    author: &User,
    text: String,
) -> Result<Message, StoreError> {
    store.post(new_message(flow, author, text), now()).await.map(Posted::into_message)
}
