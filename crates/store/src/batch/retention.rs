//! Removal of records that are too old.

use super::transaction::Batch;
use crate::read::{self, expired_up_to};
use crate::sql::{self, get};
use tolmach_domain::{Fault, FlowId, Timestamp};
use tolmach_engine::ports::{FlowRetention, PruneCount, PruneStep, Retention, StoreError};

/// The largest number of rows that one transaction removes: small, because jobs that arrive
/// meanwhile wait for it.
pub(crate) const PRUNE_STEP: u64 = 500;

/// The rows that a transaction may remove for each page of the file that it gives back instead.
const ROWS_OF_PAGE: u64 = 8;

/// The records that are removed if they are too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PruneExtent {
    /// Those that are found by an index over the whole world.
    Expired,
    /// Those, and messages of the flows after this one.
    WithMessages {
        /// The flow.
        after: Option<FlowId>,
    },
}

impl Batch {
    /// Sets the retention of a flow.
    pub(crate) async fn set_flow_retention(
        &mut self,
        flow: FlowId,
        retention: FlowRetention,
    ) -> Result<(), StoreError> {
        let days = match retention {
            FlowRetention::OfKind => None,
            FlowRetention::Forever => Some(0),
            FlowRetention::Days(days) => Some(i64::from(days.get())),
        };
        let values = vec![days.into(), flow.get().into()];
        match sql::execute(&self.transaction, sql::SET_FLOW_RETENTION, values).await? {
            0 => Err(Fault::NoSuchFlow.into()),
            _ => Ok(()),
        }
    }

    /// Removes records that are too old, at most so many, and then gives pages of a file back.
    /// `None` while another node does so.
    pub(crate) async fn prune(
        &mut self,
        retention: &Retention,
        extent: PruneExtent,
        now: Timestamp,
        limit: u64,
    ) -> Result<Option<PruneStep>, StoreError> {
        if !sql::lock_housekeeping(&self.transaction).await? {
            return Ok(None);
        }
        let (after, mut left) = match extent {
            PruneExtent::Expired => (None, limit),
            PruneExtent::WithMessages { after } => (after, limit),
        };
        let mut step = PruneStep { removed: Vec::new(), after, more: false };
        self.remove_expired(now, &mut left, &mut step.removed).await?;
        if let Some(period) = retention.deleted_messages.filter(|_| left > 0) {
            let values = vec![now.before(period).micros().into(), left.cast_signed().into()];
            let statement = &sql::REMOVE_DELETED_MESSAGES;
            let records = sql::execute(&self.transaction, statement, values).await?;
            let bytes = records * sql::MESSAGE_BYTES;
            PruneCount { kind: "deleted messages", records, bytes }.add_to(&mut step.removed);
            left = left.saturating_sub(records);
        }
        if extent != PruneExtent::Expired && left > 0 {
            self.remove_old_messages(retention, now, &mut left, &mut step).await?;
        }
        step.more |= left < limit;
        if !step.more {
            let pages = limit.div_ceil(ROWS_OF_PAGE).cast_signed();
            step.more = sql::free_pages(&self.transaction, pages).await?;
        }
        Ok(Some(step))
    }

    /// Removes records that have expired.
    async fn remove_expired(
        &mut self,
        now: Timestamp,
        left: &mut u64,
        removed: &mut Vec<PruneCount>,
    ) -> Result<(), StoreError> {
        for expiring in &sql::EXPIRING {
            if *left == 0 {
                break;
            }
            let up_to = expired_up_to(expiring.age, now).micros();
            let values = vec![up_to.into(), left.cast_signed().into()];
            let records = sql::execute(&self.transaction, expiring.remove, values).await?;
            let bytes = records * expiring.row_bytes;
            PruneCount { kind: expiring.kind, records, bytes }.add_to(removed);
            *left = left.saturating_sub(records);
        }
        Ok(())
    }

    /// Removes old messages of the next flows.
    async fn remove_old_messages(
        &mut self,
        retention: &Retention,
        now: Timestamp,
        left: &mut u64,
        step: &mut PruneStep,
    ) -> Result<(), StoreError> {
        let page = read::flows_by_age(&self.transaction, retention, step.after, now).await?;
        for (flow, up_to) in page.old {
            // Once more, until nothing is found: a message may have been left out for its key.
            loop {
                let values =
                    vec![flow.get().into(), up_to.micros().into(), left.cast_signed().into()];
                let rows = sql::rows(&self.transaction, &sql::REMOVE_OLD_MESSAGES, values).await?;
                let mut bytes = 0;
                for row in &rows {
                    bytes += sql::MESSAGE_BYTES + get::<i64>(row, "bytes")?.unsigned_abs();
                }
                let records = rows.len() as u64;
                PruneCount { kind: "messages", records, bytes }.add_to(&mut step.removed);
                *left = left.saturating_sub(records);
                if *left == 0 {
                    return Ok(());
                }
                if rows.is_empty() {
                    break;
                }
            }
            step.after = Some(flow);
        }
        step.more = page.last.is_some();
        step.after = page.last.or(step.after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Target, Use, migrate};
    use crate::scope::LockedFlows;
    use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
    use std::time::Duration;
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

    const ALL: PruneExtent = PruneExtent::WithMessages { after: None };

    /// The number of rows that a step removed; `None` if another node removes some.
    async fn step(database: &DatabaseConnection) -> Option<u64> {
        let mut batch = Batch::begin(database, &LockedFlows::default()).await.unwrap();
        let now = Timestamp::from_micros(4_000_000_000_000_000);
        let step = batch.prune(&Retention::default(), ALL, now, PRUNE_STEP).await.unwrap();
        batch.commit().await.unwrap();
        step.map(|step| step.removed.iter().map(|count| count.records).sum())
    }

    #[tokio::test]
    async fn a_transaction_removes_a_bounded_number_of_rows() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("old.db").display());
        let database = open(&url).await;
        fill(&database, PRUNE_STEP + 1).await;
        for (removed, left) in [(PRUNE_STEP, 1), (1, 0), (0, 0)] {
            assert_eq!(step(&database).await, Some(removed));
            assert_eq!(sessions(&database).await, left);
        }
    }

    #[tokio::test]
    async fn one_node_at_a_time_keeps_house() {
        let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
        let (one, two) = (open(&server.url()).await, open(&server.url()).await);
        fill(&one, 1).await;
        one.execute_unprepared("BEGIN; SELECT pg_advisory_xact_lock(7881706, 3)").await.unwrap();
        assert_eq!(step(&two).await, None, "another node has the lock");
        assert_eq!(sessions(&two).await, 1);
        one.execute_unprepared("COMMIT").await.unwrap();
        assert_eq!(step(&two).await, Some(1));
        assert_eq!(sessions(&two).await, 0);
    }

    async fn pages(database: &DatabaseConnection) -> i64 {
        let sql = "SELECT page_count AS number FROM pragma_page_count";
        let counted = Statement::from_string(database.get_database_backend(), sql);
        database.query_one_raw(counted).await.unwrap().unwrap().try_get("", "number").unwrap()
    }

    #[tokio::test]
    async fn a_file_shrinks_in_steps() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("old.db").display());
        let database = open(&url).await;
        let rows = "CREATE TABLE ballast (content BLOB NOT NULL); \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
             INSERT INTO ballast SELECT zeroblob(4000) FROM n";
        database.execute_unprepared(rows).await.unwrap();
        let full = pages(&database).await;
        database.execute_unprepared("DELETE FROM ballast").await.unwrap();
        let (mut before, mut steps) = (full, 0);
        assert_eq!(pages(&database).await, full, "nothing shrinks by itself");
        loop {
            assert_eq!(step(&database).await, Some(0));
            let after = pages(&database).await;
            if after == before {
                break;
            }
            let freed = before - after;
            // Pages that say what other pages belong to go with those.
            let most = PRUNE_STEP.div_ceil(ROWS_OF_PAGE).cast_signed() + 1;
            assert!(freed <= most, "{freed} at once");
            (before, steps) = (after, steps + 1);
        }
        assert!(steps > 10 && before < full / 2, "{full} pages, {before} after {steps} steps");
    }
}
