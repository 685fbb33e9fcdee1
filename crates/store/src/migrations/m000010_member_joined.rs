//! The time at which a member joined, by which the next owner is found when the owner leaves.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let joined = ColumnDef::new("joined_at").big_integer().not_null().default(0).take();
        let table = Table::alter().table("member").add_column(joined).take();
        manager.alter_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("member").drop_column("joined_at").take()).await
    }
}
