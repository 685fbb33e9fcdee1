//! The row about sends while sessions that have expired are removed.

use crate::measure::{Aim, Measured, Meter, Row};
use crate::result::LargeResult;
use crate::senders::{load, now, seed};
use crate::target::{Kind, Target};
use crate::world::{Size, series};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use std::time::Duration;
use tolmach_test_servers::Durability;

/// The users who send: few, so that a step of housekeeping is not hidden behind other messages.
const SENDERS: usize = 8;

/// The row's aim: p99 beside housekeeping ÷ p99 without.
const AIM: f64 = 1.5;

/// Measures the row.
pub(crate) async fn measure(kind: Kind, size: Size) -> LargeResult<Vec<Row>> {
    let target = Target::start(kind, Durability::Full)?;
    let meter = Meter { server: target.server.as_ref() };
    let senders = seed(&target.url, SENDERS).await?;
    let length = size.load * 4;
    let without = load(meter, &target.url, 1, &senders, length).await?;
    let database = Database::connect(target.url.as_str()).await?;
    expire_sessions(&database, size.sessions).await?;
    let written = records(&database).await?;
    let beside = load(meter, &target.url, 1, &senders, length).await?;
    let left = records(&database).await?;
    let removed = written - left;
    if removed == 0 {
        return Err("nothing was removed while messages were sent".into());
    }
    let (name, before, then) = (kind.name(), without.p99, beside.p99);
    eprintln!("{name}: {removed} of {written} records removed; p99 {before:?}, beside it {then:?}");
    database.close().await?;
    Ok(vec![Row {
        name: "housekeeping: p99 of sends beside it in that without",
        measured: Measured::Ratio(beside.p99.as_secs_f64() / without.p99.as_secs_f64()),
        aim: Aim::Ratio(AIM),
    }])
}

/// Writes sessions that have expired, each with a refresh token.
async fn expire_sessions(database: &DatabaseConnection, count: i64) -> LargeResult<()> {
    let expired = now().before(Duration::from_secs(30 * 24 * 60 * 60)).micros();
    let number = match database.get_database_backend() {
        DbBackend::Postgres => "int8send(i)",
        _ => "CAST(printf('%08d', i) AS blob)",
    };
    for statement in [
        format!(
            "INSERT INTO session (user_id, token_hash, created_at, expires_at) \
             SELECT 1, {number}, 0, {expired} FROM {}",
            series(count)
        ),
        format!(
            "INSERT INTO refresh_token (token_hash, session_id, expires_at) \
             SELECT token_hash, id, {expired} FROM session"
        ),
        "ANALYZE".to_owned(),
    ] {
        database.execute_unprepared(&statement).await?;
    }
    Ok(())
}

/// The number of sessions and of refresh tokens, which are removed before their sessions.
async fn records(database: &DatabaseConnection) -> LargeResult<i64> {
    let count = "SELECT (SELECT count(*) FROM session) + (SELECT count(*) FROM refresh_token) \
                 AS number";
    let count = Statement::from_string(database.get_database_backend(), count);
    let row = database.query_one_raw(count).await?.ok_or("a count has a row")?;
    Ok(row.try_get("", "number")?)
}
