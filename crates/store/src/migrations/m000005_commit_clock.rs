//! The newest commit time.

use super::columns::integer;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("commit_clock")
            .col(integer("id").primary_key())
            .col(integer("last"))
            .take();
        manager.create_table(table).await?;
        manager
            .get_connection()
            .execute_unprepared("INSERT INTO commit_clock (id, last) VALUES (1, 0)")
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("commit_clock").take()).await
    }
}
