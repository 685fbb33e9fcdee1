//! The newest moment given out.

use super::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("moment")
            .col(number("id").primary_key())
            .col(number("last"))
            .take();
        manager.create_table(table).await?;
        manager
            .get_connection()
            .execute_unprepared("INSERT INTO moment (id, last) VALUES (1, 0)")
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("moment").take()).await
    }
}
