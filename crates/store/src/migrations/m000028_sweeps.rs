//! The times at which nodes began to look for old messages: one of them does so for all.

use super::columns::{binary_text, integer};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("sweep")
            .col(binary_text(manager, "kind").not_null().primary_key())
            .col(integer("begun_at"))
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("sweep").take()).await
    }
}
