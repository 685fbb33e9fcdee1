//! The log of changes.

use super::memory_store::MemoryStore;
use crate::ports::{ChangesPage, EventLog, StoreError};
use async_trait::async_trait;
use tolmach_domain::{Event, EventKind, Flow, FlowId, Timestamp};

#[async_trait]
impl EventLog for MemoryStore {
    async fn last_commit_time(&self) -> Result<Timestamp, StoreError> {
        self.read(|state| state.commit_time).await
    }

    async fn changes_after(
        &self,
        after: Timestamp,
        only: Option<&[FlowId]>,
        limit: u32,
    ) -> Result<ChangesPage, StoreError> {
        self.read(|state| {
            let mut flows: Vec<&Flow> = state
                .flows
                .values()
                .map(|record| &record.flow)
                .filter(|flow| flow.changed_at > after)
                .filter(|flow| only.is_none_or(|only| only.contains(&flow.id)))
                .collect();
            flows.sort_by_key(|flow| flow.changed_at);
            let mut events: Vec<&Event> =
                state.event_log.iter().filter(|event| event.committed_at > Some(after)).collect();
            let limit = limit as usize;
            let last_flow = flows.get(limit).filter(|_| only.is_none());
            let last_flow = last_flow.map(|_| flows[limit - 1].changed_at);
            let last_event = events.get(limit).and_then(|_| events[limit - 1].committed_at);
            let more = last_flow.is_some() || last_event.is_some();
            let until =
                [last_flow, last_event].into_iter().flatten().min().unwrap_or(state.commit_time);
            flows.retain(|flow| flow.changed_at <= until);
            events.retain(|event| {
                event.committed_at <= Some(until)
                    && event.flow().is_none_or(|flow| {
                        matches!(event.kind, EventKind::FlowDeleted { .. })
                            || state.flows.contains_key(&flow)
                    })
            });
            let flows = flows.into_iter().map(|flow| (flow.id, flow.version)).collect();
            ChangesPage { flows, events: events.into_iter().cloned().collect(), until, more }
        })
        .await
    }
}
