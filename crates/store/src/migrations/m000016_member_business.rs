//! The business tariff of members in their memberships, so that a flow is found to have such a
//! member without reading all of its members.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let business = ColumnDef::new("business").boolean().not_null().default(false).take();
        let table = Table::alter().table("member").add_column(business).take();
        manager.alter_table(table).await?;
        let update = "UPDATE member SET business = TRUE \
             WHERE user_id IN (SELECT id FROM \"user\" WHERE business)";
        manager.get_connection().execute_unprepared(update).await?;
        // A short index: few users have the tariff.
        let index = "CREATE INDEX member_business ON member (flow_id, user_id) WHERE business";
        manager.get_connection().execute_unprepared(index).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP INDEX member_business").await?;
        manager.alter_table(Table::alter().table("member").drop_column("business").take()).await
    }
}
