//! Who hears what: from an event to the queues of the connections that are interested in it.
//!
//! Connections are indexed by flow and by user. A flow's connections are spread over shards, so
//! that busy flows do not wait for each other. Locks are taken in the order journal, user, flow,
//! connection.
//!
//! What the bus loses is found in the store: a change to a message by the version that is missing
//! ([`audience`]), everything else by the moment that was not heard ([`journal`]).

mod audience;
mod crowd;
mod journal;

use crate::broadcast::Broadcast;
use crate::outbox::Outbox;
use audience::Audience;
use journal::Journal;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep_until;
use tolmach_domain::{ConnectionId, Event, EventKind, Fault, FlowId, Timestamp, UserId, Version};
use tolmach_engine::Engine;
use tolmach_engine::ports::{Bus, Signal, BusReceiver, Topic};

const SHARDS: usize = 64;

/// Who hears what.
pub(crate) struct Hub {
    engine: Arc<Engine>,
    bus: Arc<dyn Bus>,
    flows: Vec<Mutex<HashMap<FlowId, Audience>>>,
    users: Vec<Mutex<HashMap<UserId, Vec<UserListener>>>>,
    everyone: Vec<Mutex<HashMap<ConnectionId, Arc<Listener>>>>,
    journal: Mutex<Journal>,
    /// Something may have been missed: the store is to be asked soon.
    missed: Notify,
    /// Holds how many repairs may read from the store at once.
    repairs: Semaphore,
    queue_bound: usize,
}

/// A connection, as the hub sees it.
pub(crate) struct Listener {
    pub(crate) id: ConnectionId,
    pub(crate) outbox: Outbox,
    /// The flows that it is subscribed to.
    flows: Mutex<BTreeSet<FlowId>>,
}

/// A connection that belongs to a user.
struct UserListener {
    listener: Arc<Listener>,
    follow: Follow,
}

/// Whether a connection goes along with the user's memberships.
enum Follow {
    /// No: it only has to hear of the user's sessions and removals.
    No,
    /// The list of flows is being read; meanwhile these memberships came, at a version of their
    /// flow, and went.
    Loading(Vec<(FlowId, Option<Version>)>),
    /// Yes.
    Yes,
}

impl Hub {
    /// A hub that hears what comes after `now`, the newest moment of the store. `queue_bound` is in
    /// bytes, for each connection.
    pub(crate) fn new(
        engine: Arc<Engine>,
        bus: Arc<dyn Bus>,
        now: Timestamp,
        queue_bound: usize,
    ) -> Arc<Self> {
        fn shards<K, V>() -> Vec<Mutex<HashMap<K, V>>> {
            (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect()
        }
        Arc::new(Self {
            engine,
            bus,
            flows: shards(),
            users: shards(),
            everyone: shards(),
            journal: Mutex::new(Journal::new(now)),
            missed: Notify::new(),
            repairs: Semaphore::new(journal::REPAIRS),
            queue_bound,
        })
    }

    /// A new connection. It hears nothing yet, but is closed with all others.
    pub(crate) fn connect(&self, id: ConnectionId) -> Arc<Listener> {
        let listener = Arc::new(Listener {
            id,
            outbox: Outbox::new(self.queue_bound),
            flows: Mutex::default(),
        });
        lock(&self.everyone[shard(id.0)]).insert(id, listener.clone());
        listener
    }

    /// The connection is gone; `user` is whom it belonged to.
    pub(crate) fn disconnect(&self, listener: &Arc<Listener>, user: Option<UserId>) {
        self.leave(listener, user);
        lock(&self.everyone[shard(listener.id.0)]).remove(&listener.id);
    }

    /// The connection belongs to this user and hears of their sessions; it also hears this flow, if
    /// one is given.
    pub(crate) async fn hear_one(
        &self,
        listener: &Arc<Listener>,
        user: UserId,
        flow: Option<FlowId>,
    ) -> Result<(), Fault> {
        self.belong(listener, user, Follow::No);
        let Some(flow) = flow else { return Ok(()) };
        loop {
            let checks = lock(&self.journal).checks();
            let position = match self.engine.position(flow).await {
                Ok(position) => position,
                Err(fault) => {
                    self.leave(listener, Some(user));
                    return Err(fault);
                }
            };
            let journal = lock(&self.journal);
            if journal.checks() == checks {
                if let Some(position) = position {
                    self.subscribe(listener, flow, position);
                }
                return Ok(());
            }
        }
    }

    /// The connection belongs to this user and hears every flow that they are in, as that changes.
    pub(crate) async fn hear_every(
        &self,
        listener: &Arc<Listener>,
        user: UserId,
    ) -> Result<(), Fault> {
        self.belong(listener, user, Follow::Loading(Vec::new()));
        loop {
            let checks = lock(&self.journal).checks();
            let flows = match self.engine.positions(user).await {
                Ok(flows) => flows,
                Err(fault) => {
                    self.leave(listener, Some(user));
                    return Err(fault);
                }
            };
            // A check in between may have passed over flows that nobody here was subscribed to:
            // what was read is too old.
            let journal = lock(&self.journal);
            if journal.checks() == checks {
                self.follow_all(listener, user, flows.into_iter().collect());
                return Ok(());
            }
        }
    }

    fn belong(&self, listener: &Arc<Listener>, user: UserId, follow: Follow) {
        let mut users = lock(&self.users[shard(user.get() as u64)]);
        let listeners = users.entry(user).or_insert_with(|| {
            self.bus.subscribe(&[Topic::User(user)]);
            // Most have one.
            Vec::with_capacity(1)
        });
        listeners.push(UserListener { listener: listener.clone(), follow });
    }

    fn follow_all(
        &self,
        listener: &Arc<Listener>,
        user: UserId,
        mut flows: BTreeMap<FlowId, Version>,
    ) {
        let mut users = lock(&self.users[shard(user.get() as u64)]);
        let entry = users.get_mut(&user).and_then(|listeners| {
            listeners.iter_mut().find(|entry| entry.listener.id == listener.id)
        });
        let Some(entry) = entry else { return };
        if let Follow::Loading(changes) = std::mem::replace(&mut entry.follow, Follow::Yes) {
            for (flow, came) in changes {
                match came {
                    Some(version) => flows.entry(flow).or_insert(version),
                    None => {
                        flows.remove(&flow);
                        continue;
                    }
                };
            }
        }
        for (flow, position) in flows {
            self.subscribe(listener, flow, position);
        }
    }

    /// The connection hears nothing any more.
    pub(crate) fn leave(&self, listener: &Arc<Listener>, user: Option<UserId>) {
        if let Some(user) = user {
            let mut users = lock(&self.users[shard(user.get() as u64)]);
            if let Some(listeners) = users.get_mut(&user) {
                listeners.retain(|entry| entry.listener.id != listener.id);
                if listeners.is_empty() {
                    users.remove(&user);
                    self.bus.unsubscribe(&[Topic::User(user)]);
                }
            }
        }
        let flows = std::mem::take(&mut *lock(&listener.flows));
        for flow in flows {
            self.remove(listener, flow);
        }
    }

    /// Everybody who is connected now; weakly, so that whoever goes meanwhile can be passed over.
    pub(crate) fn connected(&self) -> Vec<Weak<Listener>> {
        self.everyone
            .iter()
            .flat_map(|shard| lock(shard).values().map(Arc::downgrade).collect::<Vec<_>>())
            .collect()
    }

    /// Whether a connection was told of this version of a flow, or will not be.
    pub(crate) fn has_told(&self, listener: &Listener, flow: FlowId, version: Version) -> bool {
        let told = self.audiences(flow).get(&flow).map(Audience::told);
        told.is_none_or(|told| told >= version) || !lock(&listener.flows).contains(&flow)
    }

    /// Hears one part of the bus until it is gone.
    pub(crate) async fn dispatch(self: Arc<Self>, mut subscription: Box<dyn BusReceiver>) {
        while let Some(signal) = subscription.next().await {
            match signal {
                Signal::Events(events) => self.hear(&events),
                Signal::Missed => self.missed.notify_one(),
            }
        }
    }

    /// Brings events to everybody who is interested: changes to messages of one flow together.
    fn hear(self: &Arc<Self>, events: &[Arc<Event>]) {
        for group in events.chunk_by(|a, b| {
            a.versions().is_some() && b.versions().is_some() && a.flow() == b.flow()
        }) {
            group.iter().for_each(|event| crate::metrics::event(event.name()));
            let Some(first) = group.first() else { continue };
            match (first.flow(), first.committed_at) {
                (Some(flow), Some(_)) if first.versions().is_some() => {
                    self.hear_changes(flow, group)
                }
                (_, Some(moment)) => {
                    // Held while it is delivered, so that these events keep their order.
                    let mut journal = lock(&self.journal);
                    if journal.is_new(moment) {
                        self.deliver(first, |user, flow| journal.is_last_word(moment, user, flow));
                        journal.keep(moment, first.clone());
                    }
                }
                (Some(flow), None) => self.tell(flow, &Arc::new(Broadcast::new(first.clone()))),
                (None, None) => tracing::error!(
                    event = first.name(),
                    "an event that nobody can be interested in"
                ),
            }
        }
    }

    fn hear_changes(self: &Arc<Self>, flow: FlowId, events: &[Arc<Event>]) {
        if self.with_audience(flow, |audience| audience.hear(events)) == Some(true) {
            self.repair_soon(flow);
        }
    }

    /// Does something with the audience of a flow, if it has one, and sees to it that what is
    /// untold then is told in time.
    fn with_audience<T>(
        self: &Arc<Self>,
        flow: FlowId,
        work: impl FnOnce(&mut Audience) -> T,
    ) -> Option<T> {
        let (outcome, appointed) = self
            .audiences(flow)
            .get_mut(&flow)
            .map(|audience| (work(audience), audience.appoint()))?;
        if let Some(appointed) = appointed {
            let hub = self.clone();
            tokio::spawn(async move {
                sleep_until(appointed).await;
                if let Some(audience) = hub.audiences(flow).get_mut(&flow) {
                    audience.come();
                }
            });
        }
        Some(outcome)
    }

    /// The audiences among which a flow's is.
    fn audiences(&self, flow: FlowId) -> MutexGuard<'_, HashMap<FlowId, Audience>> {
        lock(&self.flows[shard(flow.get() as u64)])
    }

    /// Brings an event that changed no message to everybody who is interested, and follows the
    /// memberships that it changes where `follows` says that this is the last word on them.
    fn deliver(&self, event: &Arc<Event>, follows: impl Fn(UserId, FlowId) -> bool) {
        self.engine.heard(event);
        let broadcast = Arc::new(Broadcast::new(event.clone()));
        let follow = |user, flow, came| {
            if follows(user, flow) {
                self.follow(user, flow, came);
            }
        };
        match &event.kind {
            EventKind::Posted(_)
            | EventKind::Edited(_)
            | EventKind::Deleted { .. }
            | EventKind::Typing { .. } => {}
            EventKind::FlowCreated { flow, members } => {
                members.iter().for_each(|member| follow(member.id, flow.id, Some(flow.version)))
            }
            EventKind::MembersAdded { flow, users, version } => {
                users.iter().for_each(|user| follow(user.id, *flow, Some(*version)))
            }
            EventKind::SessionsEnded { user, .. } => {
                let users = lock(&self.users[shard(user.get() as u64)]);
                crowd::tell(
                    users.get(user).into_iter().flatten().map(|entry| &entry.listener),
                    std::slice::from_ref(&broadcast),
                );
            }
            EventKind::MembersRemoved { .. } | EventKind::FlowDeleted { .. } => {}
        }
        if let Some(flow) = event.flow() {
            self.tell(flow, &broadcast);
        }
        // Whoever left has heard of it, and hears no more.
        match &event.kind {
            EventKind::MembersRemoved { flow, users } => {
                users.iter().for_each(|user| follow(*user, *flow, None))
            }
            EventKind::FlowDeleted { flow, .. } => {
                let audience = self.audiences(*flow).remove(flow);
                for listener in audience.into_iter().flat_map(|audience| audience.listeners) {
                    lock(&listener.flows).remove(flow);
                }
                self.bus.unsubscribe(&[Topic::Flow(*flow)]);
            }
            _ => {}
        }
    }

    fn tell(&self, flow: FlowId, broadcast: &Arc<Broadcast>) {
        if let Some(audience) = self.audiences(flow).get_mut(&flow) {
            audience.tell_all();
            crowd::tell(&audience.listeners, std::slice::from_ref(broadcast));
        }
    }

    /// A user came into a flow, which stood at a version then, or left it.
    fn follow(&self, user: UserId, flow: FlowId, came: Option<Version>) {
        let mut users = lock(&self.users[shard(user.get() as u64)]);
        for entry in users.get_mut(&user).into_iter().flatten() {
            if let Follow::Loading(changes) = &mut entry.follow {
                changes.push((flow, came));
            }
            match (came, &entry.follow) {
                (Some(version), Follow::Yes) => self.subscribe(&entry.listener, flow, version),
                (Some(_), Follow::No | Follow::Loading(_)) => {}
                (None, _) => self.unsubscribe(&entry.listener, flow),
            }
        }
    }

    /// `position` is up to where the connection knows the flow; who comes to others hears what they
    /// hear.
    fn subscribe(&self, listener: &Arc<Listener>, flow: FlowId, position: Version) {
        let mut flows = self.audiences(flow);
        if lock(&listener.flows).insert(flow) {
            let audience = match flows.entry(flow) {
                Entry::Occupied(audience) => audience.into_mut(),
                Entry::Vacant(place) => {
                    self.bus.subscribe(&[Topic::Flow(flow)]);
                    place.insert(Audience::new(position))
                }
            };
            // What is untold was before it came.
            audience.tell_all();
            audience.listeners.push(listener.clone());
        }
    }

    fn unsubscribe(&self, listener: &Arc<Listener>, flow: FlowId) {
        if lock(&listener.flows).remove(&flow) {
            self.remove(listener, flow);
        }
    }

    fn remove(&self, listener: &Arc<Listener>, flow: FlowId) {
        let mut flows = self.audiences(flow);
        if let Some(audience) = flows.get_mut(&flow) {
            audience.tell_all();
            if let Some(index) = audience.listeners.iter().position(|other| other.id == listener.id)
            {
                audience.listeners.swap_remove(index);
            }
            if audience.listeners.is_empty() {
                flows.remove(&flow);
                self.bus.unsubscribe(&[Topic::Flow(flow)]);
            }
        }
    }
}

fn shard(number: u64) -> usize {
    (number % SHARDS as u64) as usize
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks panics halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
