//! Keys of the requests that created groups and channels, so that a retry creates no second one.

use super::columns::{binary_text, index, integer, owned_by};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("flow_key")
            .col(integer("owner_id"))
            .col(binary_text(manager, "key").not_null())
            .col(integer("flow_id"))
            .col(ColumnDef::new("fingerprint").blob().not_null())
            .col(integer("used_at"))
            .primary_key(Index::create().col("owner_id").col("key"))
            .foreign_key(&mut owned_by("flow_key", "flow_id", "flow"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("flow_key_of_flow", "flow_key", &["flow_id"])).await?;
        manager.create_index(index("flow_key_age", "flow_key", &["used_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("flow_key").take()).await
    }
}
