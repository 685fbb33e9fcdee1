//! Writing a SQLite file anew.

use crate::connect::{self, Target, Use};
use crate::error::store_error;
use crate::options::Options;
use crate::sql;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tolmach_engine::ports::StoreError;

/// The sizes of a file that was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The size before, in bytes.
    pub bytes_before: u64,
    /// The size after, in bytes.
    pub bytes_after: u64,
}

/// The rewriting of a SQLite file without free pages.
pub struct Compaction(Target);

impl Compaction {
    /// The rewriting of the file with this URL. [`StoreError::Failed`] for PostgreSQL, which uses
    /// free space again by itself.
    pub fn of(url: &str) -> Result<Self, StoreError> {
        match Target::parse(url)? {
            Target::Postgres(_) => Err(StoreError::failed(
                "only a SQLite file is compacted: PostgreSQL uses free space again by itself, \
                 and VACUUM FULL there returns it to the system",
            )),
            target => Ok(Self(target)),
        }
    }

    /// Writes the file anew. From then on housekeeping gives free pages back. Others can read
    /// meanwhile and cannot write. Needs the new size in free space on the disk of the file, and
    /// again on that of temporary files.
    pub async fn run(self) -> Result<Compacted, StoreError> {
        let database = self.0.connect(Use::Maintain, Options::default().timeout).await?;
        let compacted = rewrite(&database).await;
        connect::close(database).await;
        compacted
    }
}

async fn rewrite(database: &DatabaseConnection) -> Result<Compacted, StoreError> {
    let bytes_before = size(database).await?;
    // The first takes effect by the second.
    for statement in
        ["PRAGMA auto_vacuum = INCREMENTAL", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"]
    {
        database.execute_unprepared(statement).await.map_err(store_error)?;
    }
    Ok(Compacted { bytes_before, bytes_after: size(database).await? })
}

async fn size(database: &DatabaseConnection) -> Result<u64, StoreError> {
    let sql = "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size";
    let row = sql::row(database, sql, Vec::new()).await?;
    row.map_or(Ok(0), |row| sql::get::<i64>(&row, "bytes")).map(i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_file_of_an_earlier_release_shrinks_in_steps_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let old = sea_orm::Database::connect(&url).await.unwrap();
        for statement in [
            "PRAGMA journal_mode = WAL",
            "CREATE TABLE ballast (content BLOB NOT NULL)",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
             INSERT INTO ballast SELECT zeroblob(4000) FROM n",
            "DELETE FROM ballast WHERE rowid % 2 = 0",
        ] {
            old.execute_unprepared(statement).await.unwrap();
        }
        old.close().await.unwrap();
        connect::migrate(&Target::parse(&url).unwrap(), Duration::from_secs(60)).await.unwrap();
        let mode = async || {
            let target = Target::parse(&url).unwrap();
            let database = target.connect(Use::Write, Duration::from_secs(60)).await.unwrap();
            let sql = "SELECT auto_vacuum AS mode FROM pragma_auto_vacuum";
            let row = sql::row(&database, sql, Vec::new()).await.unwrap().unwrap();
            sql::get::<i64>(&row, "mode").unwrap()
        };
        assert_eq!(mode().await, 0);
        let Compacted { bytes_before, bytes_after } =
            Compaction::of(&url).unwrap().run().await.unwrap();
        assert!(bytes_after < bytes_before * 2 / 3, "{bytes_before} to {bytes_after}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes_after);
        assert_eq!(mode().await, 2, "incremental");
    }
}
