//! Blocks.

use super::memory_store::MemoryStore;
use super::state::State;
use crate::ports::{BlockStore, StoreError};
use async_trait::async_trait;
use tolmach_domain::{Fault, FlowId, FlowKind, Timestamp, User, UserId};

#[async_trait]
impl BlockStore for MemoryStore {
    async fn block(
        &self,
        blocker: UserId,
        blocked: UserId,
        limit: u32,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            if blocker == blocked {
                return Err(Fault::invalid("user", "a user cannot block themselves").into());
            }
            state.active_user(blocker)?;
            state.active_user(blocked)?;
            let others =
                state.blocks.iter().filter(|(by, user)| *by == blocker && *user != blocked);
            if others.count() >= limit as usize {
                let reason = format!("at most {limit} users can be blocked");
                return Err(Fault::invalid("user", reason).into());
            }
            state.blocks.insert((blocker, blocked));
            Ok(())
        })
        .await
    }

    async fn unblock(&self, blocker: UserId, blocked: UserId) -> Result<(), StoreError> {
        self.change(|state| {
            state.blocks.remove(&(blocker, blocked));
            Ok(())
        })
        .await
    }

    async fn blocked_users(&self, blocker: UserId) -> Result<Vec<User>, StoreError> {
        self.read(|state| {
            let blocked = state.blocks.iter().filter(|(by, _)| *by == blocker);
            let blocked = blocked.filter_map(|(_, user)| state.users.get(user));
            let active = blocked.filter(|record| record.is_active());
            active.map(|record| User { avatar: None, ..record.user.clone() }).collect()
        })
        .await
    }

    async fn is_blocked_in(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError> {
        self.read(|state| state.is_blocked_in(flow, user)).await
    }
}

impl State {
    /// True if the flow is a chat whose other member blocks the user.
    pub(super) fn is_blocked_in(&self, flow: FlowId, user: UserId) -> bool {
        let chat = self.flows.get(&flow).filter(|record| record.flow.kind == FlowKind::Chat);
        chat.is_some_and(|record| self.is_blocked_by(user, record.members.keys()))
    }

    /// True if one of these users blocks the user.
    pub(super) fn is_blocked_by<'a>(
        &self,
        user: UserId,
        mut others: impl Iterator<Item = &'a UserId>,
    ) -> bool {
        others.any(|other| self.blocks.contains(&(*other, user)))
    }
}
