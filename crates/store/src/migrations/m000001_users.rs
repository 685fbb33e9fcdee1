//! Accounts, and their avatars.

use super::columns::{
    binary_text, boolean, id, integer, integer_or_null, owned_by, text, text_or_null,
};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("user")
            .col(id())
            .col(text("login"))
            .col(binary_text(manager, "login_key").not_null().unique_key())
            .col(text("username"))
            .col(text("name"))
            .col(text_or_null("email"))
            .col(binary_text(manager, "email_key").unique_key())
            .col(text_or_null("phone"))
            .col(text("bio"))
            .col(text_or_null("photo_key"))
            .col(text_or_null("photo_type"))
            .col(boolean("bot"))
            .col(boolean("admin"))
            .col(boolean("business"))
            .col(boolean("profile"))
            .col(text_or_null("password_hash"))
            .col(integer("created_at"))
            .col(integer("changed_at"))
            .col(integer_or_null("deleted_at"))
            .take();
        manager.create_table(table).await?;
        let table = Table::create()
            .table("avatar")
            .col(integer("user_id").primary_key())
            .col(text("data"))
            .foreign_key(&mut owned_by("avatar", "user_id", "user"))
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["avatar", "user"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
