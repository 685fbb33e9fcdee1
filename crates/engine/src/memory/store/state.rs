//! The state of the store: plain maps under one lock.

use super::ledger_rows::Ledger;
use super::namespace_rows::NamespaceRows;
use crate::ports::{
    Counter, CounterKey, FlowRetention, ImportState, Quota, Rule, Session, StoreError, TokenHash,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tolmach_domain::{
    Event, EventKind, Fault, Flow, FlowId, IdNamespace, InvalidId, Message, MessageId, Origin,
    SessionId, Timestamp, User, UserId, Version,
};

#[derive(Default)]
pub(super) struct State {
    pub(super) closed: bool,
    /// True if the external ids of objects cannot be read.
    pub(super) external_ids_fail: bool,
    pub(super) users: BTreeMap<UserId, UserRecord>,
    pub(super) last_user: i64,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) tokens: HashMap<TokenHash, SessionId>,
    pub(super) last_session: i64,
    pub(super) refresh: HashMap<TokenHash, Refresh>,
    pub(super) recoveries: HashMap<TokenHash, (UserId, Timestamp)>,
    pub(super) flows: BTreeMap<FlowId, FlowRecord>,
    pub(super) last_flow: i64,
    /// The flows with a retention of their own.
    pub(super) retentions: HashMap<FlowId, FlowRetention>,
    pub(super) messages: BTreeMap<MessageId, Message>,
    pub(super) last_message: i64,
    pub(super) keys: HashMap<(UserId, String), (MessageId, Timestamp)>,
    pub(super) flow_keys: HashMap<(UserId, String), FlowKey>,
    /// Pairs of blocker and blocked.
    pub(super) blocks: BTreeSet<(UserId, UserId)>,
    /// The counts that quotas are checked with, each with the time at which it ends.
    pub(super) quotas: HashMap<(UserId, Quota), (u64, Timestamp)>,
    pub(super) login_counters: HashMap<CounterKey, Counter>,
    pub(super) ledger: Ledger,
    /// The sources that were imported.
    pub(super) imports: BTreeMap<IdNamespace, ImportState>,
    /// The messages that were imported.
    pub(super) imported: BTreeSet<MessageId>,
    /// The serving rules, ordered by number.
    pub(super) rules: Vec<Rule>,
    pub(super) last_rule: i64,
    pub(super) rules_revision: i64,
    pub(super) external_ids: BTreeMap<IdNamespace, NamespaceRows>,
    /// The newest commit time given out.
    pub(super) commit_time: Timestamp,
    /// The events that the change under way will publish.
    pub(super) events: Vec<Event>,
    /// The events that changed no message.
    pub(super) event_log: Vec<Event>,
}

pub(super) struct UserRecord {
    /// The record without its avatar.
    pub(super) user: User,
    pub(super) avatar: Option<String>,
    pub(super) password_hash: Option<String>,
}

pub(super) struct Refresh {
    pub(super) session: SessionId,
    pub(super) expires_at: Timestamp,
    pub(super) spent_at: Option<Timestamp>,
}

pub(super) struct FlowKey {
    pub(super) flow: FlowId,
    pub(super) fingerprint: [u8; 32],
    pub(super) used_at: Timestamp,
}

pub(super) struct FlowRecord {
    pub(super) flow: Flow,
    /// The pair of a chat, the lower id first; kept when one of them is deleted.
    pub(super) pair: Option<(UserId, UserId)>,
    /// Each member with the version up to which it has read.
    pub(super) members: BTreeMap<UserId, Version>,
    /// The members in the order in which they joined.
    pub(super) joined: Vec<UserId>,
    /// The members who created the flow, opened the chat or posted.
    pub(super) acted: BTreeSet<UserId>,
}

impl UserRecord {
    pub(super) fn is_active(&self) -> bool {
        self.user.deleted_at.is_none()
    }
}

impl State {
    pub(super) fn open(&self) -> Result<(), StoreError> {
        if self.closed { Err(StoreError::unavailable("the store is closed")) } else { Ok(()) }
    }

    /// Adds an event to publish. A change to a message has taken the newest commit time before; any
    /// other takes one of its own.
    pub(super) fn publish(
        &mut self,
        occurred_at: Timestamp,
        origin: Option<Origin>,
        kind: EventKind,
    ) {
        let mut event = Event { origin, ..Event::new(occurred_at, kind) };
        if event.versions().is_some() {
            event.committed_at = Some(self.commit_time);
        } else {
            event.committed_at = Some(self.next_commit_time(occurred_at));
            self.event_log.push(Event { origin: None, ..event.clone() });
        }
        self.events.push(event);
    }

    /// A commit time that no other change has.
    pub(super) fn next_commit_time(&mut self, now: Timestamp) -> Timestamp {
        self.commit_time = now.max(Timestamp::from_micros(self.commit_time.micros() + 1));
        self.commit_time
    }

    /// The version and the commit time of the next change to a message of a flow.
    pub(super) fn next_version(
        &mut self,
        flow: FlowId,
        now: Timestamp,
    ) -> Result<(Version, Timestamp), StoreError> {
        let commit_time = self.next_commit_time(now);
        let record = self.flows.get_mut(&flow).ok_or(Fault::NoSuchFlow)?;
        record.flow.version = Version(record.flow.version.0 + 1);
        record.flow.changed_at = commit_time;
        Ok((record.flow.version, commit_time))
    }
}

/// The next id of a sequence.
pub(super) fn next<T>(
    last: &mut i64,
    id: impl FnOnce(i64) -> Result<T, InvalidId>,
) -> Result<T, StoreError> {
    let next = id(*last + 1).map_err(|_| StoreError::failed("there are no ids left"))?;
    *last += 1;
    Ok(next)
}

/// Each value once, in the order of its first mention.
pub(super) fn distinct<T: Copy + Ord>(values: &[T]) -> Vec<T> {
    let mut seen = BTreeSet::new();
    values.iter().copied().filter(|value| seen.insert(*value)).collect()
}
