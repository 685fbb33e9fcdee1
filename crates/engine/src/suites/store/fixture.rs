//! A store with users, flows and messages.

use crate::memory::MemoryBus;
use crate::ports::{
    Bus, BusReceiver, CreateFlow, DeleteMessages, Deleted, EditMessage, FlowCreation, FlowLimits,
    FlowSummaryQuery, HistoryQuery, NewSession, NewUser, PostMessage, Posted, ReadMark, Signal,
    Store, StoreError, TokenHash,
};
use crate::suites::support::{Spawn, Task, at_once};
use std::sync::Arc;
use std::time::Duration;
use tolmach_domain::{
    ConnectionId, Content, Event, EventKind, Fault, Flow, FlowId, FlowKind, FlowKindFilter,
    HistoryRange, Message, MessageId, Origin, Timestamp, User, UserId,
};

/// An empty store, and a receiver of its bus.
pub struct Fixture {
    /// The store.
    pub store: Arc<dyn Store>,
    events: Box<dyn BusReceiver>,
    pub(super) spawn: Spawn,
    pub(super) now: Timestamp,
}

/// A size that no answer of a trial reaches, unless it is about sizes.
pub(super) const ROOM: usize = 8 << 20;

/// The time at which trials begin, in microseconds since the epoch: long after it, so that trials
/// may go back.
const START: i64 = 1_600_000_000_000_000;

impl Fixture {
    /// A fixture for an empty store that publishes to `bus`.
    pub fn new(store: Arc<dyn Store>, bus: Arc<MemoryBus>, spawn: Spawn) -> Self {
        let events = bus.receivers(1).remove(0);
        Self { store, events, spawn, now: Timestamp::from_micros(START) }
    }

    /// Advances the time by a second.
    pub(super) fn tick(&mut self) -> Timestamp {
        self.now = self.now.after(Duration::from_secs(1));
        self.now
    }

    /// The kinds of the events published since the last call. Events are published before a method
    /// returns, so this does not wait.
    pub(super) fn published(&mut self) -> Vec<EventKind> {
        self.events().into_iter().map(|event| event.kind.clone()).collect()
    }

    pub(super) fn events(&mut self) -> Vec<Arc<Event>> {
        let signals = std::iter::from_fn(|| at_once(self.events.next()).flatten());
        let events = signals.flat_map(|signal| match signal {
            Signal::Events(events) => events,
            Signal::Missed => Vec::new(),
        });
        events.collect()
    }

    pub(super) async fn user(&mut self, login: &str) -> User {
        let now = self.tick();
        self.store.create_user(new_user(login), now).await.expect("the login is free")
    }

    pub(super) async fn users<const N: usize>(&mut self, logins: [&str; N]) -> [User; N] {
        let mut users = Vec::with_capacity(N);
        for login in logins {
            users.push(self.user(login).await);
        }
        users.try_into().expect("there is a user for each login")
    }

    pub(super) async fn flow(&mut self, kind: FlowKind, owner: &User, members: &[&User]) -> Flow {
        let now = self.tick();
        let members = members.iter().map(|member| member.id).collect();
        let flow = CreateFlow {
            kind,
            title: "title".into(),
            info: "info".into(),
            owner: owner.id,
            photo: None,
            members,
            key: None,
        };
        self.store
            .create_flow(flow, FlowLimits::NONE, None, now)
            .await
            .expect("all members exist")
            .into_flow()
    }

    pub(super) async fn group(&mut self, owner: &User, members: &[&User]) -> Flow {
        self.flow(FlowKind::Group, owner, members).await
    }

    /// The members of a flow, ordered by id; none if there is no such flow.
    pub(super) async fn members(&self, flow: FlowId) -> Vec<User> {
        let summary = self.store.flow_summary(flow, None, true, ROOM).await;
        summary.expect("the store answers").map_or_else(Vec::new, |summary| summary.members)
    }

    pub(super) async fn post(&mut self, flow: &Flow, author: &User, text: &str) -> Message {
        let now = self.tick();
        self.store
            .post(new_message(flow.id, author, text), now)
            .await
            .expect("the author may write there")
            .into_message()
    }

    pub(super) async fn delete(&mut self, by: &User, messages: &[&Message]) -> Deleted {
        let now = self.tick();
        self.store.delete(deletion(by, messages), now).await.expect("a deletion is not refused")
    }

    pub(super) async fn history(
        &self,
        flow: &Flow,
        viewer: &User,
        range: HistoryRange,
    ) -> Vec<String> {
        texts(
            &self
                .store
                .history(page_of(flow.id, viewer.id, range, 1000))
                .await
                .expect("the flow exists")
                .messages,
        )
    }

    /// Runs tasks concurrently and waits for all.
    pub(super) async fn together(&self, tasks: impl IntoIterator<Item = Task>) {
        let tasks: Vec<Task> = tasks.into_iter().map(self.spawn).collect();
        for task in tasks {
            task.await;
        }
    }
}

pub(super) fn new_user(login: &str) -> NewUser {
    NewUser {
        username: format!("username of {login}"),
        name: format!("name of {login}"),
        profile: false,
        ..NewUser::named(login)
    }
}

pub(super) fn new_message(flow: FlowId, author: &User, text: &str) -> PostMessage {
    let content = Content::text(text);
    PostMessage {
        flow,
        kinds: FlowKindFilter::Any,
        author: author.summary(),
        administrator: false,
        content,
        key: None,
        origin: None,
    }
}

pub(super) fn with_key(flow: FlowId, author: &User, text: &str, key: &str) -> PostMessage {
    PostMessage { key: Some(key.into()), ..new_message(flow, author, text) }
}

pub(super) fn deletion(by: &User, messages: &[&Message]) -> DeleteMessages {
    let messages = messages.iter().map(|message| message.id).collect();
    DeleteMessages {
        messages,
        flow: None,
        all_or_none: false,
        by: by.id,
        administrator: false,
        origin: None,
    }
}

pub(super) fn editing(by: &User, message: MessageId, text: &str) -> EditMessage {
    EditMessage {
        message,
        flow: None,
        by: by.id,
        administrator: false,
        text: text.into(),
        origin: None,
    }
}

pub(super) fn session_of(
    user: &User,
    token: Option<u8>,
    refresh: Option<u8>,
    now: Timestamp,
) -> NewSession {
    NewSession {
        user: user.id,
        token: token.map(hash),
        refresh: refresh.map(hash),
        max_sessions: u32::MAX,
        now,
        expires_at: now.after(HOUR),
    }
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn hash(byte: u8) -> TokenHash {
    TokenHash([byte; 32])
}

pub(super) fn origin(tag: &'static str) -> Option<Origin> {
    Some(Origin { connection: ConnectionId(7), dialect: "trial", client_tag: Some(tag.into()) })
}

pub(super) fn page_of(
    flow: FlowId,
    viewer: UserId,
    range: HistoryRange,
    limit: u32,
) -> HistoryQuery {
    HistoryQuery { flow, viewer, range, limit, max_bytes: ROOM }
}

/// The mark of a viewer who has read these messages; `None` if they are none.
pub(super) fn mark_of(viewer: UserId, messages: &[Message]) -> Option<ReadMark> {
    let last = messages.last()?;
    Some(ReadMark { flow: last.flow, viewer, version: last.posted })
}

/// The flow, and true if it was created.
pub(super) fn flow_and_created(creation: FlowCreation) -> (Flow, bool) {
    let created = matches!(creation, FlowCreation::Created(_));
    (creation.into_flow(), created)
}

/// The flow, and true if its key was used before.
pub(super) fn flow_and_repeated(creation: FlowCreation) -> (Flow, bool) {
    let (flow, created) = flow_and_created(creation);
    (flow, !created)
}

/// The message, and true if its key was used before.
pub(super) fn message_and_repeated(posted: Posted) -> (Message, bool) {
    let repeated = matches!(posted, Posted::Repeated(_));
    (posted.into_message(), repeated)
}

pub(super) fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.content.text.clone()).collect()
}

pub(super) fn ids(messages: &[Message]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id).collect()
}

pub(super) fn refused<T>(fault: Fault) -> Result<T, StoreError> {
    Err(StoreError::Refused(fault))
}

pub(super) fn all_flows(viewer: &User) -> FlowSummaryQuery {
    FlowSummaryQuery {
        viewer: viewer.id,
        all: false,
        limit: None,
        offset: 0,
        members: false,
        max_bytes: ROOM,
        changed_after: None,
    }
}
