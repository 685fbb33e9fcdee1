//! The index by which messages of which an event tells are read by their versions.
//!
//! Messages that were imported, and not changed since, have none: a reader of what a flow lacks
//! does not pass over them, and an import need not maintain it.

use super::statements::run;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

// The new index first: on PostgreSQL the removal of the old one keeps readers out.
const UP: [&str; 2] = [
    "CREATE UNIQUE INDEX message_event ON message (flow_id, version) \
     WHERE imported IS NULL OR version > posted",
    "DROP INDEX message_version",
];

const DOWN: [&str; 2] = [
    "CREATE UNIQUE INDEX message_version ON message (flow_id, version)",
    "DROP INDEX message_event",
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
