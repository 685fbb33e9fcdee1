//! Ids by which the clients of another server know objects, each side with one row in a namespace.

use super::columns::{binary_text, index, integer};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("external_id")
            .col(binary_text(manager, "namespace").not_null())
            .col(integer("kind"))
            // 16 bytes, the highest first: their order is that of the values.
            .col(ColumnDef::new("external_id").blob().not_null())
            .col(integer("object_id"))
            .primary_key(Index::create().col("namespace").col("kind").col("external_id"))
            .take();
        manager.create_table(table).await?;
        let table = Table::create()
            .table("id_namespace")
            .col(binary_text(manager, "namespace").not_null().primary_key())
            .col(integer("additions"))
            .take();
        manager.create_table(table).await?;
        let columns = ["namespace", "kind", "object_id"];
        let of_object = index("external_id_of_object", "external_id", &columns).unique().take();
        manager.create_index(of_object).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("id_namespace").take()).await?;
        manager.drop_table(Table::drop().table("external_id").take()).await
    }
}
