//! Removal of rows that are no longer needed, while no job waits.

use super::transaction::Batch;
use crate::sql;
use std::time::Duration;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{EVENT_LOG_WINDOW, IDEMPOTENCY_WINDOW, StoreError};

/// The largest number of rows that one transaction removes: small, because jobs that arrive
/// meanwhile wait for it.
const STEP: u64 = 500;

/// The period for which an expired row is kept, so that a clock that was ahead for a while does no
/// harm.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Keys of messages: used up to, limit.
const MESSAGE_KEYS: &str = "\
    DELETE FROM message_key WHERE (author_id, key) IN \
    (SELECT author_id, key FROM message_key WHERE used_at <= $1 ORDER BY used_at LIMIT $2)";

/// Keys of flows: used up to, limit.
const FLOW_KEYS: &str = "\
    DELETE FROM flow_key WHERE (owner_id, key) IN \
    (SELECT owner_id, key FROM flow_key WHERE used_at <= $1 ORDER BY used_at LIMIT $2)";

/// Login counters: expired up to, limit.
const LOGIN_COUNTERS: &str = "\
    DELETE FROM login_counter WHERE key_hash IN \
    (SELECT key_hash FROM login_counter \
    WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Counts of quotas: expired up to, limit.
const QUOTA_USES: &str = "\
    DELETE FROM quota_use WHERE (user_id, quota) IN \
    (SELECT user_id, quota FROM quota_use \
    WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Refresh tokens: expired up to, limit.
const REFRESH_TOKENS: &str = "\
    DELETE FROM refresh_token WHERE token_hash IN \
    (SELECT token_hash FROM refresh_token \
    WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Recovery tokens: expired up to, limit.
const RECOVERY_TOKENS: &str = "\
    DELETE FROM recovery_token WHERE token_hash IN \
    (SELECT token_hash FROM recovery_token \
    WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Sessions without refresh tokens: expired up to, limit. Those that expired first have lost their
/// tokens first.
const SESSIONS: &str = "\
    DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at <= $1 \
    AND NOT EXISTS (SELECT 1 FROM refresh_token WHERE refresh_token.session_id = session.id) \
    ORDER BY expires_at LIMIT $2)";

/// Logged events: committed up to, limit.
const EVENTS: &str = "\
    DELETE FROM event_log WHERE committed_at IN (SELECT committed_at FROM event_log \
    WHERE committed_at <= $1 ORDER BY committed_at LIMIT $2)";

/// Messages of a flow: flow, limit.
const MESSAGES: &str =
    "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE flow_id = $1 LIMIT $2)";

/// A deleted flow, by the index that has no others.
const DELETED_FLOW: &str = "SELECT id FROM flow WHERE deleted_at IS NOT NULL LIMIT 1";

/// The statements over whole tables, with their names. None may read one from its beginning.
#[cfg(test)]
pub(crate) const STATEMENTS: [(&str, &str); 9] = [
    ("old message keys", MESSAGE_KEYS),
    ("old flow keys", FLOW_KEYS),
    ("expired login counters", LOGIN_COUNTERS),
    ("expired quota uses", QUOTA_USES),
    ("expired refresh tokens", REFRESH_TOKENS),
    ("expired recovery tokens", RECOVERY_TOKENS),
    ("expired sessions", SESSIONS),
    ("old events", EVENTS),
    ("messages of a deleted flow", MESSAGES),
];

impl Batch {
    /// Removes some of the rows that are no longer needed: expired ones, and messages of deleted
    /// flows. Returns true if there may be more, and false also while another node does so.
    pub(crate) async fn housekeeping(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        if !sql::lock_housekeeping(&self.transaction).await? {
            return Ok(false);
        }
        let now = now.before(GRACE);
        let mut left = STEP;
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
            let values = vec![up_to.micros().into(), left.cast_signed().into()];
            left = left.saturating_sub(sql::execute(&self.transaction, statement, values).await?);
            if left == 0 {
                return Ok(true);
            }
        }
        self.remove_messages(left).await
    }

    /// Removes messages of a deleted flow, and the flow with the last of them.
    async fn remove_messages(&mut self, limit: u64) -> Result<bool, StoreError> {
        let Some(flow) = sql::row(&self.transaction, DELETED_FLOW, Vec::new()).await? else {
            return Ok(false);
        };
        let flow: i64 = sql::get(&flow, "id")?;
        let values = vec![flow.into(), limit.cast_signed().into()];
        let removed = sql::execute(&self.transaction, MESSAGES, values).await?;
        if removed < limit {
            let flows = "DELETE FROM flow WHERE id = $1";
            sql::execute(&self.transaction, flows, vec![flow.into()]).await?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Target, Use, migrate};
    use crate::scope::LockedFlows;
    use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
    use tolmach_test_servers::{Durability, Postgres};

    async fn open(url: &str) -> DatabaseConnection {
        let (target, limit) = (Target::parse(url).unwrap(), Duration::from_secs(60));
        migrate(&target, limit).await.unwrap();
        target.connect(Use::Write, limit).await.unwrap()
    }

    /// Adds rows to three of the tables that are cleared.
    async fn fill(database: &DatabaseConnection, rows: u64) {
        let numbers = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
        );
        for insert in [
            "INSERT INTO \"user\" (id, login, login_key, username, name, bio, bot, admin, \
             business, profile, created_at, changed_at) \
             VALUES (1, 'a', 'a', 'a', 'a', '', FALSE, FALSE, FALSE, FALSE, 1, 1)"
                .to_owned(),
            format!(
                "INSERT INTO session (user_id, created_at, expires_at) \
                 {numbers} SELECT 1, 1, i FROM n"
            ),
        ] {
            database.execute_unprepared(&insert).await.unwrap();
        }
    }

    async fn sessions(database: &DatabaseConnection) -> u64 {
        let sql = "SELECT count(*) AS number FROM session";
        let counted = Statement::from_string(database.get_database_backend(), sql);
        let row = database.query_one_raw(counted).await.unwrap().unwrap();
        row.try_get::<i64>("", "number").unwrap().unsigned_abs()
    }

    async fn step(database: &DatabaseConnection) -> bool {
        let mut batch = Batch::begin(database, &LockedFlows::all()).await.unwrap();
        let more = batch.housekeeping(Timestamp::from_micros(4_000_000_000_000_000)).await.unwrap();
        batch.commit().await.unwrap();
        more
    }

    #[tokio::test]
    async fn a_transaction_removes_a_bounded_number_of_rows() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("old.db").display());
        let database = open(&url).await;
        fill(&database, STEP + 1).await;
        assert!(step(&database).await, "one is left");
        assert_eq!(sessions(&database).await, 1);
        assert!(!step(&database).await);
        assert_eq!(sessions(&database).await, 0);
    }

    #[tokio::test]
    async fn one_node_at_a_time_keeps_house() {
        let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
        let (one, two) = (open(&server.url()).await, open(&server.url()).await);
        fill(&one, 1).await;
        one.execute_unprepared("BEGIN; SELECT pg_advisory_xact_lock(7881706, 3)").await.unwrap();
        assert!(!step(&two).await, "another node has the lock");
        assert_eq!(sessions(&two).await, 1);
        one.execute_unprepared("COMMIT").await.unwrap();
        assert!(!step(&two).await);
        assert_eq!(sessions(&two).await, 0);
    }
}
