//! What is counted against the guessing of passwords.

use super::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("login_tally")
            .col(ColumnDef::new("key_hash").blob().not_null().primary_key())
            .col(number("amount"))
            .col(number("expires_at"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("login_tally_age", "login_tally", &["expires_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("login_tally").take()).await
    }
}
