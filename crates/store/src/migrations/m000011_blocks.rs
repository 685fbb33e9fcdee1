//! Users whom other users block.

use super::columns::{integer, owned_by};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("block")
            .col(integer("blocker_id"))
            .col(integer("blocked_id"))
            .col(integer("created_at"))
            .primary_key(Index::create().col("blocker_id").col("blocked_id"))
            .foreign_key(&mut owned_by("block", "blocker_id", "user"))
            .foreign_key(&mut owned_by("block", "blocked_id", "user"))
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("block").take()).await
    }
}
