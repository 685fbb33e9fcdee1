//! The ledger: the clients of each dialect and revision, and the operations that they use.

use super::columns::{binary_text, id, index, integer, integer_or_null, owned_by, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("ledger_client")
            .col(id())
            // Of all columns that tell clients apart.
            .col(ColumnDef::new("key_hash").blob().not_null())
            .col(binary_text(manager, "party").not_null())
            .col(integer_or_null("user_id"))
            .col(text("address"))
            .col(text("agent"))
            .col(binary_text(manager, "dialect").not_null())
            .col(binary_text(manager, "revision").not_null())
            .col(integer("first_at"))
            .col(integer("last_day"))
            .take();
        manager.create_table(table).await?;
        let table = Table::create()
            .table("ledger_use")
            .col(integer("client_id"))
            .col(binary_text(manager, "operation").not_null())
            .col(integer("day"))
            .col(integer("requests"))
            .col(integer("first_at"))
            .col(integer("last_at"))
            .primary_key(Index::create().col("client_id").col("operation").col("day"))
            .foreign_key(&mut owned_by("ledger_use", "client_id", "ledger_client"))
            .take();
        manager.create_table(table).await?;
        let key = index("ledger_client_key", "ledger_client", &["key_hash"]).unique().take();
        manager.create_index(key).await?;
        for (name, table, columns) in [
            ("ledger_client_party", "ledger_client", &["party", "last_day", "id"][..]),
            ("ledger_client_revision", "ledger_client", &["dialect", "revision", "last_day", "id"]),
            ("ledger_client_age", "ledger_client", &["last_day"]),
            ("ledger_use_age", "ledger_use", &["day"]),
        ] {
            manager.create_index(index(name, table, columns)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("ledger_use").take()).await?;
        manager.drop_table(Table::drop().table("ledger_client").take()).await
    }
}
