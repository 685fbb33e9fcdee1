//! Blocking users.

use crate::Engine;
use crate::caller::Caller;
use crate::faults::store_fault;
use tolmach_domain::{Answer, Fault, Timestamp, User, UserId, UserRef};

/// The largest number of users that one user blocks.
const BLOCK_LIMIT: u32 = 1_000;

impl Engine {
    pub(crate) async fn block(&self, caller: &Caller, user: UserRef) -> Result<Answer, Fault> {
        let user = self.named(caller, user).await?.id;
        self.block_user(caller.user.id, user, caller.now).await?;
        Ok(Answer::Blocked { user })
    }

    pub(crate) async fn unblock(&self, caller: &Caller, user: UserRef) -> Result<Answer, Fault> {
        let user = self.named(caller, user).await?.id;
        self.unblock_user(caller.user.id, user).await?;
        Ok(Answer::Unblocked { user })
    }

    pub(crate) async fn list_blocked(&self, caller: &Caller) -> Result<Answer, Fault> {
        self.blocked_users(caller.user.id).await.map(Answer::Users)
    }

    /// Blocks a user; see [`BlockStore`](crate::ports::BlockStore).
    pub async fn block_user(
        &self,
        blocker: UserId,
        blocked: UserId,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.ports.store.block(blocker, blocked, BLOCK_LIMIT, now).await.map_err(store_fault)
    }

    /// Ends a block.
    pub async fn unblock_user(&self, blocker: UserId, blocked: UserId) -> Result<(), Fault> {
        self.ports.store.unblock(blocker, blocked).await.map_err(store_fault)
    }

    /// The users whom a user blocks, ordered by id.
    pub async fn blocked_users(&self, blocker: UserId) -> Result<Vec<User>, Fault> {
        self.ports.store.blocked_users(blocker).await.map_err(store_fault)
    }
}
