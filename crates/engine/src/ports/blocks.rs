//! Blocks: users from whom other users want to receive nothing.

use super::StoreError;
use async_trait::async_trait;
use tolmach_domain::{FlowId, Timestamp, User, UserId};

/// The blocks of a [`Store`](super::Store). The faults named here are variants of
/// [`Fault`](tolmach_domain::Fault).
///
/// While a user is blocked by another one:
///
/// - Opening the first chat with the blocker, and creating a flow with or adding to one the
///   blocker, is `NoSuchUser`, as for a deleted user.
/// - In the chat of the two, posting is `NoSuchFlow` and editing `NoSuchMessage`. Reading it and
///   deleting one's own messages stay possible.
/// - Acts as administrator are not affected, nor are groups and channels that both are in, nor is
///   the blocker.
#[async_trait]
pub trait BlockStore: Send + Sync + 'static {
    /// Blocks a user. Succeeds if the block exists. `NoSuchUser` if one of the two is absent or
    /// deleted; `Invalid` if they are the same, or if the blocker blocks `limit` users already.
    async fn block(
        &self,
        blocker: UserId,
        blocked: UserId,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends a block. Succeeds if there is none.
    async fn unblock(&self, blocker: UserId, blocked: UserId) -> Result<(), StoreError>;

    /// The users whom a user blocks, without deleted ones, ordered by id.
    async fn blocked_users(&self, blocker: UserId) -> Result<Vec<User>, StoreError>;

    /// True if the flow is a chat whose other member blocks the user.
    async fn is_blocked_in(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError>;
}
