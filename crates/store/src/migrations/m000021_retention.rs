//! Retentions of single flows, and the indexes by which the removal of old records finds them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The days for which a flow's messages are kept: 0 for good, null for the period of its kind.
const DAYS: &str = "ALTER TABLE flow ADD COLUMN retention_days BIGINT";

/// Short indexes: of the rows that have the column.
const INDEXES: [(&str, &str); 4] = [
    ("flow_retention", "flow (id) WHERE retention_days IS NOT NULL"),
    ("message_deleted", "message (deleted_at) WHERE deleted_at IS NOT NULL"),
    ("user_photo", "\"user\" (photo_key) WHERE photo_key IS NOT NULL"),
    ("flow_photo", "flow (photo_key) WHERE photo_key IS NOT NULL"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let database = manager.get_connection();
        database.execute_unprepared(DAYS).await?;
        for (name, rows) in INDEXES {
            database.execute_unprepared(&format!("CREATE INDEX {name} ON {rows}")).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let database = manager.get_connection();
        for (name, _) in INDEXES {
            database.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        database.execute_unprepared("ALTER TABLE flow DROP COLUMN retention_days").await.map(drop)
    }
}
