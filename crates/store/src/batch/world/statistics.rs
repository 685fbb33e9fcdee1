//! The statistics by which PostgreSQL plans.

use crate::batch::transaction::Batch;
use crate::sql::{self, get};
use tolmach_engine::ports::StoreError;

impl Batch {
    /// Has PostgreSQL count tables anew that have doubled since it did. Without statistics it takes
    /// the lists by which records are looked up for most of a table, and reads all of it for each
    /// list; by itself it counts a minute later at best.
    pub(crate) async fn count_grown_tables(&mut self) -> Result<(), StoreError> {
        for row in sql::rows(&self.transaction, sql::GROWN_TABLES, Vec::new()).await? {
            let table: String = get(&row, "name")?;
            sql::execute(&self.transaction, &format!("ANALYZE \"{table}\""), Vec::new()).await?;
        }
        Ok(())
    }
}
