//! The messages that were imported: no event was published for them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Null for all others, so that no row is written anew.
        let imported = ColumnDef::new("imported").boolean().take();
        manager.alter_table(Table::alter().table("message").add_column(imported).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("message").drop_column("imported").take()).await
    }
}
