//! Asking the store what the bus may have lost: at intervals, and when the bus says so.

use super::audience::Audience;
use super::{Hub, lock};
use crate::metrics;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tolmach_domain::{Event, EventKind, FlowId, Message, Timestamp, UserId, Version};
use tolmach_engine::ports::{Checkpoint, StoreError};

/// How many repairs may read from the store at once.
pub(super) const REPAIRS: usize = 8;
/// How many flows and events one look at the store gives.
const PAGE: u32 = 10_000;
/// How many messages one step of a repair reads.
const STEP: u32 = 256;
/// How long an event that was committed may be on its way before it is taken for lost: told by the
/// bus it comes with its origin, which the store does not keep.
const ON_ITS_WAY: Duration = Duration::from_millis(250);
/// The same for one that a later event has overtaken.
const OVERTAKEN: Duration = Duration::from_millis(30);
/// How long a repair rests after the store could not be asked.
const REPAIR_REST: Duration = Duration::from_millis(500);
/// Checks that the bus asks for are at least so far apart.
const CHECK_REST: Duration = Duration::from_millis(100);

/// Which of the events that changed no message were heard.
pub(super) struct Journal {
    /// Everything up to this moment was heard.
    checked: Timestamp,
    /// What was heard of later ones.
    heard: BTreeMap<Timestamp, Arc<Event>>,
    checks: u64,
}

impl Journal {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { checked: now, heard: BTreeMap::new(), checks: 0 }
    }

    /// How many checks there were.
    pub(super) fn checks(&self) -> u64 {
        self.checks
    }

    pub(super) fn is_new(&self, moment: Timestamp) -> bool {
        moment > self.checked && !self.heard.contains_key(&moment)
    }

    pub(super) fn keep(&mut self, moment: Timestamp, event: Arc<Event>) {
        self.heard.insert(moment, event);
    }

    fn check(&mut self, until: Timestamp) {
        self.checks += 1;
        self.checked = self.checked.max(until);
        self.heard.retain(|moment, _| *moment > until);
    }

    /// Whether nothing was heard after a moment that made a user a member of a flow or ended that.
    pub(super) fn is_last_word(&self, moment: Timestamp, user: UserId, flow: FlowId) -> bool {
        let concerns = |event: &Event| match &event.kind {
            EventKind::FlowCreated { flow: made, members } => {
                made.id == flow && members.iter().any(|member| member.id == user)
            }
            EventKind::MembersAdded { flow: there, users, .. } => {
                *there == flow && users.iter().any(|other| other.id == user)
            }
            EventKind::MembersRemoved { flow: there, users } => {
                *there == flow && users.contains(&user)
            }
            EventKind::FlowDeleted { flow: there, .. } => *there == flow,
            _ => false,
        };
        !self
            .heard
            .iter()
            .rev()
            .take_while(|(later, _)| **later > moment)
            .any(|(_, event)| concerns(event))
    }
}

impl Hub {
    /// Asks the store at intervals, and soon after the bus may have lost something, for as long as
    /// the process lives.
    pub(crate) async fn check(self: Arc<Self>, interval: Duration) {
        let mut failing = false;
        loop {
            let next = Instant::now() + interval;
            sleep(CHECK_REST.min(interval)).await;
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.missed.notified() => {}
            }
            let outcome = self.check_once().await;
            metrics::checked(outcome.is_ok());
            match &outcome {
                Err(cause) if !failing => {
                    tracing::warn!(%cause, "what other nodes did cannot be looked up; it will be, once it can")
                }
                Ok(()) if failing => tracing::info!("what other nodes did can be looked up again"),
                _ => {}
            }
            failing = outcome.is_err();
        }
    }

    async fn check_once(self: &Arc<Self>) -> Result<(), StoreError> {
        loop {
            let checked = lock(&self.journal).checked;
            let page = self.engine.checkpoint(checked, PAGE).await?;
            if page.flows.is_empty() && page.events.is_empty() && !page.more {
                lock(&self.journal).check(page.until);
                return Ok(());
            }
            // What was committed a moment ago is most likely on its way.
            sleep(ON_ITS_WAY).await;
            let more = page.more;
            self.catch_up(page);
            if !more {
                return Ok(());
            }
        }
    }

    /// Delivers what was not heard of a page, and repairs the flows that are behind it.
    fn catch_up(self: &Arc<Self>, page: Checkpoint) {
        let mut journal = lock(&self.journal);
        for event in page.events {
            let Some(moment) = event.committed_at.filter(|moment| journal.is_new(*moment)) else {
                continue;
            };
            metrics::repaired(event.name());
            let event = Arc::new(event);
            self.deliver(&event, |user, flow| journal.is_last_word(moment, user, flow));
            journal.keep(moment, event);
        }
        journal.check(page.until);
        for (flow, version) in page.flows {
            let mut flows = self.audiences(flow);
            let behind = flows.get_mut(&flow).filter(|audience| audience.position() < version);
            if behind.is_some_and(Audience::begin_repair) {
                drop(flows);
                tokio::spawn(self.clone().repair(flow));
            }
        }
    }

    /// Reads what a flow lacks, unless it comes by itself in the next moment.
    pub(super) fn repair_soon(self: &Arc<Self>, flow: FlowId) {
        let hub = self.clone();
        tokio::spawn(async move {
            sleep(OVERTAKEN).await;
            hub.repair(flow).await;
        });
    }

    /// Reads what a flow lacks until it lacks nothing or nobody hears it any more.
    async fn repair(self: Arc<Self>, flow: FlowId) {
        loop {
            let Some(position) = self.position(flow) else { return };
            let messages = match self.repairs.acquire().await {
                Ok(_turn) => self.engine.since(flow, position, STEP).await,
                // It is never closed.
                Err(_) => return,
            };
            match messages {
                Err(_) => sleep(REPAIR_REST).await,
                Ok(messages) => {
                    let complete = messages.len() < STEP as usize;
                    if self.mend(flow, messages, complete) {
                        return;
                    }
                    // The store has all, and a later event is here: what is between is on its way
                    // to be read.
                    if complete {
                        sleep(OVERTAKEN).await;
                    }
                }
            }
        }
    }

    /// Whether nothing is left to repair.
    fn mend(self: &Arc<Self>, flow: FlowId, messages: Vec<Message>, complete: bool) -> bool {
        self.with_audience(flow, |audience| audience.mend(messages, complete)).unwrap_or(true)
    }

    /// How far a flow has been heard here, if anybody hears it.
    pub(super) fn position(&self, flow: FlowId) -> Option<Version> {
        self.audiences(flow).get(&flow).map(Audience::position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::SessionId;

    fn moment(number: i64) -> Timestamp {
        Timestamp::from_micros(number)
    }

    fn event(kind: EventKind) -> Arc<Event> {
        Arc::new(Event::new(moment(0), kind))
    }

    fn user(number: i64) -> UserId {
        UserId::new(number).unwrap()
    }

    fn flow(number: i64) -> FlowId {
        FlowId::new(number).unwrap()
    }

    #[test]
    fn what_was_heard_or_checked_is_not_new() {
        let mut journal = Journal::new(moment(10));
        let ended =
            event(EventKind::SessionsEnded { user: user(1), session: SessionId::new(1).ok() });
        for (number, new) in [(9, false), (10, false), (11, true), (12, true)] {
            assert_eq!(journal.is_new(moment(number)), new, "{number}");
        }
        journal.keep(moment(12), ended);
        assert!(journal.is_new(moment(11)) && !journal.is_new(moment(12)));
        journal.check(moment(12));
        assert!(
            !journal.is_new(moment(11))
                && !journal.is_new(moment(12))
                && journal.is_new(moment(13))
        );
        assert!(journal.heard.is_empty());
    }

    #[test]
    fn a_late_word_on_a_membership_does_not_undo_a_later_one() {
        let mut journal = Journal::new(moment(0));
        journal.keep(
            moment(5),
            event(EventKind::MembersRemoved { flow: flow(1), users: vec![user(1)] }),
        );
        for (when, who, place, last) in
            [(4, 1, 1, false), (6, 1, 1, true), (4, 2, 1, true), (4, 1, 2, true)]
        {
            assert_eq!(
                journal.is_last_word(moment(when), user(who), flow(place)),
                last,
                "{when} {who} {place}"
            );
        }
        journal.keep(moment(7), event(EventKind::FlowDeleted { flow: flow(2), by: user(9) }));
        assert!(!journal.is_last_word(moment(6), user(3), flow(2)));
    }
}
