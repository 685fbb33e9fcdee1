//! Sessions, refresh tokens and recovery tokens.

use super::columns::{id, index, integer, integer_or_null, owned_by};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("session")
            .col(id())
            .col(integer("user_id"))
            .col(ColumnDef::new("token_hash").blob().unique_key())
            .col(integer("created_at"))
            .col(integer("expires_at"))
            .col(integer_or_null("ended_at"))
            .foreign_key(&mut owned_by("session", "user_id", "user"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("session_of_user", "session", &["user_id"])).await?;
        let table = Table::create()
            .table("refresh_token")
            .col(ColumnDef::new("token_hash").blob().not_null().primary_key())
            .col(integer("session_id"))
            .col(integer("expires_at"))
            .col(integer_or_null("spent_at"))
            .foreign_key(&mut owned_by("refresh_token", "session_id", "session"))
            .take();
        manager.create_table(table).await?;
        manager
            .create_index(index("refresh_token_of_session", "refresh_token", &["session_id"]))
            .await?;
        manager
            .create_index(index("refresh_token_expiry", "refresh_token", &["expires_at"]))
            .await?;
        let table = Table::create()
            .table("recovery")
            .col(integer("user_id").primary_key())
            .col(ColumnDef::new("token_hash").blob().not_null().unique_key())
            .col(integer("expires_at"))
            .foreign_key(&mut owned_by("recovery", "user_id", "user"))
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["recovery", "refresh_token", "session"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
