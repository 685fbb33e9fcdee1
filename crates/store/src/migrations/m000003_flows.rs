//! Flows and their members.

use super::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("flow")
            .col(id())
            .col(ColumnDef::new("kind").string_len(16).not_null())
            .col(text("title"))
            .col(text("info"))
            .col(number("owner_id"))
            .col(text_or_none("photo_key"))
            .col(text_or_none("photo_type"))
            .col(compared(manager, "pair").unique_key())
            .col(number("version"))
            .col(number("created_at"))
            .col(number("changed_at"))
            .col(number_or_none("deleted_at"))
            .foreign_key(&mut names("flow", "owner_id", "user"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("flow_activity", "flow", &["changed_at", "id"])).await?;
        // Few rows are ever in it: those whose messages wait to be removed.
        manager
            .get_connection()
            .execute_unprepared(
                "CREATE INDEX flow_deleted ON flow (id) WHERE deleted_at IS NOT NULL",
            )
            .await?;
        let table = Table::create()
            .table("member")
            .col(number("flow_id"))
            .col(number("user_id"))
            .col(number("read_version"))
            .primary_key(Index::create().col("flow_id").col("user_id"))
            .foreign_key(&mut belongs("member", "flow_id", "flow"))
            .foreign_key(&mut belongs("member", "user_id", "user"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("member_of_user", "member", &["user_id", "flow_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["member", "flow"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
