//! The sequences that ids come from.

use super::query::{execute, get, row, rows};
use crate::error::corrupt;
use sea_orm::{ConnectionTrait, DbBackend};
use tolmach_engine::ports::StoreError;

/// Makes the next id of a table higher than this one, which was chosen and inserted. SQLite does so
/// by itself.
pub(crate) async fn skip_id<C: ConnectionTrait>(
    database: &C,
    table: &str,
    id: i64,
) -> Result<(), StoreError> {
    if database.get_database_backend() == DbBackend::Postgres {
        skip_ids(database, table, id).await
    } else {
        Ok(())
    }
}

/// Makes the next id of a table higher than this one, which need not be in it. 0 changes nothing.
pub(crate) async fn skip_ids<C: ConnectionTrait>(
    database: &C,
    table: &str,
    last: i64,
) -> Result<(), StoreError> {
    if last == 0 {
        return Ok(());
    }
    if database.get_database_backend() == DbBackend::Postgres {
        let sequence = format!("{table}_id_seq");
        let last_value = format!("SELECT last_value FROM {sequence}");
        let sql = format!("SELECT setval('{sequence}', greatest($1, ({last_value})))");
        execute(database, &sql, vec![last.into()]).await?;
        return Ok(());
    }
    let values = || vec![last.into(), table.into()];
    let update = "UPDATE sqlite_sequence SET seq = max(seq, $1) WHERE name = $2";
    if execute(database, update, values()).await? == 0 {
        let insert = "INSERT INTO sqlite_sequence (seq, name) VALUES ($1, $2)";
        execute(database, insert, values()).await?;
    }
    Ok(())
}

/// The last id that a table gave out; 0 before the first.
pub(crate) async fn last_id<C: ConnectionTrait>(
    database: &C,
    table: &str,
) -> Result<i64, StoreError> {
    let found = if database.get_database_backend() == DbBackend::Postgres {
        let sql = format!(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS last FROM {table}_id_seq"
        );
        row(database, &sql, Vec::new()).await?
    } else {
        let sql = "SELECT seq AS last FROM sqlite_sequence WHERE name = $1";
        row(database, sql, vec![table.into()]).await?
    };
    found.map_or(Ok(0), |row| get(&row, "last"))
}

/// Takes the next ids of messages and returns the last of them. Only the transaction that writes
/// may call it. On SQLite the ids are taken by the insertion of the messages.
pub(crate) async fn take_message_ids<C: ConnectionTrait>(
    database: &C,
    count: i64,
) -> Result<i64, StoreError> {
    if database.get_database_backend() == DbBackend::Postgres {
        let sql = "SELECT setval('message_id_seq', \
             CASE WHEN is_called THEN last_value ELSE 0 END + $1) AS last FROM message_id_seq";
        let row = row(database, sql, vec![count.into()]).await?;
        return get(&row.ok_or_else(|| corrupt("a sequence without a row"))?, "last");
    }
    Ok(last_id(database, "message").await? + count)
}

/// Takes the next ids of a table. On SQLite they are taken by the insertion of the rows.
pub(crate) async fn take_ids<C: ConnectionTrait>(
    database: &C,
    table: &str,
    count: usize,
) -> Result<Vec<i64>, StoreError> {
    let count = i64::try_from(count).map_err(corrupt)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if database.get_database_backend() == DbBackend::Postgres {
        let sql = format!("SELECT nextval('{table}_id_seq') AS id FROM generate_series(1, $1)");
        let found = rows(database, &sql, vec![count.into()]).await?;
        return found.iter().map(|row| get(row, "id")).collect();
    }
    let last = last_id(database, table).await?;
    Ok((last + 1..=last + count).collect())
}
