//! What is done when nobody waits.

use super::Batch;
use crate::sql;
use std::time::Duration;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{EVENT_LOG_WINDOW, IDEMPOTENCY_WINDOW, StoreError};

/// How many rows one step removes at most: few enough that whoever comes meanwhile hardly waits.
const STEP: i64 = 500;

/// For how long something is kept that is of no more use: a clock that once ran ahead does no harm.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

impl Batch {
    /// Removes some of what is no longer needed: messages of deleted flows, keys past their window,
    /// login_counters that have lapsed, refresh tokens that have expired, sessions that no token can name
    /// any more, old entries of the journal. Returns whether there may be more.
    pub(crate) async fn housekeeping(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let now = now.before(GRACE);
        let keys = "DELETE FROM message_key WHERE (author_id, key) IN (SELECT author_id, key FROM message_key WHERE used_at <= $1 LIMIT $2)";
        let keys = sql::execute(
            &self.transaction,
            keys,
            vec![now.before(IDEMPOTENCY_WINDOW).micros().into(), STEP.into()],
        )
        .await?;
        let flow_keys = "DELETE FROM flow_key WHERE (owner_id, key) IN (SELECT owner_id, key FROM flow_key WHERE used_at <= $1 LIMIT $2)";
        let flow_keys = sql::execute(
            &self.transaction,
            flow_keys,
            vec![now.before(IDEMPOTENCY_WINDOW).micros().into(), STEP.into()],
        )
        .await?;
        let login_counters = "DELETE FROM login_tally WHERE key_hash IN (SELECT key_hash FROM login_tally WHERE expires_at <= $1 LIMIT $2)";
        let login_counters =
            sql::execute(&self.transaction, login_counters, vec![now.micros().into(), STEP.into()])
                .await?;
        let tokens = "DELETE FROM refresh_token WHERE token_hash IN (SELECT token_hash FROM refresh_token WHERE expires_at <= $1 LIMIT $2)";
        let tokens =
            sql::execute(&self.transaction, tokens, vec![now.micros().into(), STEP.into()]).await?;
        let sessions = "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at <= $1 \
             AND NOT EXISTS (SELECT 1 FROM refresh_token WHERE refresh_token.session_id = session.id) LIMIT $2)";
        let sessions =
            sql::execute(&self.transaction, sessions, vec![now.micros().into(), STEP.into()])
                .await?;
        let entries = "DELETE FROM journal WHERE moment IN (SELECT moment FROM journal WHERE moment <= $1 ORDER BY moment LIMIT $2)";
        let entries = sql::execute(
            &self.transaction,
            entries,
            vec![now.before(EVENT_LOG_WINDOW).micros().into(), STEP.into()],
        )
        .await?;
        let more = [keys, flow_keys, login_counters, tokens, sessions, entries]
            .into_iter()
            .any(|removed| removed >= STEP.unsigned_abs());
        Ok(self.remove_messages().await? || more)
    }

    async fn remove_messages(&mut self) -> Result<bool, StoreError> {
        let Some(flow) = sql::row(
            &self.transaction,
            "SELECT id FROM flow WHERE deleted_at IS NOT NULL LIMIT 1",
            Vec::new(),
        )
        .await?
        else {
            return Ok(false);
        };
        let flow: i64 = sql::get(&flow, "id")?;
        let messages =
            "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE flow_id = $1 LIMIT $2)";
        if sql::execute(&self.transaction, messages, vec![flow.into(), STEP.into()]).await?
            < STEP.unsigned_abs()
        {
            sql::execute(&self.transaction, "DELETE FROM flow WHERE id = $1", vec![flow.into()])
                .await?;
        }
        Ok(true)
    }
}
