//! Accounts.

use super::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("user")
            .col(id())
            .col(text("login"))
            .col(compared(manager, "login_key").not_null().unique_key())
            .col(text("username"))
            .col(text("name"))
            .col(text_or_none("email"))
            .col(compared(manager, "email_key").unique_key())
            .col(text_or_none("phone"))
            .col(text("bio"))
            .col(text_or_none("avatar"))
            .col(text_or_none("photo_key"))
            .col(text_or_none("photo_type"))
            .col(flag("bot"))
            .col(flag("admin"))
            .col(flag("business"))
            .col(flag("profile"))
            .col(text_or_none("password_hash"))
            .col(number("created_at"))
            .col(number("changed_at"))
            .col(number_or_none("deleted_at"))
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("user").take()).await
    }
}
