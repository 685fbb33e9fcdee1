//! Counts of what users do, and an index of the sessions that have not ended.

use super::columns::{index, integer, owned_by};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("quota_use")
            .col(integer("user_id"))
            .col(ColumnDef::new("quota").string_len(16).not_null())
            .col(integer("amount"))
            .col(integer("expires_at"))
            .primary_key(Index::create().col("user_id").col("quota"))
            .foreign_key(&mut owned_by("quota_use", "user_id", "user"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("quota_use_age", "quota_use", &["expires_at"])).await?;
        // The number of open sessions is bounded, that of ended ones is not.
        let open = "CREATE INDEX session_open ON session (user_id, id) WHERE ended_at IS NULL";
        manager.get_connection().execute_unprepared(open).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP INDEX session_open").await?;
        manager.drop_table(Table::drop().table("quota_use").take()).await
    }
}
