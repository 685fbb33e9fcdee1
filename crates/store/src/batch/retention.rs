//! Removal of records that are too old.

use super::transaction::Batch;
use crate::read::{self, expired_up_to};
use crate::sql::{self, get};
use std::time::Duration;
use tolmach_domain::{Fault, FlowId, Timestamp, Version};
use tolmach_engine::ports::{
    FlowRetention, LedgerDay, PruneCount, PrunePlace, PruneStep, Retention, StoreError,
};

/// The largest number of rows that one transaction removes: small, because jobs that arrive
/// meanwhile wait for it.
pub(crate) const PRUNE_STEP: u64 = 500;

/// The rows that a transaction may remove for each page of the file that it gives back instead.
const ROWS_OF_PAGE: u64 = 8;

/// The rows that a transaction may remove for each statement over one flow instead, which reads
/// many messages also where it removes few.
const ROWS_OF_STATEMENT: u64 = 16;

/// The records that are removed if they are too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PruneExtent {
    /// Those that are found by an index over the whole world.
    Expired,
    /// Those, and messages after a place.
    WithMessages {
        /// The place.
        after: Option<PrunePlace>,
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
    /// Messages, and the records of deleted ones, are kept for the grace period beyond their
    /// retention. Transactions of changes take turns over all nodes, and so do those that remove.
    pub(crate) async fn prune(
        &mut self,
        retention: &Retention,
        extent: PruneExtent,
        now: Timestamp,
        grace: Duration,
        limit: u64,
    ) -> Result<PruneStep, StoreError> {
        let (after, mut left) = match extent {
            PruneExtent::Expired => (None, limit),
            PruneExtent::WithMessages { after } => (after, limit),
        };
        let mut step = PruneStep { removed: Vec::new(), after, more: false };
        self.remove_expired(now, &mut left, &mut step.removed).await?;
        let now = now.before(grace);
        if let Some(period) = retention.deleted_messages.filter(|_| left > 0) {
            let values = vec![now.before(period).micros().into(), left.cast_signed().into()];
            let statement = &sql::REMOVE_DELETED_MESSAGES;
            let records = sql::execute(&self.transaction, statement, values).await?;
            let bytes = records * sql::MESSAGE_BYTES;
            PruneCount { kind: "deleted messages", records, bytes }.add_to(&mut step.removed);
            left = left.saturating_sub(records);
        }
        if let Some(period) = retention.ledger {
            let before = LedgerDay::of(now.before(period));
            self.prune_ledger(before, &mut left, &mut step.removed).await?;
        }
        if extent != PruneExtent::Expired && left > 0 {
            self.remove_old_messages(retention, now, &mut left, &mut step).await?;
        }
        step.more |= left == 0;
        if !step.more {
            let pages = left.div_ceil(ROWS_OF_PAGE).cast_signed();
            step.more = sql::free_pages(&self.transaction, pages).await?;
        }
        Ok(step)
    }

    /// Removes records that have expired.
    async fn remove_expired(
        &mut self,
        now: Timestamp,
        left: &mut u64,
        removed: &mut Vec<PruneCount>,
    ) -> Result<(), StoreError> {
        for expiring in sql::EXPIRING.iter() {
            if *left == 0 {
                break;
            }
            let up_to = expired_up_to(expiring.age, now).micros();
            let values = vec![up_to.into(), left.cast_signed().into()];
            let records = sql::execute(&self.transaction, &expiring.remove, values).await?;
            let bytes = records * expiring.row_bytes;
            PruneCount { kind: expiring.kind, records, bytes }.add_to(removed);
            *left = left.saturating_sub(records);
        }
        Ok(())
    }

    /// Claims the sweep over old messages, which one node makes for all nodes. False if another one
    /// has begun since a time.
    pub(crate) async fn claim_sweep(
        &mut self,
        now: Timestamp,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        sql::claim_sweep(&self.transaction, now, since).await
    }

    /// Removes old messages of the next flows.
    async fn remove_old_messages(
        &mut self,
        retention: &Retention,
        now: Timestamp,
        left: &mut u64,
        step: &mut PruneStep,
    ) -> Result<(), StoreError> {
        let after = step.after.map(|place| match place.posted {
            None => place.flow.get(),
            // The rest of this flow comes first.
            Some(_) => place.flow.get() - 1,
        });
        let page = read::flows_by_age(&self.transaction, retention, after, now).await?;
        for (flow, up_to) in page.old {
            let place = step.after.filter(|place| place.flow == flow);
            let posted = place.and_then(|place| place.posted).unwrap_or(Version(i64::MIN));
            let posted =
                self.remove_old_messages_of(flow, posted, up_to, left, &mut step.removed).await?;
            step.after = Some(PrunePlace { flow, posted });
            if *left == 0 {
                return Ok(());
            }
        }
        step.more = page.last.is_some();
        step.after = page.last.map(|flow| PrunePlace { flow, posted: None }).or(step.after);
        Ok(())
    }

    /// Removes messages of a flow after a place that were posted up to a time. Returns the place up
    /// to which it came; `None` if it came to the first ones that are not old.
    async fn remove_old_messages_of(
        &mut self,
        flow: FlowId,
        mut after: Version,
        up_to: Timestamp,
        left: &mut u64,
        removed: &mut Vec<PruneCount>,
    ) -> Result<Option<Version>, StoreError> {
        while *left > 0 {
            let values = vec![flow.get().into(), after.0.into()];
            let next = sql::row(&self.transaction, sql::NEXT_OLD_MESSAGES, values).await?;
            let Some(next) = next else { return Ok(None) };
            let (last, oldest): (Option<i64>, Option<i64>) =
                (get(&next, "last")?, get(&next, "oldest")?);
            let Some(last) = last.filter(|_| oldest.is_some_and(|at| at <= up_to.micros())) else {
                return Ok(None);
            };
            let limit = *left;
            let values = vec![
                flow.get().into(),
                after.0.into(),
                last.into(),
                up_to.micros().into(),
                limit.cast_signed().into(),
            ];
            let rows = sql::rows(&self.transaction, &sql::REMOVE_OLD_MESSAGES, values).await?;
            let (mut bytes, mut last_removed) = (0, after.0);
            for row in &rows {
                bytes += sql::MESSAGE_BYTES + get::<i64>(row, "bytes")?.unsigned_abs();
                last_removed = get::<i64>(row, "posted")?.max(last_removed);
            }
            let records = rows.len() as u64;
            PruneCount { kind: "messages", records, bytes }.add_to(removed);
            // Messages that are left out have a key that may be used again.
            after = Version(if records < limit { last } else { last_removed });
            *left = left.saturating_sub(records.max(ROWS_OF_STATEMENT));
        }
        Ok(Some(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{Target, Use, migrate};
    use crate::read::GRACE;
    use crate::scope::LockedFlows;
    use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
    use tolmach_test_servers::{Durability, Postgres};

    async fn open(url: &str) -> DatabaseConnection {
        let (target, limit) = (Target::parse(url).unwrap(), Duration::from_secs(60));
        migrate(&target, limit).await.unwrap();
        target.connect(Use::Write, limit).await.unwrap()
    }

    fn numbers(last: u64) -> String {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})")
    }

    /// Adds expired sessions, and their user.
    async fn fill(database: &DatabaseConnection, rows: u64) {
        let numbers = numbers(rows);
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

    /// Adds groups with a message each, posted or deleted at a time.
    async fn fill_groups(database: &DatabaseConnection, groups: u64, column: &str, at: Timestamp) {
        let (numbers, at) = (numbers(groups), at.micros());
        for insert in [
            format!(
                "INSERT INTO flow (kind, title, info, owner_id, version, created_at, changed_at) \
                 {numbers} SELECT 'group', 'g', '', 1, 1, 1, 1 FROM n"
            ),
            "INSERT INTO message (flow_id, author_id, content_type, text, posted, version, \
             posted_at, changed_at) SELECT id, 1, 'text', '', 1, 1, 1, 1 FROM flow \
             WHERE NOT EXISTS (SELECT 1 FROM message WHERE flow_id = flow.id)"
                .to_owned(),
            format!(
                "UPDATE message SET {column} = {at} \
                 WHERE id IN (SELECT id FROM message ORDER BY id DESC LIMIT {groups})"
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

    fn now() -> Timestamp {
        Timestamp::from_micros(4_000_000_000_000_000)
    }

    async fn prune(
        database: &DatabaseConnection,
        retention: &Retention,
        extent: PruneExtent,
        limit: u64,
    ) -> PruneStep {
        let mut batch = Batch::begin(database, &LockedFlows::default()).await.unwrap();
        let step = batch.prune(retention, extent, now(), GRACE, limit).await.unwrap();
        batch.commit().await.unwrap();
        step
    }

    fn records(step: &PruneStep) -> u64 {
        step.removed.iter().map(|count| count.records).sum()
    }

    /// The number of rows that a step removed, and true if there may be more.
    async fn step(database: &DatabaseConnection) -> (u64, bool) {
        let step = prune(database, &Retention::default(), ALL, PRUNE_STEP).await;
        (records(&step), step.more)
    }

    #[tokio::test]
    async fn a_transaction_removes_a_bounded_number_of_rows() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("old.db").display());
        let database = open(&url).await;
        fill(&database, PRUNE_STEP + 1).await;
        for (removed, more, left) in [(PRUNE_STEP, true, 1), (1, false, 0), (0, false, 0)] {
            assert_eq!(step(&database).await, (removed, more));
            assert_eq!(sessions(&database).await, left);
        }
    }

    #[tokio::test]
    async fn one_node_sweeps_for_all_until_its_claim_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let mut urls =
            vec![format!("sqlite://{}?mode=rwc", folder.path().join("old.db").display())];
        let server = Postgres::start_or_skip(Durability::Fast);
        urls.extend(server.iter().map(Postgres::url));
        for url in urls {
            let (one, two) = (open(&url).await, open(&url).await);
            let claim = async |database: &DatabaseConnection, now: i64, since: i64| {
                let mut batch = Batch::begin(database, &LockedFlows::default()).await.unwrap();
                let [now, since] = [now, since].map(Timestamp::from_micros);
                let is_claimed = batch.claim_sweep(now, since).await.unwrap();
                batch.commit().await.unwrap();
                is_claimed
            };
            assert!(claim(&one, 1_000, 900).await);
            assert!(!claim(&two, 1_001, 901).await);
            assert!(!claim(&one, 1_099, 999).await, "its own claim, too");
            assert!(claim(&two, 1_100, 1_000).await);
            assert!(!claim(&one, 1_100, 1_000).await);
            assert!(claim(&one, 1_050, 950).await, "the clock was ahead");
        }
    }

    #[tokio::test]
    async fn messages_are_kept_for_the_grace_period_beyond_their_retention() {
        const PERIOD: Duration = Duration::from_secs(7 * 24 * 60 * 60);
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("old.db").display());
        let database = open(&url).await;
        fill(&database, 1).await;
        assert_eq!(step(&database).await, (1, false), "the session");
        let old = now().before(PERIOD).before(GRACE);
        for column in ["posted_at", "deleted_at"] {
            fill_groups(&database, 1, column, old).await;
            fill_groups(&database, 1, column, old.after(Duration::from_micros(1))).await;
        }
        let posted = Retention { groups: Some(PERIOD), ..Retention::default() };
        let deleted = Retention { deleted_messages: Some(PERIOD), ..Retention::default() };
        for (retention, extent, kind) in
            [(posted, ALL, "messages"), (deleted, PruneExtent::Expired, "deleted messages")]
        {
            let step = prune(&database, &retention, extent, PRUNE_STEP).await;
            let removed = step.removed.iter().find(|count| count.kind == kind);
            assert_eq!(removed.map(|count| count.records), Some(1), "{kind}");
            let step = prune(&database, &retention, extent, PRUNE_STEP).await;
            assert_eq!(step.removed, [], "{kind}");
        }
    }

    #[tokio::test]
    async fn a_transaction_looks_at_a_bounded_number_of_flows_whose_messages_stay() {
        const GROUPS: u64 = 10;
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("old.db").display());
        let database = open(&url).await;
        fill(&database, 1).await;
        assert_eq!(step(&database).await, (1, false), "the session");
        fill_groups(&database, GROUPS, "posted_at", Timestamp::from_micros(1)).await;
        let keys = format!(
            "INSERT INTO message_key (author_id, key, message_id, used_at) \
             SELECT 1, CAST(id AS text), id, {} FROM message",
            now().micros()
        );
        database.execute_unprepared(&keys).await.unwrap();
        let retention = Retention { groups: Some(GRACE), ..Retention::default() };
        let (mut after, mut passed) = (None, Vec::new());
        loop {
            let extent = PruneExtent::WithMessages { after };
            let step = prune(&database, &retention, extent, 4 * ROWS_OF_STATEMENT).await;
            assert_eq!(step.removed, []);
            passed.push(step.after.map(|place| place.flow.get()));
            after = step.after;
            if !step.more {
                break;
            }
        }
        assert_eq!(passed, [Some(4), Some(8), Some(10)]);
    }

    #[tokio::test]
    async fn messages_that_are_kept_for_their_keys_keep_no_later_ones() {
        const KEYED: u64 = 1_000;
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("old.db").display());
        let database = open(&url).await;
        fill(&database, 1).await;
        assert_eq!(step(&database).await, (1, false), "the session");
        let (numbers, now) = (numbers(KEYED + 3), now().micros());
        for insert in [
            "INSERT INTO flow (kind, title, info, owner_id, version, created_at, changed_at) \
             VALUES ('group', 'g', '', 1, 1, 1, 1)"
                .to_owned(),
            format!(
                "INSERT INTO message (flow_id, author_id, content_type, text, posted, version, \
                 posted_at, changed_at) {numbers} SELECT 1, 1, 'text', '', i, i, i, i FROM n"
            ),
            format!(
                "INSERT INTO message_key (author_id, key, message_id, used_at) \
                 SELECT 1, CAST(id AS text), id, {now} FROM message WHERE posted <= {KEYED}"
            ),
        ] {
            database.execute_unprepared(&insert).await.unwrap();
        }
        let retention = Retention { groups: Some(GRACE), ..Retention::default() };
        // A step looks at two pages of messages, and the next one goes on where it was.
        let limit = 2 * ROWS_OF_STATEMENT;
        let (mut after, mut removed) = (None, Vec::new());
        loop {
            let extent = PruneExtent::WithMessages { after };
            let step = prune(&database, &retention, extent, limit).await;
            removed.push((records(&step), step.after));
            after = step.after;
            if !step.more {
                break;
            }
        }
        let place = |posted| {
            let flow = FlowId::new(1).unwrap();
            Some(PrunePlace { flow, posted })
        };
        assert_eq!(removed, [(3, place(Some(Version(1_003)))), (0, place(None))]);
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
            let (removed, _) = step(&database).await;
            assert_eq!(removed, 0);
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
