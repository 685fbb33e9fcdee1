//! The cursor of a source: the rows of its database up to which it was read.

use super::columns::text_or_null;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let cursor = text_or_null("source_cursor");
        manager.alter_table(Table::alter().table("import_source").add_column(cursor).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::alter().table("import_source").drop_column("source_cursor").take();
        manager.alter_table(table).await
    }
}
