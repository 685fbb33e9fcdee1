//! Removal of rows that are no longer needed, while no job waits.

use super::transaction::Batch;
use crate::sql;
use std::time::Duration;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{EVENT_LOG_WINDOW, IDEMPOTENCY_WINDOW, StoreError};

/// The largest number of rows that one statement removes: small, because jobs that arrive meanwhile
/// wait for it.
const STEP: i64 = 500;

/// The period for which an expired row is kept, so that a clock that was ahead for a while does no
/// harm.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Keys of messages: used up to, limit.
const MESSAGE_KEYS: &str = "\
    DELETE FROM message_key WHERE (author_id, key) IN \
    (SELECT author_id, key FROM message_key WHERE used_at <= $1 LIMIT $2)";

/// Keys of flows: used up to, limit.
const FLOW_KEYS: &str = "\
    DELETE FROM flow_key WHERE (owner_id, key) IN \
    (SELECT owner_id, key FROM flow_key WHERE used_at <= $1 LIMIT $2)";

/// Login counters: expired up to, limit.
const LOGIN_COUNTERS: &str = "\
    DELETE FROM login_counter WHERE key_hash IN \
    (SELECT key_hash FROM login_counter WHERE expires_at <= $1 LIMIT $2)";

/// Counts of quotas: expired up to, limit.
const QUOTA_USES: &str = "\
    DELETE FROM quota_use WHERE (user_id, quota) IN \
    (SELECT user_id, quota FROM quota_use WHERE expires_at <= $1 LIMIT $2)";

/// Refresh tokens: expired up to, limit.
const REFRESH_TOKENS: &str = "\
    DELETE FROM refresh_token WHERE token_hash IN \
    (SELECT token_hash FROM refresh_token WHERE expires_at <= $1 LIMIT $2)";

/// Recovery tokens: expired up to, limit.
const RECOVERY_TOKENS: &str = "\
    DELETE FROM recovery_token WHERE token_hash IN \
    (SELECT token_hash FROM recovery_token WHERE expires_at <= $1 LIMIT $2)";

/// Sessions without refresh tokens: expired up to, limit.
const SESSIONS: &str = "\
    DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at <= $1 \
    AND NOT EXISTS (SELECT 1 FROM refresh_token WHERE refresh_token.session_id = session.id) \
    LIMIT $2)";

/// Logged events: committed up to, limit.
const EVENTS: &str = "\
    DELETE FROM event_log WHERE committed_at IN (SELECT committed_at FROM event_log \
    WHERE committed_at <= $1 ORDER BY committed_at LIMIT $2)";

/// Messages of a flow: flow, limit.
const MESSAGES: &str =
    "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE flow_id = $1 LIMIT $2)";

impl Batch {
    /// Removes some of the rows that are no longer needed: expired ones, and messages of deleted
    /// flows. Returns true if there may be more.
    pub(crate) async fn housekeeping(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let now = now.before(GRACE);
        let mut more = false;
        for (statement, up_to) in [
            (MESSAGE_KEYS, now.before(IDEMPOTENCY_WINDOW)),
            (FLOW_KEYS, now.before(IDEMPOTENCY_WINDOW)),
            (LOGIN_COUNTERS, now),
            (QUOTA_USES, now),
            (REFRESH_TOKENS, now),
            (RECOVERY_TOKENS, now),
            (SESSIONS, now),
            (EVENTS, now.before(EVENT_LOG_WINDOW)),
        ] {
            let values = vec![up_to.micros().into(), STEP.into()];
            let removed = sql::execute(&self.transaction, statement, values).await?;
            more |= removed >= STEP.unsigned_abs();
        }
        Ok(self.remove_messages().await? || more)
    }

    /// Removes messages of a deleted flow, and the flow with the last of them.
    async fn remove_messages(&mut self) -> Result<bool, StoreError> {
        let deleted = "SELECT id FROM flow WHERE deleted_at IS NOT NULL LIMIT 1";
        let Some(flow) = sql::row(&self.transaction, deleted, Vec::new()).await? else {
            return Ok(false);
        };
        let flow: i64 = sql::get(&flow, "id")?;
        let values = vec![flow.into(), STEP.into()];
        let removed = sql::execute(&self.transaction, MESSAGES, values).await?;
        if removed < STEP.unsigned_abs() {
            let flows = "DELETE FROM flow WHERE id = $1";
            sql::execute(&self.transaction, flows, vec![flow.into()]).await?;
        }
        Ok(true)
    }
}
