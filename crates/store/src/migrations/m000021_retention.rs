//! The indexes by which the removal of old records finds them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Short indexes: of the rows that have the column.
const INDEXES: [(&str, &str); 3] = [
    ("message_deleted", "message (deleted_at) WHERE deleted_at IS NOT NULL"),
    ("user_photo", "\"user\" (photo_key) WHERE photo_key IS NOT NULL"),
    ("flow_photo", "flow (photo_key) WHERE photo_key IS NOT NULL"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let database = manager.get_connection();
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
        Ok(())
    }
}
