//! Counters of failed logins.

use super::columns::{index, integer};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("login_counter")
            .col(ColumnDef::new("key_hash").blob().not_null().primary_key())
            .col(integer("amount"))
            .col(integer("expires_at"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("login_counter_age", "login_counter", &["expires_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("login_counter").take()).await
    }
}
