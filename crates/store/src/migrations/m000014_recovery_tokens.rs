//! Recovery tokens, any number for each user: a new one does not end the earlier ones.

use super::columns::{index, integer, owned_by};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::ConnectionTrait;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("recovery_token")
            .col(ColumnDef::new("token_hash").blob().not_null().primary_key())
            .col(integer("user_id"))
            .col(integer("expires_at"))
            .foreign_key(&mut owned_by("recovery_token", "user_id", "user"))
            .take();
        manager.create_table(table).await?;
        for (name, column) in
            [("recovery_token_of_user", "user_id"), ("recovery_token_expiry", "expires_at")]
        {
            manager.create_index(index(name, "recovery_token", &[column])).await?;
        }
        let copy = "INSERT INTO recovery_token (token_hash, user_id, expires_at) \
             SELECT token_hash, user_id, expires_at FROM recovery";
        manager.get_connection().execute_unprepared(copy).await?;
        manager.drop_table(Table::drop().table("recovery").take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("recovery_token").take()).await
    }
}
