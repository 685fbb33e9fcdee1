//! Blocks.

use super::transaction::Batch;
use crate::read;
use crate::sql;
use tolmach_domain::{Fault, Timestamp, UserId};
use tolmach_engine::ports::StoreError;

impl Batch {
    pub(crate) async fn block(
        &mut self,
        blocker: UserId,
        blocked: UserId,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if blocker == blocked {
            return Err(Fault::invalid("user", "a user cannot block themselves").into());
        }
        self.active_user(blocker).await?;
        self.active_user(blocked).await?;
        let others = read::count_other_blocks(&self.transaction, blocker, blocked).await?;
        if others >= i64::from(limit) {
            let reason = format!("at most {limit} users can be blocked");
            return Err(Fault::invalid("user", reason).into());
        }
        let values = vec![blocker.get().into(), blocked.get().into(), now.micros().into()];
        sql::execute(&self.transaction, sql::ADD_BLOCK, values).await.map(drop)
    }

    pub(crate) async fn unblock(
        &mut self,
        blocker: UserId,
        blocked: UserId,
    ) -> Result<(), StoreError> {
        let statement = "DELETE FROM block WHERE blocker_id = $1 AND blocked_id = $2";
        let values = vec![blocker.get().into(), blocked.get().into()];
        sql::execute(&self.transaction, statement, values).await.map(drop)
    }

    /// `NoSuchUser` if one of these users blocks the user.
    pub(super) async fn check_blocks(
        &self,
        user: UserId,
        others: &[UserId],
    ) -> Result<(), StoreError> {
        if read::is_blocked_by(&self.transaction, user, others).await? {
            return Err(Fault::NoSuchUser.into());
        }
        Ok(())
    }
}
