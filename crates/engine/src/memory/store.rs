//! The store as a model: one lock, plain maps, every rule written out once.

use crate::limits::{case_folded, check_message, check_storable};
use crate::ports::{
    Account, AccountKey, Bus, ChangesPage, Counter, CounterKey, CreateFlow, DeleteMessages,
    Deleted, EditMessage, EventLog, FlowCreation, FlowStore, FlowSummaryQuery, HistoryQuery,
    IDEMPOTENCY_WINDOW, IdempotencyKey, LoginCounterStore, MessageStore, NewSession, NewUser,
    PendingMessage, PostMessage, Posted, Rotation, Session, SessionStore, Store, StoreError,
    TokenHash, UserChange, UserStore,
};
use async_trait::async_trait;
use futures_util::lock::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tolmach_domain::{
    Changes, Content, Event, EventKind, Fault, Flow, FlowId, FlowKind, FlowKindFilter, FlowSummary,
    HistoryRange, InvalidId, Message, MessageId, MessagePage, Origin, SessionId, Timestamp, User,
    UserId, UserSummary, Version,
};

/// A store in memory. It shows what a store must do; it is gone with the process.
pub struct MemoryStore {
    world: Mutex<World>,
    bus: Arc<dyn Bus>,
}

#[derive(Default)]
struct World {
    closed: bool,
    users: BTreeMap<UserId, UserRecord>,
    last_user: i64,
    sessions: BTreeMap<SessionId, Session>,
    tokens: HashMap<TokenHash, SessionId>,
    last_session: i64,
    refresh: HashMap<TokenHash, Refresh>,
    recoveries: HashMap<TokenHash, (UserId, Timestamp)>,
    flows: BTreeMap<FlowId, FlowRecord>,
    last_flow: i64,
    messages: BTreeMap<MessageId, Message>,
    last_message: i64,
    keys: HashMap<(UserId, String), (MessageId, Timestamp)>,
    flow_keys: HashMap<(UserId, String), FlowKey>,
    login_counters: HashMap<CounterKey, Counter>,
    /// The newest `changed_at` that was given out.
    moment: Timestamp,
    /// What the change under way will publish.
    events: Vec<Event>,
    /// What was published and changed no message.
    journal: Vec<Event>,
}

struct UserRecord {
    user: User,
    password_hash: Option<String>,
}

struct Refresh {
    session: SessionId,
    expires_at: Timestamp,
    spent: bool,
}

struct FlowKey {
    flow: FlowId,
    fingerprint: [u8; 32],
    used_at: Timestamp,
}

struct FlowRecord {
    flow: Flow,
    /// The two of a chat, the lower id first; stays when one of them is deleted.
    pair: Option<(UserId, UserId)>,
    /// Each member with the version up to which it has read.
    members: BTreeMap<UserId, Version>,
}

impl MemoryStore {
    /// An empty store that publishes to `bus`.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { world: Mutex::default(), bus }
    }

    /// Holds the lock until the events are published, so that they are in the order of the changes.
    async fn change<T>(
        &self,
        work: impl FnOnce(&mut World) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        let mut world = self.world.lock().await;
        world.open()?;
        let outcome = work(&mut world);
        let events: Vec<Arc<Event>> =
            std::mem::take(&mut world.events).into_iter().map(Arc::new).collect();
        if !events.is_empty() {
            self.bus.publish(&events).await;
        }
        outcome
    }

    async fn read<T>(&self, work: impl FnOnce(&World) -> T + Send) -> Result<T, StoreError> {
        let world = self.world.lock().await;
        world.open()?;
        Ok(work(&world))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|_| ()).await
    }

    async fn close(&self) {
        self.world.lock().await.closed = true;
    }
}

#[async_trait]
impl UserStore for MemoryStore {
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<User, StoreError> {
        self.change(|world| world.create_user(user, now)).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.read(|world| world.users.get(&id).map(|record| record.user.clone())).await
    }

    async fn account(&self, key: AccountKey<'_>) -> Result<Option<Account>, StoreError> {
        self.read(|world| {
            let record = match key {
                AccountKey::Login(login) => world.by_login(login),
                AccountKey::Email(email) => world.by_email(email),
                AccountKey::Either(text) => world
                    .by_login(text)
                    .filter(|record| record.lives())
                    .or_else(|| world.by_email(text)),
            };
            record.filter(|record| record.lives()).map(|record| Account {
                user: record.user.clone(),
                password_hash: record.password_hash.clone(),
            })
        })
        .await
    }

    async fn update_user(
        &self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        self.change(|world| world.update_user(id, change, now)).await
    }

    async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.change(|world| world.delete_user(id, now)).await
    }

    async fn search_users(&self, query: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        let query = case_folded(query);
        self.read(|world| {
            let mut found: BTreeMap<String, &User> = BTreeMap::new();
            for record in world.users.values().filter(|record| record.lives()) {
                let login = case_folded(&record.user.login);
                if login.contains(&query) {
                    found.insert(login, &record.user);
                }
            }
            found.into_values().take(limit as usize).cloned().collect()
        })
        .await
    }

    async fn list_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError> {
        self.read(|world| {
            let living = world.users.values().filter(|record| {
                record.lives() && after.is_none_or(|after| record.user.id > after)
            });
            living.take(limit as usize).map(|record| record.user.clone()).collect()
        })
        .await
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn open_session(&self, session: NewSession) -> Result<SessionId, StoreError> {
        self.change(|world| {
            world.living(session.user)?;
            let id = next(&mut world.last_session, SessionId::new)?;
            world.sessions.insert(
                id,
                Session { id, user: session.user, expires_at: session.expires_at, ended_at: None },
            );
            if let Some(token) = session.token {
                world.tokens.insert(token, id);
            }
            if let Some(refresh) = session.refresh {
                world.refresh.insert(
                    refresh,
                    Refresh { session: id, expires_at: session.expires_at, spent: false },
                );
            }
            Ok(id)
        })
        .await
    }

    async fn session_by_token(&self, token: TokenHash) -> Result<Option<Session>, StoreError> {
        self.read(|world| world.tokens.get(&token).and_then(|id| world.sessions.get(id)).cloned())
            .await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.read(|world| world.sessions.get(&id).cloned()).await
    }

    async fn renew_session(&self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError> {
        self.change(|world| {
            if let Some(session) =
                world.sessions.get_mut(&id).filter(|session| session.ended_at.is_none())
            {
                session.expires_at = expires_at;
            }
            Ok(())
        })
        .await
    }

    async fn rotate_refresh(
        &self,
        spent: TokenHash,
        next: TokenHash,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.change(|world| {
            let Some(refresh) =
                world.refresh.get_mut(&spent).filter(|refresh| now < refresh.expires_at)
            else {
                return Ok(Rotation::Unknown);
            };
            let id = refresh.session;
            let Some(session) = world
                .sessions
                .get_mut(&id)
                .filter(|session| session.ended_at.is_none() && now < session.expires_at)
            else {
                return Ok(Rotation::Unknown);
            };
            if refresh.spent {
                world.end_session(id, now);
                return Ok(Rotation::Reused);
            }
            refresh.spent = true;
            session.expires_at = expires_at;
            let user = session.user;
            world.refresh.insert(next, Refresh { session: id, expires_at, spent: false });
            Ok(Rotation::Rotated { user, session: id })
        })
        .await
    }

    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.change(|world| {
            world.end_session(id, now);
            Ok(())
        })
        .await
    }

    async fn put_recovery_token(
        &self,
        token: TokenHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|world| {
            world.living(user)?;
            world.recoveries.retain(|_, (owner, _)| *owner != user);
            world.recoveries.insert(token, (user, expires_at));
            Ok(())
        })
        .await
    }

    async fn spend_recovery_token(
        &self,
        token: TokenHash,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        self.change(|world| {
            let Some(user) = world.recoverable(token, now) else { return Ok(None) };
            world.recoveries.remove(&token);
            world.update_user(
                user,
                UserChange { password_hash: Some(password_hash), ..UserChange::default() },
                now,
            )?;
            Ok(Some(user))
        })
        .await
    }

    async fn is_recovery_token_valid(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.read(|world| world.recoverable(token, now).is_some()).await
    }
}

#[async_trait]
impl LoginCounterStore for MemoryStore {
    async fn login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
    ) -> Result<Vec<Option<Counter>>, StoreError> {
        self.read(|world| keys.iter().map(|key| world.counter(key, now)).collect()).await
    }

    async fn increment_login_counters(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Vec<Counter>, StoreError> {
        self.change(|world| {
            let counted = keys.iter().map(|key| {
                let counter = world.counter(key, now).unwrap_or(Counter { count: 0, expires_at });
                let counter = Counter { count: counter.count.saturating_add(1), ..counter };
                world.login_counters.insert(*key, counter);
                counter
            });
            Ok(counted.collect())
        })
        .await
    }

    async fn clear_login_counters(&self, keys: &[CounterKey]) -> Result<(), StoreError> {
        self.change(|world| {
            world.login_counters.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl FlowStore for MemoryStore {
    async fn open_chat(
        &self,
        by: UserId,
        with: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        self.change(|world| world.open_chat(by, with, origin, now)).await
    }

    async fn create_flow(
        &self,
        flow: CreateFlow,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        self.change(|world| world.create_flow(flow, origin, now)).await
    }

    async fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError> {
        self.read(|world| world.flows.get(&id).map(|record| record.flow.clone())).await
    }

    async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError> {
        self.read(|world| world.is_member(flow, user)).await
    }

    async fn members(&self, flow: FlowId) -> Result<Vec<User>, StoreError> {
        self.read(|world| {
            world.flows.get(&flow).map_or_else(Vec::new, |record| world.members_of(record))
        })
        .await
    }

    async fn flow_summary(
        &self,
        flow: FlowId,
        viewer: Option<UserId>,
        members: bool,
    ) -> Result<Option<FlowSummary>, StoreError> {
        self.read(|world| {
            world.flows.get(&flow).map(|record| world.flow_summary(record, viewer, members))
        })
        .await
    }

    async fn flow_summaries(
        &self,
        query: FlowSummaryQuery,
    ) -> Result<Vec<FlowSummary>, StoreError> {
        self.read(|world| {
            let seen = |record: &&FlowRecord| {
                (query.all || record.members.contains_key(&query.viewer))
                    && query.changed_after.is_none_or(|after| record.flow.changed_at > after)
            };
            let mut records: Vec<&FlowRecord> = world.flows.values().filter(seen).collect();
            records
                .sort_by_key(|record| std::cmp::Reverse((record.flow.changed_at, record.flow.id)));
            let page = records
                .into_iter()
                .skip(query.offset as usize)
                .take(query.limit.map_or(usize::MAX, |limit| limit as usize));
            page.map(|record| world.flow_summary(record, Some(query.viewer), query.members))
                .collect()
        })
        .await
    }

    async fn flow_versions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, StoreError> {
        self.read(|world| {
            world.flows_of(user).map(|record| (record.flow.id, record.flow.version)).collect()
        })
        .await
    }

    async fn add_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|world| {
            let record = world.owned(flow, by, FlowKindFilter::Shared)?;
            let users = distinct(users);
            let mut people = Vec::with_capacity(users.len());
            for user in &users {
                people.push(world.living(*user)?.summary());
            }
            if users.iter().any(|user| record.members.contains_key(user)) {
                return Err(Fault::AlreadyMember.into());
            }
            if people.is_empty() {
                return Ok(());
            }
            let changed_at = world.next_moment(now);
            let mut version = Version(0);
            if let Some(record) = world.flows.get_mut(&flow) {
                record.members.extend(users.into_iter().map(|user| (user, Version(0))));
                record.flow.changed_at = changed_at;
                version = record.flow.version;
            }
            world.publish(now, origin, EventKind::MembersAdded { flow, users: people, version });
            Ok(())
        })
        .await
    }

    async fn remove_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|world| {
            let record = world.owned(flow, by, FlowKindFilter::Shared)?;
            let users = distinct(users);
            if users.iter().any(|user| !record.members.contains_key(user)) {
                return Err(Fault::NotMember.into());
            }
            if users.contains(&by) {
                return Err(Fault::invalid("users", "the owner cannot be removed").into());
            }
            if users.is_empty() {
                return Ok(());
            }
            let changed_at = world.next_moment(now);
            if let Some(record) = world.flows.get_mut(&flow) {
                record.members.retain(|member, _| !users.contains(member));
                record.flow.changed_at = changed_at;
            }
            world.publish(now, origin, EventKind::MembersRemoved { flow, users });
            Ok(())
        })
        .await
    }

    async fn delete_flow(
        &self,
        flow: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|world| {
            world.owned(flow, by, kinds)?;
            world.flows.remove(&flow);
            world.messages.retain(|_, message| message.flow != flow);
            let messages = &world.messages;
            world.keys.retain(|_, (message, _)| messages.contains_key(message));
            world.flow_keys.retain(|_, key| key.flow != flow);
            world.publish(now, origin, EventKind::FlowDeleted { flow, by });
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl MessageStore for MemoryStore {
    async fn submit_message(
        &self,
        message: PostMessage,
        now: Timestamp,
    ) -> Result<PendingMessage, StoreError> {
        check_message(&message)?;
        let posted = self.change(|world| world.post(message, now)).await?;
        Ok(Box::pin(std::future::ready(Ok(posted))))
    }

    async fn edit(&self, edit: EditMessage, now: Timestamp) -> Result<Message, StoreError> {
        check_storable("text", &edit.text)?;
        self.change(|world| {
            let message = world
                .messages
                .get(&edit.message)
                .filter(|message| world.reaches(message, edit.flow, edit.by, edit.administrator));
            let message = message.ok_or(Fault::NoSuchMessage)?;
            if message.author.id != edit.by {
                return Err(Fault::NotAuthor.into());
            }
            let mut message = world.shown(message);
            (message.version, message.changed_at) = world.next_version(message.flow, now)?;
            message.content.text = edit.text;
            message.edited_at = Some(now);
            world.messages.insert(message.id, message.clone());
            world.publish(now, edit.origin, EventKind::Edited(message.clone()));
            Ok(message)
        })
        .await
    }

    async fn delete(
        &self,
        deletion: DeleteMessages,
        now: Timestamp,
    ) -> Result<Deleted, StoreError> {
        self.change(|world| world.delete(deletion, now)).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<MessagePage, StoreError> {
        let HistoryQuery { flow, viewer, range, limit, mark_read } = query;
        self.change(|world| {
            let record = world.flows.get(&flow).ok_or(Fault::NoSuchFlow)?;
            let version = record.flow.version;
            let read = record.members.get(&viewer).copied().unwrap_or_default();
            let visible: Vec<&Message> =
                world.in_flow(flow).filter(|message| message.deleted_at.is_none()).collect();
            let newest = |limit: u32, offset: u32| {
                let end = visible.len().saturating_sub(offset as usize);
                &visible[end.saturating_sub(limit as usize)..end]
            };
            let unread: Vec<&Message>;
            let page = match range {
                HistoryRange::All => newest(limit, 0),
                HistoryRange::Newest { limit: wanted, offset } => newest(wanted.min(limit), offset),
                HistoryRange::Unread => {
                    let others = visible
                        .iter()
                        .copied()
                        .filter(|message| message.posted > read && message.author.id != viewer);
                    unread = others.take(limit as usize).collect();
                    &unread
                }
            };
            let messages: Vec<Message> = page.iter().map(|message| world.shown(message)).collect();
            if (mark_read || range == HistoryRange::Unread)
                && let Some(last) = messages.last()
                && let Some(mark) =
                    world.flows.get_mut(&flow).and_then(|record| record.members.get_mut(&viewer))
            {
                *mark = last.posted.max(*mark);
            }
            Ok(MessagePage { flow, messages, version })
        })
        .await
    }

    async fn changes(
        &self,
        user: UserId,
        since: Timestamp,
        flow: Option<FlowId>,
        limit: u32,
    ) -> Result<Changes, StoreError> {
        self.read(|world| {
            let mut records: Vec<&FlowRecord> = world
                .flows_of(user)
                .filter(|record| flow.is_none_or(|flow| record.flow.id == flow))
                .collect();
            records
                .sort_by_key(|record| std::cmp::Reverse((record.flow.changed_at, record.flow.id)));
            let flows: BTreeSet<FlowId> = records.iter().map(|record| record.flow.id).collect();
            let changed = world
                .messages
                .values()
                .filter(|message| message.changed_at > since && flows.contains(&message.flow));
            let mut messages: Vec<&Message> = changed.collect();
            messages.sort_by_key(|message| message.changed_at);
            let more = messages.len() > limit as usize;
            messages.truncate(limit as usize);
            let until = match messages.last() {
                Some(last) if more => last.changed_at,
                None if more => since,
                _ => world.moment,
            };
            let within = |moment: Timestamp| moment > since && moment <= until;
            let record = world.users.get(&user).filter(|record| within(record.user.changed_at));
            Changes {
                messages: messages.into_iter().map(|message| world.shown(message)).collect(),
                flows: records
                    .into_iter()
                    .filter(|record| within(record.flow.changed_at))
                    .map(|record| world.flow_summary(record, Some(user), false))
                    .collect(),
                user: record.map(|record| Box::new(record.user.clone())),
                until,
                more,
            }
        })
        .await
    }

    async fn messages_after(
        &self,
        flow: FlowId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        self.read(|world| {
            let mut messages: Vec<&Message> =
                world.in_flow(flow).filter(|message| message.version > after).collect();
            messages.sort_by_key(|message| message.version);
            messages.into_iter().take(limit as usize).map(|message| world.shown(message)).collect()
        })
        .await
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn last_commit_time(&self) -> Result<Timestamp, StoreError> {
        self.read(|world| world.moment).await
    }

    async fn changes_after(&self, after: Timestamp, limit: u32) -> Result<ChangesPage, StoreError> {
        self.read(|world| {
            let mut flows: Vec<&Flow> = world
                .flows
                .values()
                .map(|record| &record.flow)
                .filter(|flow| flow.changed_at > after)
                .collect();
            flows.sort_by_key(|flow| flow.changed_at);
            let mut events: Vec<&Event> =
                world.journal.iter().filter(|event| event.committed_at > Some(after)).collect();
            let limit = limit as usize;
            let last_flow = flows.get(limit).map(|_| flows[limit - 1].changed_at);
            let last_event = events.get(limit).and_then(|_| events[limit - 1].committed_at);
            let more = last_flow.is_some() || last_event.is_some();
            let until = [last_flow, last_event].into_iter().flatten().min().unwrap_or(world.moment);
            flows.retain(|flow| flow.changed_at <= until);
            events.retain(|event| {
                event.committed_at <= Some(until)
                    && event.flow().is_none_or(|flow| {
                        matches!(event.kind, EventKind::FlowDeleted { .. })
                            || world.flows.contains_key(&flow)
                    })
            });
            let flows = flows.into_iter().map(|flow| (flow.id, flow.version)).collect();
            ChangesPage { flows, events: events.into_iter().cloned().collect(), until, more }
        })
        .await
    }
}

impl UserRecord {
    fn lives(&self) -> bool {
        self.user.deleted_at.is_none()
    }
}

impl World {
    fn open(&self) -> Result<(), StoreError> {
        if self.closed { Err(StoreError::unavailable("the store is closed")) } else { Ok(()) }
    }

    /// Right after the change: one to messages has taken the newest moment, any other takes one of
    /// its own.
    fn publish(&mut self, at: Timestamp, origin: Option<Origin>, kind: EventKind) {
        let mut event = Event { occurred_at: at, committed_at: None, origin, kind };
        if event.versions().is_some() {
            event.committed_at = Some(self.moment);
        } else {
            event.committed_at = Some(self.next_moment(at));
            self.journal.push(Event { origin: None, ..event.clone() });
        }
        self.events.push(event);
    }

    /// A moment of its own for one change.
    fn next_moment(&mut self, now: Timestamp) -> Timestamp {
        self.moment = now.max(Timestamp::from_micros(self.moment.micros() + 1));
        self.moment
    }

    /// The version and the moment of the next change to a message of a flow.
    fn next_version(
        &mut self,
        flow: FlowId,
        now: Timestamp,
    ) -> Result<(Version, Timestamp), StoreError> {
        let moment = self.next_moment(now);
        let record = self.flows.get_mut(&flow).ok_or(Fault::NoSuchFlow)?;
        record.flow.version = Version(record.flow.version.0 + 1);
        record.flow.changed_at = moment;
        Ok((record.flow.version, moment))
    }

    fn by_login(&self, login: &str) -> Option<&UserRecord> {
        let login = case_folded(login);
        self.users.values().find(|record| case_folded(&record.user.login) == login)
    }

    fn by_email(&self, email: &str) -> Option<&UserRecord> {
        let email = case_folded(email);
        self.users.values().find(|record| {
            record.user.email.as_ref().is_some_and(|known| case_folded(known) == email)
        })
    }

    fn living(&self, user: UserId) -> Result<&User, StoreError> {
        let record = self.users.get(&user).filter(|record| record.lives());
        Ok(record.map(|record| &record.user).ok_or(Fault::NoSuchUser)?)
    }

    fn create_user(&mut self, user: NewUser, now: Timestamp) -> Result<User, StoreError> {
        let taken = self.by_login(&user.login).is_some()
            || user.email.as_ref().is_some_and(|email| self.by_email(email).is_some())
            || user.id.is_some_and(|id| self.users.contains_key(&id));
        if taken {
            return Err(Fault::LoginTaken.into());
        }
        let id = match user.id {
            Some(id) => {
                self.last_user = self.last_user.max(id.get());
                id
            }
            None => next(&mut self.last_user, UserId::new)?,
        };
        let NewUser {
            id: _,
            login,
            username,
            name,
            email,
            phone,
            bio,
            avatar,
            photo,
            bot,
            admin,
            business,
            profile,
            password_hash,
        } = user;
        let changed_at = self.next_moment(now);
        let user = User {
            id,
            login,
            username,
            name,
            email,
            phone,
            bio,
            avatar,
            photo,
            bot,
            admin,
            business,
            profile,
            created_at: now,
            changed_at,
            deleted_at: None,
        };
        self.users.insert(id, UserRecord { user: user.clone(), password_hash });
        Ok(user)
    }

    fn update_user(
        &mut self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        self.living(id)?;
        let others =
            |record: Option<&UserRecord>| record.is_some_and(|record| record.user.id != id);
        if change.login.as_ref().is_some_and(|login| others(self.by_login(login)))
            || change.email.as_ref().is_some_and(|email| others(self.by_email(email)))
        {
            return Err(Fault::LoginTaken.into());
        }
        let changed_at = self.next_moment(now);
        let record = self.users.get_mut(&id).ok_or(Fault::NoSuchUser)?;
        let UserChange {
            login,
            username,
            name,
            email,
            bio,
            photo,
            admin,
            business,
            profile,
            password_hash,
        } = change;
        let user = &mut record.user;
        put(&mut user.login, login);
        put(&mut user.username, username);
        put(&mut user.name, name);
        put(&mut user.bio, bio);
        let sessions_end = password_hash.is_some() || (user.admin && admin == Some(false));
        put(&mut user.admin, admin);
        put(&mut user.business, business);
        put(&mut user.profile, profile);
        user.email = email.or(user.email.take());
        user.photo = photo.or(user.photo.take());
        user.changed_at = changed_at;
        let user = user.clone();
        record.password_hash = password_hash.or(record.password_hash.take());
        if sessions_end {
            self.end_sessions(id, now);
        }
        Ok(user)
    }

    fn delete_user(&mut self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.living(id)?;
        let changed_at = self.next_moment(now);
        if let Some(record) = self.users.get_mut(&id) {
            let user = &mut record.user;
            (user.email, user.phone, record.password_hash) = (None, None, None);
            (user.changed_at, user.deleted_at) = (changed_at, Some(now));
        }
        self.recoveries.retain(|_, (owner, _)| *owner != id);
        let flows: Vec<FlowId> = self.flows_of(id).map(|record| record.flow.id).collect();
        for flow in flows {
            let changed_at = self.next_moment(now);
            if let Some(record) = self.flows.get_mut(&flow) {
                record.members.remove(&id);
                record.flow.changed_at = changed_at;
            }
            self.publish(now, None, EventKind::MembersRemoved { flow, users: vec![id] });
        }
        self.end_sessions(id, now);
        Ok(())
    }

    fn end_session(&mut self, id: SessionId, now: Timestamp) {
        if let Some(session) =
            self.sessions.get_mut(&id).filter(|session| session.ended_at.is_none())
        {
            session.ended_at = Some(now);
            let user = session.user;
            self.publish(now, None, EventKind::SessionsEnded { user, session: Some(id) });
        }
    }

    fn end_sessions(&mut self, user: UserId, now: Timestamp) {
        for session in self
            .sessions
            .values_mut()
            .filter(|session| session.user == user && session.ended_at.is_none())
        {
            session.ended_at = Some(now);
        }
        self.publish(now, None, EventKind::SessionsEnded { user, session: None });
    }

    fn recoverable(&self, token: TokenHash, now: Timestamp) -> Option<UserId> {
        self.recoveries
            .get(&token)
            .filter(|(_, expires_at)| now < *expires_at)
            .map(|(user, _)| *user)
    }

    fn counter(&self, key: &CounterKey, now: Timestamp) -> Option<Counter> {
        self.login_counters.get(key).copied().filter(|counter| now < counter.expires_at)
    }

    fn open_chat(
        &mut self,
        by: UserId,
        with: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        if by == with {
            return Err(Fault::invalid("user", "a chat needs somebody else").into());
        }
        let people = (self.living(by)?.summary(), self.living(with)?.summary());
        let pair = (by.min(with), by.max(with));
        if let Some(record) = self.flows.values().find(|record| record.pair == Some(pair)) {
            return Ok(FlowCreation::Existing(record.flow.clone()));
        }
        let flow = Flow {
            id: next(&mut self.last_flow, FlowId::new)?,
            kind: FlowKind::Chat,
            title: String::new(),
            info: String::new(),
            owner: Some(by),
            photo: None,
            version: Version(0),
            created_at: now,
            changed_at: self.next_moment(now),
        };
        self.insert_flow(flow.clone(), Some(pair), vec![people.0, people.1], origin, now);
        Ok(FlowCreation::Created(flow))
    }

    fn create_flow(
        &mut self,
        flow: CreateFlow,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        let CreateFlow { kind, title, info, owner, photo, members, key } = flow;
        if kind == FlowKind::Chat {
            return Err(Fault::WrongKind.into());
        }
        if let Some(IdempotencyKey { key, fingerprint }) = &key
            && let Some(first) = self
                .flow_keys
                .get(&(owner, key.clone()))
                .filter(|first| now < first.used_at.after(IDEMPOTENCY_WINDOW))
            && let Some(record) = self.flows.get(&first.flow)
        {
            return if first.fingerprint == *fingerprint {
                Ok(FlowCreation::Existing(record.flow.clone()))
            } else {
                Err(Fault::KeyReused.into())
            };
        }
        let mut people = vec![self.living(owner)?.summary()];
        for member in members {
            people.push(self.living(member)?.summary());
        }
        let id = next(&mut self.last_flow, FlowId::new)?;
        let changed_at = self.next_moment(now);
        let flow = Flow {
            id,
            kind,
            title,
            info,
            owner: Some(owner),
            photo,
            version: Version(0),
            created_at: now,
            changed_at,
        };
        self.insert_flow(flow.clone(), None, people, origin, now);
        if let Some(IdempotencyKey { key, fingerprint }) = key {
            self.flow_keys
                .insert((owner, key), FlowKey { flow: flow.id, fingerprint, used_at: now });
        }
        Ok(FlowCreation::Created(flow))
    }

    fn insert_flow(
        &mut self,
        flow: Flow,
        pair: Option<(UserId, UserId)>,
        mut members: Vec<UserSummary>,
        origin: Option<Origin>,
        now: Timestamp,
    ) {
        members.sort_by_key(|member| member.id);
        members.dedup_by_key(|member| member.id);
        let record = FlowRecord {
            flow: flow.clone(),
            pair,
            members: members.iter().map(|member| (member.id, Version(0))).collect(),
        };
        self.flows.insert(flow.id, record);
        self.publish(now, origin, EventKind::FlowCreated { flow, members });
    }

    fn is_member(&self, flow: FlowId, user: UserId) -> bool {
        self.flows.get(&flow).is_some_and(|record| record.members.contains_key(&user))
    }

    fn flows_of(&self, user: UserId) -> impl Iterator<Item = &FlowRecord> {
        self.flows.values().filter(move |record| record.members.contains_key(&user))
    }

    fn members_of(&self, record: &FlowRecord) -> Vec<User> {
        record
            .members
            .keys()
            .filter_map(|member| self.users.get(member))
            .map(|member| member.user.clone())
            .collect()
    }

    fn in_flow(&self, flow: FlowId) -> impl DoubleEndedIterator<Item = &Message> + Clone {
        self.messages.values().filter(move |message| message.flow == flow)
    }

    /// A flow that `by` is in and owns, of one of the kinds.
    fn owned(
        &self,
        flow: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
    ) -> Result<&FlowRecord, StoreError> {
        let record = self
            .flows
            .get(&flow)
            .filter(|record| record.members.contains_key(&by))
            .ok_or(Fault::NoSuchFlow)?;
        if !kinds.include(record.flow.kind) {
            return Err(Fault::WrongKind.into());
        }
        if record.flow.owner != Some(by) {
            return Err(Fault::NotOwner.into());
        }
        Ok(record)
    }

    /// A message with its author as known now.
    fn shown(&self, message: &Message) -> Message {
        let author = self.users.get(&message.author.id).map(|record| record.user.summary());
        Message { author: author.unwrap_or_else(|| message.author.clone()), ..message.clone() }
    }

    fn flow_summary(
        &self,
        record: &FlowRecord,
        viewer: Option<UserId>,
        members: bool,
    ) -> FlowSummary {
        let visible = self.in_flow(record.flow.id).filter(|message| message.deleted_at.is_none());
        FlowSummary {
            flow: record.flow.clone(),
            members: if members || record.flow.kind == FlowKind::Chat {
                self.members_of(record)
            } else {
                Vec::new()
            },
            last: visible.clone().next_back().map(|message| self.shown(message)),
            first: visible.clone().next().map(|message| message.id),
            read: viewer
                .and_then(|viewer| record.members.get(&viewer).copied())
                .unwrap_or_default(),
        }
    }

    fn post(&mut self, new: PostMessage, now: Timestamp) -> Result<Posted, StoreError> {
        let PostMessage { flow, kinds, author, administrator, content, key, origin } = new;
        let key = key.map(|key| (author.id, key));
        if let Some((first, used_at)) = key.as_ref().and_then(|key| self.keys.get(key))
            && now < used_at.after(IDEMPOTENCY_WINDOW)
            && let Some(first) = self.messages.get(first)
        {
            return Ok(Posted::Repeated(self.shown(first)));
        }
        let record = self
            .flows
            .get(&flow)
            .filter(|record| administrator || record.members.contains_key(&author.id))
            .ok_or(Fault::NoSuchFlow)?;
        let flow_kind = record.flow.kind;
        if !kinds.include(flow_kind) {
            return Err(Fault::WrongKind.into());
        }
        if flow_kind == FlowKind::Channel && record.flow.owner != Some(author.id) {
            return Err(Fault::NotOwner.into());
        }
        self.living(author.id)?;
        if content.reply_to.is_some_and(|answered| {
            self.messages.get(&answered).is_none_or(|message| message.flow != flow)
        }) {
            return Err(Fault::NoSuchMessage.into());
        }
        let id = next(&mut self.last_message, MessageId::new)?;
        let (version, changed_at) = self.next_version(flow, now)?;
        let message = Message {
            id,
            flow,
            flow_kind,
            author,
            content,
            posted: version,
            version,
            posted_at: now,
            edited_at: None,
            deleted_at: None,
            changed_at,
        };
        self.messages.insert(id, message.clone());
        if let Some(key) = key {
            self.keys.insert(key, (id, now));
        }
        self.publish(now, origin, EventKind::Posted(message.clone()));
        Ok(Posted::New(message))
    }

    /// Whether somebody may know of this message: it is there, where it must be, in a flow that
    /// they are in.
    fn reaches(
        &self,
        message: &Message,
        flow: Option<FlowId>,
        by: UserId,
        administrator: bool,
    ) -> bool {
        message.deleted_at.is_none()
            && flow.is_none_or(|flow| flow == message.flow)
            && (administrator || self.is_member(message.flow, by))
    }

    fn delete(&mut self, deletion: DeleteMessages, now: Timestamp) -> Result<Deleted, StoreError> {
        let DeleteMessages { messages, flow, by, administrator, origin } = deletion;
        let mut done = Deleted::default();
        let mut flows: BTreeMap<FlowId, Vec<(MessageId, Version)>> = BTreeMap::new();
        for id in distinct(&messages) {
            let found = self
                .messages
                .get(&id)
                .filter(|message| self.reaches(message, flow, by, administrator));
            let Some(mut message) = found.cloned() else {
                done.absent.push(id);
                continue;
            };
            if !administrator && message.author.id != by {
                done.not_author.push(id);
                continue;
            }
            (message.version, message.changed_at) = self.next_version(message.flow, now)?;
            message.content = Content::default();
            message.deleted_at = Some(now);
            done.deleted.push(id);
            flows.entry(message.flow).or_default().push((id, message.version));
            self.messages.insert(id, message);
        }
        for (flow, messages) in flows {
            self.publish(now, origin.clone(), EventKind::Deleted { flow, by, messages });
        }
        Ok(done)
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// The next id of a kind.
fn next<T>(last: &mut i64, id: impl FnOnce(i64) -> Result<T, InvalidId>) -> Result<T, StoreError> {
    let made = id(*last + 1).map_err(|_| StoreError::failed("there are no ids left"))?;
    *last += 1;
    Ok(made)
}

/// Each value once, in the order of its first mention.
fn distinct<T: Copy + Ord>(values: &[T]) -> Vec<T> {
    let mut seen = BTreeSet::new();
    values.iter().copied().filter(|value| seen.insert(*value)).collect()
}
