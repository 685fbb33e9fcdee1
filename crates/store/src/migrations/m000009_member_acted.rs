//! The members who have acted in a flow: they created it, opened the chat or posted.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let acted = ColumnDef::new("acted").boolean().not_null().default(false).take();
        let table = Table::alter().table("member").add_column(acted).take();
        manager.alter_table(table).await?;
        let update = "UPDATE member SET acted = TRUE \
             WHERE (flow_id, user_id) IN (SELECT id, owner_id FROM flow) \
             OR (flow_id, user_id) IN (SELECT flow_id, author_id FROM message)";
        manager.get_connection().execute_unprepared(update).await?;
        // A short index: most members of large groups only read.
        let index = "CREATE INDEX member_acted ON member (flow_id, user_id) WHERE acted";
        manager.get_connection().execute_unprepared(index).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP INDEX member_acted").await?;
        manager.alter_table(Table::alter().table("member").drop_column("acted").take()).await
    }
}
