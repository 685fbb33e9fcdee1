//! The messages that were imported, for which no event was published; the days for which a flow's
//! messages are kept: 0 for good, null for the period of its kind.
//!
//! Adding a column keeps readers of PostgreSQL out until all pending migrations are committed: this
//! comes after those that take long, and in the order in which readers lock the tables.

use super::statements::run;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

// Null for rows that exist, so that none is written anew.
const UP: [&str; 3] = [
    "ALTER TABLE message ADD COLUMN imported BOOLEAN",
    "ALTER TABLE flow ADD COLUMN retention_days BIGINT",
    "CREATE INDEX flow_retention ON flow (id) WHERE retention_days IS NOT NULL",
];

const DOWN: [&str; 3] = [
    "ALTER TABLE message DROP COLUMN imported",
    "DROP INDEX flow_retention",
    "ALTER TABLE flow DROP COLUMN retention_days",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &DOWN).await
    }
}
