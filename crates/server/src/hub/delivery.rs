//! The delivery of events: from the bus, and from the store where the bus lost them.

use super::fan_out::fan_out;
use super::flow_subscribers::FlowSubscribers;
use super::hub::{Hub, Repair};
use crate::broadcast::Broadcast;
use crate::metrics;
use crate::sync::lock;
use crate::wire_ids::ids_in;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::sleep_until;
use tolmach_domain::{Event, EventKind, FlowId, Message, Timestamp, UserId, Version};
use tolmach_engine::ports::{BusReceiver, ChangesPage, Signal, Topic};

impl Hub {
    /// Receives one part of the bus until it is gone.
    pub(crate) async fn receive_all(self: Arc<Self>, mut receiver: Box<dyn BusReceiver>) {
        while let Some(signal) = receiver.next().await {
            match signal {
                Signal::Events(events) => {
                    self.load_external_ids(events.iter().map(Arc::as_ref)).await;
                    self.receive(&events);
                }
                Signal::Missed => self.missed.notify_one(),
            }
        }
    }

    /// Reads the external ids of events, where namespaces are in use, so that they are cached when
    /// the events are rendered.
    pub(super) async fn load_external_ids(&self, events: impl Iterator<Item = &Event>) {
        let objects = || {
            let mut objects = BTreeSet::new();
            for event in events {
                objects.append(&mut ids_in(&mut event.clone()));
                let summary = event.flow().and_then(|flow| self.flow_summary(flow));
                objects.append(&mut ids_in(&mut summary.as_deref().cloned()));
            }
            objects
        };
        self.engine.load_external_ids(objects).await;
    }

    /// The same for messages that the bus lost.
    pub(super) async fn load_external_ids_of_messages(&self, messages: &[Message]) {
        let objects = || ids_in(&mut messages.to_vec());
        self.engine.load_external_ids(objects).await;
    }

    /// Waits until the bus may have lost something.
    pub(super) async fn missed(&self) {
        self.missed.notified().await;
    }

    /// Delivers events to their subscribers: consecutive changes to messages of one flow together.
    fn receive(self: &Arc<Self>, events: &[Arc<Event>]) {
        for group in events.chunk_by(|a, b| {
            a.versions().is_some() && b.versions().is_some() && a.flow() == b.flow()
        }) {
            group.iter().for_each(|event| metrics::event_received(event.name()));
            let Some(first) = group.first() else { continue };
            match (first.flow(), first.committed_at) {
                (Some(flow), Some(_)) if first.versions().is_some() => {
                    let receive = |subscribers: &mut FlowSubscribers| subscribers.receive(group);
                    if self.with_subscribers(flow, receive) == Some(true) {
                        self.repair(Repair::Gap(flow));
                    }
                }
                (_, Some(committed_at)) => {
                    // Held during the delivery, so that these events keep their order.
                    let mut tracker = lock(&self.tracker);
                    if tracker.is_new(committed_at) {
                        self.deliver(first, |user, flow| {
                            tracker.is_latest_change(committed_at, user, flow)
                        });
                        tracker.insert(committed_at, first.clone());
                    }
                }
                (Some(flow), None) => self.deliver_transient(flow, first),
                (None, None) => tracing::error!(
                    event = first.name(),
                    "an event has neither a flow nor a place in the order of commits"
                ),
            }
        }
    }

    /// Delivers an event that is not stored, unless the flow lags: it may be lost.
    fn deliver_transient(&self, flow: FlowId, event: &Arc<Event>) {
        let mut flows = self.flows_with(flow);
        let subscribers = flows.get_mut(&flow);
        if let Some(subscribers) =
            subscribers.filter(|subscribers| !subscribers.backlog().is_lagging())
        {
            subscribers.send(event);
        }
    }

    /// Delivers an event that changed no message, and follows the memberships that it changes where
    /// `is_latest` is true: no later event has changed them.
    fn deliver(&self, event: &Arc<Event>, is_latest: impl Fn(UserId, FlowId) -> bool) {
        self.engine.observe(event);
        let follow = |user, flow, joined_at| {
            if is_latest(user, flow) {
                self.follow(user, flow, joined_at);
            }
        };
        match &event.kind {
            EventKind::FlowCreated { flow, members } => {
                members.iter().for_each(|member| follow(member.id, flow.id, Some(flow.version)));
                self.send(flow.id, event);
            }
            EventKind::MembersAdded { flow, users, version } => {
                users.iter().for_each(|user| follow(user.id, *flow, Some(*version)));
                let mut flows = self.flows_with(*flow);
                if let Some(subscribers) = flows.get_mut(flow) {
                    if let Some(cache) = subscribers.summary_cache_mut() {
                        cache.add_members(users);
                        self.repair(Repair::Summary(*flow));
                    }
                    subscribers.send(event);
                }
            }
            EventKind::MembersRemoved { flow, users } => {
                if let Some(subscribers) = self.flows_with(*flow).get_mut(flow) {
                    subscribers.send(event);
                    if let Some(cache) = subscribers.summary_cache_mut() {
                        cache.remove_members(users);
                    }
                }
                // The removed users were sent this event, and are sent no later one.
                users.iter().for_each(|user| follow(*user, *flow, None));
            }
            EventKind::FlowDeleted { flow, .. } => {
                self.send(*flow, event);
                let subscribers = self.flows_with(*flow).remove(flow);
                for subscriber in
                    subscribers.into_iter().flat_map(FlowSubscribers::into_subscribers)
                {
                    subscriber.remove_flow(*flow);
                }
                self.bus.unsubscribe(&[Topic::Flow(*flow)]);
            }
            EventKind::SessionsEnded { user, .. } => {
                let users = self.users.shard(user.get() as u64);
                let subscribers = users.get(user).into_iter().flatten();
                let broadcast = Arc::new(Broadcast::of_user(event.clone()));
                fan_out(subscribers.map(|entry| &entry.subscriber), &[broadcast]);
            }
            EventKind::Posted(_)
            | EventKind::Edited(_)
            | EventKind::Deleted { .. }
            | EventKind::Typing { .. } => {
                if let Some(flow) = event.flow() {
                    self.send(flow, event);
                }
            }
        }
    }

    fn send(&self, flow: FlowId, event: &Arc<Event>) {
        if let Some(subscribers) = self.flows_with(flow).get_mut(&flow) {
            subscribers.send(event);
        }
    }

    /// Calls `work` with the subscribers of a flow, if it has some, and sees to it that what is
    /// pending then is flushed in time.
    fn with_subscribers<T>(
        self: &Arc<Self>,
        flow: FlowId,
        work: impl FnOnce(&mut FlowSubscribers) -> T,
    ) -> Option<T> {
        let (outcome, flush_at) = self
            .flows_with(flow)
            .get_mut(&flow)
            .map(|subscribers| (work(subscribers), subscribers.schedule_flush()))?;
        if let Some(flush_at) = flush_at {
            let hub = self.clone();
            tokio::spawn(async move {
                sleep_until(flush_at).await;
                if let Some(subscribers) = hub.flows_with(flow).get_mut(&flow) {
                    subscribers.flush_scheduled();
                }
            });
        }
        Some(outcome)
    }

    /// See [`EventTracker::read_after`](super::event_tracker::EventTracker::read_after).
    pub(super) fn read_after(&self) -> Timestamp {
        lock(&self.tracker).read_after()
    }

    /// Delivers those events of a page that were not received, and sees to it that the flows which
    /// are behind it are filled. `of_all_flows` is false if it was read for
    /// [`Self::subscribed_flows`].
    pub(super) fn reconcile(&self, page: ChangesPage, of_all_flows: bool) {
        let mut tracker = lock(&self.tracker);
        for event in page.events {
            let Some(committed_at) = event.committed_at.filter(|at| tracker.is_new(*at)) else {
                continue;
            };
            metrics::event_recovered(event.name());
            let event = Arc::new(event);
            self.deliver(&event, |user, flow| tracker.is_latest_change(committed_at, user, flow));
            tracker.insert(committed_at, event);
        }
        tracker.reconciled(page.until, of_all_flows);
        for (flow, version) in page.flows {
            let mut flows = self.flows_with(flow);
            let behind =
                flows.get_mut(&flow).filter(|subscribers| subscribers.position() < version);
            if behind.is_some_and(FlowSubscribers::begin_another_read) {
                self.repair(Repair::Gap(flow));
            }
        }
    }

    /// The version of a flow after which the store is read to fill a gap; `None` if the flow has no
    /// subscribers any more.
    pub(super) fn begin_read(&self, flow: FlowId) -> Option<Version> {
        self.flows_with(flow).get_mut(&flow).map(FlowSubscribers::begin_read)
    }

    /// See [`FlowSubscribers::fill_gap`].
    pub(super) fn fill_gap(
        self: &Arc<Self>,
        flow: FlowId,
        messages: Vec<Message>,
        complete: bool,
    ) -> bool {
        self.with_subscribers(flow, |subscribers| subscribers.fill_gap(messages, complete))
            .unwrap_or(true)
    }
}
