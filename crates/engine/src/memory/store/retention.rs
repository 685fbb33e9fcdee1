//! Retention.

use super::memory_store::MemoryStore;
use super::state::State;
use crate::answer_budget::message_size;
use crate::ports::{
    FlowRetention, IDEMPOTENCY_WINDOW, LedgerDay, PruneCount, PrunePlace, PruneStep, Retention,
    RetentionStore, StoreError,
};
use async_trait::async_trait;
use std::collections::BTreeSet;
use tolmach_domain::{Fault, FlowId, MessageId, Timestamp};

/// The largest number of messages that one step removes.
const STEP: usize = 500;

#[async_trait]
impl RetentionStore for MemoryStore {
    async fn flow_retention(&self, flow: FlowId) -> Result<FlowRetention, StoreError> {
        let found = self.read(|state| {
            let own = state.retentions.get(&flow).copied().unwrap_or_default();
            state.flows.contains_key(&flow).then_some(own)
        });
        Ok(found.await?.ok_or(Fault::NoSuchFlow)?)
    }

    async fn set_flow_retention(
        &self,
        flow: FlowId,
        retention: FlowRetention,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            if !state.flows.contains_key(&flow) {
                return Err(Fault::NoSuchFlow.into());
            }
            state.retentions.insert(flow, retention);
            Ok(())
        })
        .await
    }

    async fn prunable(
        &self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Vec<PruneCount>, StoreError> {
        self.read(|state| {
            let mut counts = state.counts(&state.prunable(retention, now));
            if let Some(period) = retention.ledger {
                let records = state.ledger.prunable(LedgerDay::of(now.before(period)));
                ledger_rows(records).add_to(&mut counts);
            }
            counts
        })
        .await
    }

    async fn prune(
        &self,
        retention: &Retention,
        after: Option<PrunePlace>,
        now: Timestamp,
    ) -> Result<PruneStep, StoreError> {
        self.change(|state| {
            let mut old = state.prunable(retention, now);
            let more = old.len() > STEP;
            old.truncate(STEP);
            let mut removed = state.counts(&old);
            for id in &old {
                state.messages.remove(id);
            }
            if let Some(period) = retention.ledger {
                let records = state.ledger.prune(LedgerDay::of(now.before(period)));
                ledger_rows(records).add_to(&mut removed);
            }
            Ok(PruneStep { removed, after, more })
        })
        .await
    }

    async fn unnamed_photos(&self, keys: &[String]) -> Result<Vec<String>, StoreError> {
        self.read(|state| {
            let users = state.users.values().filter_map(|record| record.user.photo.as_ref());
            let flows = state.flows.values().filter_map(|record| record.flow.photo.as_ref());
            let named: BTreeSet<&str> =
                users.chain(flows).map(|photo| photo.key.as_str()).collect();
            keys.iter().filter(|key| !named.contains(key.as_str())).cloned().collect()
        })
        .await
    }
}

fn ledger_rows(records: u64) -> PruneCount {
    PruneCount { kind: "ledger rows", records, bytes: 0 }
}

impl State {
    /// The messages that are too old, deleted ones included.
    fn prunable(&self, retention: &Retention, now: Timestamp) -> Vec<MessageId> {
        let keyed: BTreeSet<MessageId> = self
            .keys
            .values()
            .filter(|(_, used_at)| now < used_at.after(IDEMPOTENCY_WINDOW))
            .map(|(message, _)| *message)
            .collect();
        let old = self.messages.values().filter(|message| {
            let own = self.retentions.get(&message.flow).copied().unwrap_or_default();
            let (since, period) = match message.deleted_at {
                Some(deleted_at) => (deleted_at, retention.deleted_messages),
                None => (message.posted_at, retention.of_flow(message.flow_kind, own)),
            };
            period.is_some_and(|period| since <= now.before(period)) && !keyed.contains(&message.id)
        });
        old.map(|message| message.id).collect()
    }

    fn counts(&self, messages: &[MessageId]) -> Vec<PruneCount> {
        let mut counts = Vec::new();
        for message in messages.iter().filter_map(|id| self.messages.get(id)) {
            let kind = if message.deleted_at.is_some() { "deleted messages" } else { "messages" };
            let bytes = message_size(message) as u64;
            PruneCount { kind, records: 1, bytes }.add_to(&mut counts);
        }
        counts
    }
}
