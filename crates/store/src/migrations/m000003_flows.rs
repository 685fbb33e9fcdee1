//! Flows and their members.

use super::columns::{
    binary_text, id, index, integer, integer_or_null, owned_by, references, text, text_or_null,
};
use sea_orm_migration::prelude::*;

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
            .col(integer("owner_id"))
            .col(text_or_null("photo_key"))
            .col(text_or_null("photo_type"))
            .col(binary_text(manager, "pair").unique_key())
            .col(integer("version"))
            .col(integer("created_at"))
            .col(integer("changed_at"))
            .col(integer_or_null("deleted_at"))
            .foreign_key(&mut references("flow", "owner_id", "user"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("flow_activity", "flow", &["changed_at", "id"])).await?;
        // A short index: of the deleted flows whose messages are not yet removed.
        manager
            .get_connection()
            .execute_unprepared(
                "CREATE INDEX flow_deleted ON flow (id) WHERE deleted_at IS NOT NULL",
            )
            .await?;
        let table = Table::create()
            .table("member")
            .col(integer("flow_id"))
            .col(integer("user_id"))
            .col(integer("read_version"))
            .primary_key(Index::create().col("flow_id").col("user_id"))
            .foreign_key(&mut owned_by("member", "flow_id", "flow"))
            .foreign_key(&mut owned_by("member", "user_id", "user"))
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
