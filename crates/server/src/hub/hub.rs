//! The index of all connections by flow and by user.
//!
//! Locks are taken in the order event tracker, user, flow, connection.
//!
//! [`super::delivery`] delivers events by it. Those that the bus loses are found in the store: a
//! change to a message by the version that is missing ([`super::flow_subscribers`]), all others by
//! the time of their commit ([`super::event_tracker`]). [`super::reconciler`] reads them.

use super::event_tracker::{EventTracker, ReadStart};
use super::flow_subscribers::FlowSubscribers;
use super::sharded::Sharded;
use super::subscriber::Subscriber;
use crate::backlog::{Backlogs, FlowBacklog};
use crate::sync::lock;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use tokio::sync::{Notify, mpsc};
use tolmach_domain::{
    Authority, ConnectionId, Fault, FlowId, FlowSummary, Timestamp, UserId, Version,
};
use tolmach_engine::ports::{Bus, Topic};
use tolmach_engine::{Engine, ReadableFlow};

/// The share of a connection's send buffer that the events of one flow may fill at once: past it
/// the flow lags.
const LAG_SHARE: usize = 4;

/// The index of all connections by flow and by user.
pub(crate) struct Hub {
    pub(super) engine: Arc<Engine>,
    pub(super) bus: Arc<dyn Bus>,
    flows: Sharded<FlowId, FlowSubscribers>,
    pub(super) users: Sharded<UserId, Vec<UserSubscriber>>,
    connections: Sharded<ConnectionId, Arc<Subscriber>>,
    pub(super) tracker: Mutex<EventTracker>,
    /// Notified when the bus may have lost something.
    pub(super) missed: Notify,
    repairs: mpsc::UnboundedSender<Repair>,
    backlogs: Arc<Backlogs>,
}

/// Something that has to be read from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repair {
    /// The messages that a flow lacks.
    Gap(FlowId),
    /// The summary of a flow.
    Summary(FlowId),
}

/// A connection of a user.
pub(super) struct UserSubscriber {
    pub(super) subscriber: Arc<Subscriber>,
    follow: Follow,
}

/// The relation between a connection's subscriptions and its user's memberships.
enum Follow {
    /// None: the connection receives the ends of sessions and is removed with its user.
    No,
    /// The memberships are being read. Meanwhile the user came into these flows, which stood at a
    /// version then, or left them.
    Loading(Vec<(FlowId, Option<Version>)>),
    /// The connection is subscribed to every flow that the user is in.
    Yes,
}

impl Hub {
    /// A hub that receives what is committed after `now`, the newest commit of the store. The
    /// receiver is for [`super::Reconciler`].
    pub(super) fn new(
        engine: Arc<Engine>,
        bus: Arc<dyn Bus>,
        now: Timestamp,
        send_queue_bytes: usize,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Repair>) {
        let (repairs, receiver) = mpsc::unbounded_channel();
        let hub = Self {
            engine,
            bus,
            flows: Sharded::new(),
            users: Sharded::new(),
            connections: Sharded::new(),
            tracker: Mutex::new(EventTracker::new(now)),
            missed: Notify::new(),
            repairs,
            backlogs: Backlogs::new(send_queue_bytes / LAG_SHARE),
        };
        (Arc::new(hub), receiver)
    }

    // Connections

    /// A new connection, without any subscription.
    pub(crate) fn connect(&self, id: ConnectionId) -> Arc<Subscriber> {
        let subscriber = Arc::new(Subscriber::new(id));
        self.connections.shard(id.0).insert(id, subscriber.clone());
        subscriber
    }

    /// Removes a connection that was attached to `user`.
    pub(crate) fn disconnect(&self, subscriber: &Arc<Subscriber>, user: Option<UserId>) {
        subscriber.queue.close();
        self.detach(subscriber, user);
        self.connections.shard(subscriber.id.0).remove(&subscriber.id);
    }

    /// All connections, weakly: those that end meanwhile can be passed over.
    pub(crate) fn connections(&self) -> Vec<Weak<Subscriber>> {
        let mut connections = Vec::new();
        for shard in self.connections.shards() {
            connections.extend(shard.values().map(Arc::downgrade));
        }
        connections
    }

    // Subscriptions

    /// Attaches a connection to a user: it receives the ends of the user's sessions.
    pub(crate) fn attach(&self, subscriber: &Arc<Subscriber>, user: UserId) {
        self.attach_as(subscriber, user, Follow::No);
    }

    /// Attaches a connection to a user, and subscribes it to one flow if the reader may receive its
    /// events. `needs_summary` is true if its dialect needs the summary of the flow. `as_read` is
    /// the flow as a request of the reader's has just read it. Returns the flow if it was read
    /// here.
    pub(crate) async fn subscribe_to_flow(
        &self,
        subscriber: &Arc<Subscriber>,
        user: UserId,
        (reader, authority): (UserId, Authority),
        (flow, needs_summary): (FlowId, bool),
        as_read: Option<FlowAsRead>,
    ) -> Result<Option<ReadableFlow>, Fault> {
        self.attach(subscriber, user);
        if let Some(FlowAsRead { flow: read, start, version, summary }) = as_read
            && read == flow
            && self.subscribe_as_read(
                subscriber,
                start,
                (reader, flow),
                Some(version),
                Some(summary).filter(|_| needs_summary),
            )
        {
            return Ok(None);
        }
        loop {
            let start = lock(&self.tracker).start_read();
            let readable = match self.engine.readable_flow(reader, authority, flow).await {
                Ok(readable) => readable,
                Err(fault) => {
                    self.detach(subscriber, Some(user));
                    return Err(fault);
                }
            };
            let version = readable.as_ref().map(ReadableFlow::version);
            let summary = match (needs_summary, version) {
                (true, Some(_)) if self.flow_summary(flow).is_some() => Some(NewSummary::Known),
                (true, Some(_)) => Some(NewSummary::Read(self.read_summary(flow).await)),
                _ => None,
            };
            if self.subscribe_as_read(subscriber, start, (reader, flow), version, summary) {
                return Ok(readable);
            }
        }
    }

    /// The start of a read of a flow by a request that a subscription may follow.
    pub(crate) fn start_flow_read(&self, flow: FlowId) -> FlowReadStart {
        let start = lock(&self.tracker).start_read();
        FlowReadStart { flow, start, generation: self.summary_generation(flow).unwrap_or_default() }
    }

    /// The flow of an answer, with all its members, to a request that began at `begun`; `None` if
    /// that was the read of another flow.
    pub(crate) fn flow_as_read(
        &self,
        begun: FlowReadStart,
        answer: &FlowSummary,
    ) -> Option<FlowAsRead> {
        let FlowReadStart { flow, start, generation } = begun;
        if answer.flow.id != flow || answer.members.is_empty() {
            return None;
        }
        let summary = if self.flow_summary(flow).is_some() {
            NewSummary::Known
        } else {
            let summary = Ok(Some(shared_summary(answer)));
            NewSummary::Read(ReadSummary { generation, summary })
        };
        Some(FlowAsRead { flow, start, version: answer.flow.version, summary })
    }

    /// Subscribes a connection to a flow, if a read that began at `start` found a version of it for
    /// the reader. Returns false if what was read is outdated.
    fn subscribe_as_read(
        &self,
        subscriber: &Arc<Subscriber>,
        start: ReadStart,
        (reader, flow): (UserId, FlowId),
        version: Option<Version>,
        summary: Option<NewSummary>,
    ) -> bool {
        // Held until the connection is subscribed: a later change ends the subscription.
        let tracker = lock(&self.tracker);
        if !tracker.is_current(start, reader, flow) {
            return false;
        }
        if let Some(version) = version {
            self.subscribe(subscriber, flow, version, summary);
        }
        true
    }

    /// Attaches a connection to a user, and subscribes it to every flow that the user is in, as
    /// that changes.
    pub(crate) async fn subscribe_to_all(
        &self,
        subscriber: &Arc<Subscriber>,
        user: UserId,
    ) -> Result<(), Fault> {
        self.attach_as(subscriber, user, Follow::Loading(Vec::new()));
        loop {
            let start = lock(&self.tracker).start_read();
            let flows = match self.engine.flow_versions(user).await {
                Ok(flows) => flows,
                Err(fault) => {
                    self.detach(subscriber, Some(user));
                    return Err(fault);
                }
            };
            let tracker = lock(&self.tracker);
            if tracker.is_unreconciled_since(start) {
                self.follow_all(subscriber, user, flows.into_iter().collect());
                return Ok(());
            }
        }
    }

    /// Detaches a connection from its user, and ends its subscriptions.
    pub(crate) fn detach(&self, subscriber: &Arc<Subscriber>, user: Option<UserId>) {
        if let Some(user) = user {
            let mut users = self.users.shard(user.get() as u64);
            if let Some(subscribers) = users.get_mut(&user) {
                subscribers.retain(|entry| entry.subscriber.id != subscriber.id);
                if subscribers.is_empty() {
                    users.remove(&user);
                    self.bus.unsubscribe(&[Topic::User(user)]);
                }
            }
        }
        for flow in subscriber.take_flows() {
            self.remove(subscriber, flow);
        }
        subscriber.queue.discard_flow_events();
    }

    fn attach_as(&self, subscriber: &Arc<Subscriber>, user: UserId, follow: Follow) {
        let mut users = self.users.shard(user.get() as u64);
        let subscribers = users.entry(user).or_insert_with(|| {
            self.bus.subscribe(&[Topic::User(user)]);
            // Most users have one connection.
            Vec::with_capacity(1)
        });
        subscribers.push(UserSubscriber { subscriber: subscriber.clone(), follow });
    }

    fn follow_all(
        &self,
        subscriber: &Arc<Subscriber>,
        user: UserId,
        mut flows: BTreeMap<FlowId, Version>,
    ) {
        let mut users = self.users.shard(user.get() as u64);
        let entry = users.get_mut(&user).and_then(|subscribers| {
            subscribers.iter_mut().find(|entry| entry.subscriber.id == subscriber.id)
        });
        let Some(entry) = entry else { return };
        if let Follow::Loading(changes) = std::mem::replace(&mut entry.follow, Follow::Yes) {
            for (flow, joined_at) in changes {
                match joined_at {
                    Some(version) => {
                        flows.entry(flow).or_insert(version);
                    }
                    None => {
                        flows.remove(&flow);
                    }
                }
            }
        }
        for (flow, version) in flows {
            self.subscribe(subscriber, flow, version, None);
        }
    }

    /// A user came into a flow, which stood at a version then, or left it.
    pub(super) fn follow(&self, user: UserId, flow: FlowId, joined_at: Option<Version>) {
        let mut users = self.users.shard(user.get() as u64);
        for entry in users.get_mut(&user).into_iter().flatten() {
            if let Follow::Loading(changes) = &mut entry.follow {
                changes.push((flow, joined_at));
            }
            match (joined_at, &entry.follow) {
                (Some(version), Follow::Yes) => {
                    self.subscribe(&entry.subscriber, flow, version, None);
                }
                (Some(_), Follow::No | Follow::Loading(_)) => {}
                (None, _) => {
                    if entry.subscriber.remove_flow(flow) {
                        self.remove(&entry.subscriber, flow);
                    }
                }
            }
        }
    }

    /// `version` is the one up to which the connection knows the flow. Where the flow has
    /// subscribers already, the connection goes on where they are. `summary` is given where the
    /// connection's dialect needs it.
    fn subscribe(
        &self,
        subscriber: &Arc<Subscriber>,
        flow: FlowId,
        version: Version,
        summary: Option<NewSummary>,
    ) {
        let mut flows = self.flows_with(flow);
        if !subscriber.insert_flow(flow) {
            return;
        }
        let subscribers = match flows.entry(flow) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.bus.subscribe(&[Topic::Flow(flow)]);
                entry.insert(FlowSubscribers::new(version, &self.backlogs))
            }
        };
        subscribers.add(subscriber.clone());
        if let Some(new) = summary {
            let cache = subscribers.add_summary_reader(subscriber.id);
            let is_missing = match new {
                NewSummary::Read(ReadSummary { generation, summary: Ok(Some(summary)) }) => {
                    // A cache that has followed changes since the read is newer.
                    cache.put(generation, summary);
                    false
                }
                NewSummary::Read(ReadSummary { summary: Ok(None), .. }) => false,
                NewSummary::Read(ReadSummary { summary: Err(_), .. }) => true,
                // The last one who needed it may have left since.
                NewSummary::Known => cache.get().is_none(),
            };
            if is_missing {
                self.repair(Repair::Summary(flow));
            }
        }
    }

    fn remove(&self, subscriber: &Arc<Subscriber>, flow: FlowId) {
        let mut flows = self.flows_with(flow);
        if flows.get_mut(&flow).is_some_and(|subscribers| subscribers.remove(subscriber.id)) {
            flows.remove(&flow);
            self.bus.unsubscribe(&[Topic::Flow(flow)]);
        }
    }

    /// The shard with the subscribers of a flow.
    pub(super) fn flows_with(
        &self,
        flow: FlowId,
    ) -> MutexGuard<'_, HashMap<FlowId, FlowSubscribers>> {
        self.flows.shard(flow.get() as u64)
    }

    // Delivery

    /// The flows that have subscribers; `None` if they are more than `limit`.
    pub(super) fn subscribed_flows(&self, limit: usize) -> Option<Vec<FlowId>> {
        let mut flows = Vec::new();
        for shard in self.flows.shards() {
            if flows.len() + shard.len() > limit {
                return None;
            }
            flows.extend(shard.keys());
        }
        Some(flows)
    }

    /// The backlog of a flow, if it lags.
    pub(crate) fn lagging_backlog(&self, flow: FlowId) -> Option<Arc<FlowBacklog>> {
        if !self.backlogs.is_any_lagging() {
            return None;
        }
        self.backlog(flow).filter(|backlog| backlog.is_lagging())
    }

    /// The backlog of a flow with subscribers.
    pub(super) fn backlog(&self, flow: FlowId) -> Option<Arc<FlowBacklog>> {
        Some(self.flows_with(flow).get(&flow)?.backlog().clone())
    }

    /// True if a connection was sent everything of a flow up to this version, or will not be.
    pub(crate) fn has_sent(&self, subscriber: &Subscriber, flow: FlowId, version: Version) -> bool {
        let sent = self.flows_with(flow).get(&flow).map(FlowSubscribers::sent);
        sent.is_none_or(|sent| sent >= version) || !subscriber.is_subscribed(flow)
    }

    // Summaries

    /// The summary of a flow, where a subscriber needs it and it could be read.
    pub(crate) fn flow_summary(&self, flow: FlowId) -> Option<Arc<FlowSummary>> {
        self.flows_with(flow).get(&flow)?.summary().cloned()
    }

    /// Takes a summary with all members that was read just now, where a subscriber needs it.
    pub(crate) fn put_flow_summary(&self, summary: &FlowSummary) {
        let flow = summary.flow.id;
        if let Some(cache) =
            self.flows_with(flow).get_mut(&flow).and_then(FlowSubscribers::summary_cache_mut)
        {
            let generation = cache.generation();
            cache.put(generation, shared_summary(summary));
        }
    }

    async fn read_summary(&self, flow: FlowId) -> ReadSummary {
        let generation = self.summary_generation(flow).unwrap_or_default();
        let summary = self.engine.flow_summary(flow).await.map(|summary| summary.map(Arc::new));
        if let Err(fault) = &summary {
            tracing::debug!(%flow, %fault, "the summary of a flow cannot be read, retrying");
        }
        ReadSummary { generation, summary }
    }

    /// Reads the summary of a flow again. Returns whether it has to be read once more.
    pub(super) async fn refresh_summary(&self, flow: FlowId) -> bool {
        if self.summary_generation(flow).is_none() {
            return false;
        }
        let ReadSummary { generation, summary } = self.read_summary(flow).await;
        let mut flows = self.flows_with(flow);
        let cache = flows.get_mut(&flow).and_then(FlowSubscribers::summary_cache_mut);
        match (cache, summary) {
            (Some(cache), Ok(Some(summary))) => !cache.put(generation, summary),
            (Some(_), Err(_)) => true,
            (None, _) | (_, Ok(None)) => false,
        }
    }

    fn summary_generation(&self, flow: FlowId) -> Option<u64> {
        Some(self.flows_with(flow).get(&flow)?.summary_cache()?.generation())
    }

    /// Has something read from the store.
    pub(super) fn repair(&self, repair: Repair) {
        // The receiver lasts as long as the runtime does.
        let _ = self.repairs.send(repair);
    }
}

/// The start of a read of a flow by a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowReadStart {
    flow: FlowId,
    start: ReadStart,
    /// The generation of the summary's cache.
    generation: u64,
}

/// A flow as a request has read it.
pub(crate) struct FlowAsRead {
    flow: FlowId,
    start: ReadStart,
    version: Version,
    summary: NewSummary,
}

/// The summary of a flow for a new subscriber that needs it.
enum NewSummary {
    /// There was one for other subscribers.
    Known,
    Read(ReadSummary),
}

/// The summary in an answer, for frames that are shared: contact data that its reader may see is
/// not for others.
fn shared_summary(answer: &FlowSummary) -> Arc<FlowSummary> {
    let mut shared = answer.clone();
    shared.remove_contacts();
    Arc::new(shared)
}

/// A summary as it was read, when its cache had a generation.
struct ReadSummary {
    generation: u64,
    /// `None` if there is no such flow.
    summary: Result<Option<Arc<FlowSummary>>, Fault>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Limits;
    use crate::test_support::{TestServer, settle, toy};
    use tolmach_engine::ports::FlowStore;

    #[tokio::test]
    async fn a_removal_between_the_read_of_a_membership_and_the_subscription_is_not_missed() {
        let server = TestServer::new(toy(), Limits::default()).await;
        let (hub, store) = (&server.state.hub, &server.backend.store);
        let users = [server.backend.user("ann").await.id, server.backend.user("bob").await.id];
        let ann = users[0];
        let flow = server.backend.group(&users).await;
        settle().await;
        let subscriber = hub.connect(server.state.new_connection());
        for user in [users[1], ann] {
            hub.attach(&subscriber, user);
            let start = lock(&hub.tracker).start_read();
            let readable = hub.engine.readable_flow(user, Authority::Member, flow).await.unwrap();
            let version = Some(readable.expect("a member may read it").version());
            if user != ann {
                let now = server.state.engine.now();
                store.remove_members(flow, ann, &[user], None, now).await.unwrap();
                settle().await;
            }
            let current = hub.subscribe_as_read(&subscriber, start, (user, flow), version, None);
            assert_eq!((current, subscriber.is_subscribed(flow)), (user == ann, user == ann));
            hub.detach(&subscriber, Some(user));
        }
        // The whole way reads again what is outdated: no membership, and no subscription.
        let reader = (users[1], Authority::Member);
        let read = hub.subscribe_to_flow(&subscriber, users[1], reader, (flow, false), None).await;
        assert!(read.unwrap().is_none());
        assert!(!subscriber.is_subscribed(flow));
        hub.disconnect(&subscriber, Some(users[1]));
    }
}
