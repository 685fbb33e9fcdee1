//! Who hears what: from an event to the queues of the connections that are interested in it.
//!
//! Connections are indexed by flow and by user. A flow's connections are spread over shards, so that busy flows do not
//! wait for each other. Locks are taken in the order user, flow, connection.

use crate::broadcast::Broadcast;
use crate::outbox::Outbox;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tolmach_domain::{ConnectionId, Event, EventKind, FlowId, UserId};
use tolmach_engine::Engine;
use tolmach_engine::ports::{Signal, Subscription};

const SHARDS: usize = 64;

/// Who hears what.
pub(crate) struct Hub {
    flows: Vec<Mutex<HashMap<FlowId, Vec<Arc<Listener>>>>>,
    users: Vec<Mutex<HashMap<UserId, Vec<UserListener>>>>,
    everyone: Vec<Mutex<HashMap<ConnectionId, Arc<Listener>>>>,
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
    /// The list of flows is being read; meanwhile these memberships came (`true`) and went.
    Loading(Vec<(FlowId, bool)>),
    /// Yes.
    Yes,
}

impl Hub {
    pub(crate) fn new(queue_bound: usize) -> Arc<Self> {
        fn shards<K, V>() -> Vec<Mutex<HashMap<K, V>>> {
            (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect()
        }
        Arc::new(Self { flows: shards(), users: shards(), everyone: shards(), queue_bound })
    }

    /// A new connection. It hears nothing yet, but is closed with all others.
    pub(crate) fn connect(&self, id: ConnectionId) -> Arc<Listener> {
        let listener = Arc::new(Listener { id, outbox: Outbox::new(self.queue_bound), flows: Mutex::default() });
        lock(&self.everyone[shard(id.0)]).insert(id, listener.clone());
        listener
    }

    /// The connection is gone; `user` is whom it belonged to.
    pub(crate) fn disconnect(&self, listener: &Arc<Listener>, user: Option<UserId>) {
        self.leave(listener, user);
        lock(&self.everyone[shard(listener.id.0)]).remove(&listener.id);
    }

    /// The connection belongs to this user and hears of their sessions; it also hears this flow, if one is given.
    pub(crate) fn hear_one(&self, listener: &Arc<Listener>, user: UserId, flow: Option<FlowId>) {
        let mut users = lock(&self.users[shard(user.get() as u64)]);
        users.entry(user).or_default().push(UserListener { listener: listener.clone(), follow: Follow::No });
        if let Some(flow) = flow {
            self.subscribe(listener, flow);
        }
    }

    /// The connection belongs to this user and hears every flow that they are in, as that changes.
    pub(crate) async fn hear_every(&self, listener: &Arc<Listener>, user: UserId, engine: &Engine) -> Result<(), tolmach_domain::Fault> {
        let index = shard(user.get() as u64);
        let entry = UserListener { listener: listener.clone(), follow: Follow::Loading(Vec::new()) };
        lock(&self.users[index]).entry(user).or_default().push(entry);
        let flows = match engine.positions(user).await {
            Ok(flows) => flows,
            Err(fault) => {
                self.leave(listener, Some(user));
                return Err(fault);
            }
        };
        let mut users = lock(&self.users[index]);
        let Some(entry) = users.get_mut(&user).and_then(|listeners| listeners.iter_mut().find(|entry| entry.listener.id == listener.id))
        else {
            return Ok(());
        };
        let mut flows: HashSet<FlowId> = flows.into_iter().map(|(flow, _)| flow).collect();
        if let Follow::Loading(changes) = std::mem::replace(&mut entry.follow, Follow::Yes) {
            for (flow, came) in changes {
                if came {
                    flows.insert(flow)
                } else {
                    flows.remove(&flow)
                };
            }
        }
        for flow in flows {
            self.subscribe(listener, flow);
        }
        Ok(())
    }

    /// The connection hears nothing any more.
    pub(crate) fn leave(&self, listener: &Arc<Listener>, user: Option<UserId>) {
        if let Some(user) = user {
            let mut users = lock(&self.users[shard(user.get() as u64)]);
            if let Some(listeners) = users.get_mut(&user) {
                listeners.retain(|entry| entry.listener.id != listener.id);
                if listeners.is_empty() {
                    users.remove(&user);
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
        self.everyone.iter().flat_map(|shard| lock(shard).values().map(Arc::downgrade).collect::<Vec<_>>()).collect()
    }

    /// Hears one part of the bus until it is gone.
    pub(crate) async fn dispatch(self: Arc<Self>, mut subscription: Box<dyn Subscription>) {
        while let Some(signal) = subscription.next().await {
            let Signal::Events(events) = signal else { continue };
            for event in events {
                crate::metrics::event(event.name());
                self.deliver(event);
            }
        }
    }

    /// Brings one event to everybody who is interested, and follows the memberships that it changes.
    pub(crate) fn deliver(&self, event: Arc<Event>) {
        let broadcast = Arc::new(Broadcast::new(event));
        match &broadcast.notice().kind {
            EventKind::Posted(_) | EventKind::Edited(_) | EventKind::Deleted { .. } | EventKind::Typing { .. } => {}
            EventKind::FlowCreated { flow, members } => members.iter().for_each(|member| self.follow(member.id, flow.id, true)),
            EventKind::MembersAdded { flow, users, .. } => users.iter().for_each(|user| self.follow(user.id, *flow, true)),
            EventKind::SessionsEnded { user, .. } => {
                for entry in lock(&self.users[shard(user.get() as u64)]).get(user).into_iter().flatten() {
                    entry.listener.outbox.push(&broadcast);
                }
            }
            EventKind::MembersRemoved { .. } | EventKind::FlowDeleted { .. } => {}
        }
        if let Some(flow) = broadcast.notice().flow() {
            for listener in lock(&self.flows[shard(flow.get() as u64)]).get(&flow).into_iter().flatten() {
                listener.outbox.push(&broadcast);
            }
        }
        // Whoever left has heard of it, and hears no more.
        match &broadcast.notice().kind {
            EventKind::MembersRemoved { flow, users } => users.iter().for_each(|user| self.follow(*user, *flow, false)),
            EventKind::FlowDeleted { flow, .. } => {
                let listeners = lock(&self.flows[shard(flow.get() as u64)]).remove(flow);
                for listener in listeners.into_iter().flatten() {
                    lock(&listener.flows).remove(flow);
                }
            }
            _ => {}
        }
    }

    /// A user joined or left a flow.
    fn follow(&self, user: UserId, flow: FlowId, joined: bool) {
        let mut users = lock(&self.users[shard(user.get() as u64)]);
        for entry in users.get_mut(&user).into_iter().flatten() {
            match &mut entry.follow {
                Follow::No => {}
                Follow::Loading(changes) => changes.push((flow, joined)),
                Follow::Yes if joined => self.subscribe(&entry.listener, flow),
                Follow::Yes => {}
            }
            if !joined {
                self.unsubscribe(&entry.listener, flow);
            }
        }
    }

    fn subscribe(&self, listener: &Arc<Listener>, flow: FlowId) {
        let mut flows = lock(&self.flows[shard(flow.get() as u64)]);
        if lock(&listener.flows).insert(flow) {
            flows.entry(flow).or_default().push(listener.clone());
        }
    }

    fn unsubscribe(&self, listener: &Arc<Listener>, flow: FlowId) {
        if lock(&listener.flows).remove(&flow) {
            self.remove(listener, flow);
        }
    }

    fn remove(&self, listener: &Arc<Listener>, flow: FlowId) {
        let mut flows = lock(&self.flows[shard(flow.get() as u64)]);
        if let Some(listeners) = flows.get_mut(&flow) {
            if let Some(index) = listeners.iter().position(|other| other.id == listener.id) {
                listeners.swap_remove(index);
            }
            if listeners.is_empty() {
                flows.remove(&flow);
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
