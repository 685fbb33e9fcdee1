//! A world, written by SQL: minutes instead of hours.

use crate::result::LargeResult;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend};
use std::time::Duration;
use tolmach_domain::{FlowId, UserId};

/// The numbers of a world's records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) users: i64,
    /// The flows of the user who synchronises, and the messages of each of them.
    pub(crate) synced_flows: i64,
    pub(crate) synced_messages: i64,
    /// The flows of the user who lists them, each with ten members.
    pub(crate) listed_flows: i64,
    /// All flows, which an administrator lists.
    pub(crate) flows: i64,
    /// The messages of the longest flow.
    pub(crate) long_flow: i64,
    /// The members of the largest group.
    pub(crate) large_group: i64,
    /// The sessions that have expired.
    pub(crate) sessions: i64,
    /// The time for which each load of senders is measured.
    pub(crate) load: Duration,
}

impl Size {
    /// The worlds that the aims are about.
    pub(crate) const WHOLE: Self = Self {
        users: 1_000_000,
        synced_flows: 1_000,
        synced_messages: 400,
        listed_flows: 10_000,
        flows: 200_000,
        long_flow: 1_000_000,
        large_group: 10_000,
        sessions: 3_000_000,
        load: Duration::from_secs(5),
    };
    /// Small ones.
    pub(crate) const SHORT: Self = Self {
        users: 2_000,
        synced_flows: 20,
        synced_messages: 10,
        listed_flows: 50,
        flows: 200,
        long_flow: 1_000,
        large_group: 1_100,
        sessions: 5_000,
        load: Duration::from_millis(200),
    };
}

/// A world in a database.
pub(crate) struct World {
    pub(crate) size: Size,
    pub(crate) syncing: UserId,
    pub(crate) listing: UserId,
    pub(crate) administrator: UserId,
    pub(crate) long_flow: FlowId,
    pub(crate) large_group: FlowId,
}

/// The user who is in the synced flows, and owns every other flow.
const SYNCING: i64 = 1;
/// The user who is in the listed flows.
const LISTING: i64 = 2;
/// A user who is in no flow.
const ADMINISTRATOR: i64 = 3;

impl World {
    /// Creates the tables and writes the world.
    pub(crate) async fn build(url: &str, size: Size) -> LargeResult<Self> {
        tolmach_store::migrate(url).await?;
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let database = Database::connect(options).await?;
        let is_sqlite = database.get_database_backend() == DbBackend::Sqlite;
        if is_sqlite {
            database.execute_unprepared("PRAGMA synchronous = OFF").await?;
        }
        let (long_flow, large_group) = (size.flows + 1, size.flows + 2);
        write(&database, size, long_flow, large_group).await?;
        database.execute_unprepared("ANALYZE").await?;
        if !is_sqlite {
            for table in ["user", "flow", "message"] {
                let sequence =
                    format!("SELECT setval('{table}_id_seq', (SELECT max(id) FROM \"{table}\"))");
                database.execute_unprepared(&sequence).await?;
            }
            // The visibility map, which a running server's maintenance writes.
            database.execute_unprepared("VACUUM").await?;
        }
        database.close().await?;
        Ok(Self {
            size,
            syncing: UserId::new(SYNCING)?,
            listing: UserId::new(LISTING)?,
            administrator: UserId::new(ADMINISTRATOR)?,
            long_flow: FlowId::new(long_flow)?,
            large_group: FlowId::new(large_group)?,
        })
    }
}

/// Writes the records. Commit times are numbers from 1 on, each used once.
async fn write(
    database: &DatabaseConnection,
    size: Size,
    long_flow: i64,
    large_group: i64,
) -> LargeResult<()> {
    let Size { users, synced_flows, synced_messages, listed_flows, flows, .. } = size;
    let (long, members) = (size.long_flow, size.large_group);
    let synced = synced_flows * synced_messages;
    let run = async |sql: String| database.execute_unprepared(&sql).await.map(drop);
    // Logins of digits in no order, all different: the factor is odd.
    let login = "'user-' || ((i * 2654435761) % 4294967296)";
    run(format!(
        "INSERT INTO \"user\" (id, login, login_key, username, name, bio, bot, admin, business, \
         profile, created_at, changed_at) SELECT i, {login}, {login}, {login}, 'User', '', FALSE, \
         i = {ADMINISTRATOR}, FALSE, TRUE, 0, 0 FROM {}",
        series(users)
    ))
    .await?;
    let identifiers =
        "INSERT INTO identifier (form, name_key, user_id) SELECT 0, login_key, id FROM \"user\"";
    run(identifiers.to_owned()).await?;
    // The flows that are synchronised come first, and change last.
    run(format!(
        "INSERT INTO flow (id, kind, title, info, owner_id, version, created_at, changed_at) \
         SELECT i, 'group', 'Flow', '', {SYNCING}, \
         CASE WHEN i <= {synced_flows} THEN {synced_messages} ELSE 0 END, 0, \
         CASE WHEN i <= {synced_flows} THEN {synced} - {synced_flows} + i ELSE {synced} + i END \
         FROM {}",
        series(flows)
    ))
    .await?;
    for (flow, version) in [(long_flow, long), (large_group, 0)] {
        let changed_at = synced + flows + long + flow;
        run(format!(
            "INSERT INTO flow (id, kind, title, info, owner_id, version, created_at, changed_at) \
             VALUES ({flow}, 'group', 'Flow', '', {SYNCING}, {version}, 0, {changed_at})"
        ))
        .await?;
    }
    let member = "INSERT INTO member (flow_id, user_id, read_version, acted) SELECT";
    run(format!("{member} i, {SYNCING}, 0, TRUE FROM {}", series(synced_flows))).await?;
    run(format!(
        "{member} {synced_flows} + i, {LISTING}, 0, TRUE FROM {}",
        series(listed_flows.min(flows - synced_flows))
    ))
    .await?;
    run(format!(
        "{member} {synced_flows} + 1 + (i - 1) / 9, 10 + (i - 1) % 9, 0, TRUE FROM {}",
        series(9 * listed_flows.min(flows - synced_flows))
    ))
    .await?;
    for flow in [long_flow, large_group] {
        run(format!("{member} {flow}, {SYNCING}, 0, TRUE FROM {}", series(1))).await?;
    }
    run(format!("{member} {large_group}, i + 3, 0, FALSE FROM {}", series(members - 1))).await?;
    let message = "INSERT INTO message (flow_id, author_id, content_type, text, posted, version, \
         posted_at, changed_at) SELECT";
    // All flows in turn.
    run(format!(
        "{message} 1 + (i - 1) % {synced_flows}, {SYNCING}, 'text', 'Message ' || i, \
         1 + (i - 1) / {synced_flows}, 1 + (i - 1) / {synced_flows}, i, i FROM {}",
        series(synced)
    ))
    .await?;
    run(format!(
        "{message} {long_flow}, {SYNCING}, 'text', 'Message ' || i, i, i, i, \
         {synced} + {flows} + i FROM {}",
        series(long)
    ))
    .await?;
    let newest = 2 * (synced + flows + long);
    run(format!("UPDATE commit_clock SET last = {newest}")).await?;
    if database.get_database_backend() == DbBackend::Postgres {
        run(format!(
            "DO $$ BEGIN IF to_regclass('commit_time_seq') IS NOT NULL THEN \
             PERFORM setval('commit_time_seq', {newest}); END IF; END $$"
        ))
        .await?;
    }
    Ok(())
}

/// The numbers from 1 to `last`, as the column `i` of a table.
pub(crate) fn series(last: i64) -> String {
    format!(
        "(WITH RECURSIVE s (i) AS (SELECT CAST(1 AS bigint) UNION ALL \
         SELECT i + 1 FROM s WHERE i < {last}) SELECT i FROM s) s"
    )
}
