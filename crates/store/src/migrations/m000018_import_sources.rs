//! The servers that were imported, or are being imported.

use super::columns::{binary_text, integer};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("import_source")
            .col(binary_text(manager, "source").not_null().primary_key())
            // The last ids given out before the first import.
            .col(integer("users"))
            .col(integer("flows"))
            .col(integer("messages"))
            // The position of an import that is not complete.
            .col(integer("line_count"))
            .col(ColumnDef::new("digest").blob())
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("import_source").take()).await
    }
}
