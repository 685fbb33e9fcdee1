//! Quotas: counts of what users do, and bounds on what they store.

use super::transaction::Batch;
use crate::error::corrupt;
use crate::rows::session_id;
use crate::sql::{self, get};
use tolmach_domain::{EventKind, Timestamp, UserId};
use tolmach_engine::ports::{FlowLimits, Quota, StoreError};

/// The largest number of rows that one request removes because there are too many. There is one
/// such row at a time, or more after the operator has lowered a limit.
const STEP: i64 = 100;

impl Batch {
    /// Counts acts of a user. `TooMany` if there are too many: the job that fails with it is undone
    /// and the count with it.
    pub(super) async fn spend(
        &mut self,
        user: UserId,
        quota: Quota,
        acts: usize,
        limits: &FlowLimits,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if acts == 0 || quota.limit(limits) == u32::MAX {
            return Ok(());
        }
        let values = vec![
            user.get().into(),
            quota.name().into(),
            i64::try_from(acts).map_err(corrupt)?.into(),
            now.after(quota.window()).micros().into(),
            now.micros().into(),
        ];
        let row = sql::row(&self.transaction, sql::ADD_QUOTA_USE, values).await?;
        let row = row.ok_or_else(|| corrupt("a count that was just stored is missing"))?;
        let count = u64::try_from(get::<i64>(&row, "amount")?).map_err(corrupt)?;
        let expires_at = Timestamp::from_micros(get(&row, "expires_at")?);
        Ok(quota.check(limits, count, expires_at, now)?)
    }

    /// Removes the sessions of a user beyond the newest `most` that have not ended.
    pub(super) async fn limit_sessions(
        &mut self,
        user: UserId,
        most: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if most == u32::MAX {
            return Ok(());
        }
        let values = vec![user.get().into(), i64::from(most).into(), STEP.into()];
        for row in sql::rows(&self.transaction, sql::EXCESS_SESSIONS, values).await? {
            let id: i64 = get(&row, "id")?;
            for statement in [
                "DELETE FROM refresh_token WHERE session_id = $1",
                "DELETE FROM session WHERE id = $1",
            ] {
                sql::execute(&self.transaction, statement, vec![id.into()]).await?;
            }
            let session = Some(session_id(id)?);
            self.publish(now, None, EventKind::SessionsEnded { user, session });
        }
        Ok(())
    }

    /// Removes the spent refresh tokens of a session beyond the newest `keep`.
    pub(super) async fn limit_spent_tokens(
        &self,
        session: i64,
        keep: u32,
    ) -> Result<(), StoreError> {
        let values = vec![session.into(), i64::from(keep).into(), STEP.into()];
        sql::execute(&self.transaction, sql::REMOVE_SPENT_TOKENS, values).await.map(drop)
    }
}
