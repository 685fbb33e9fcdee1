//! Messages, and the keys that make posting them idempotent.

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
            .table("message")
            .col(id())
            .col(integer("flow_id"))
            .col(integer("author_id"))
            .col(text("content_type"))
            .col(text("text"))
            .col(text_or_null("attachments"))
            .col(text_or_null("emoji"))
            .col(integer_or_null("reply_to"))
            .col(integer("posted"))
            .col(integer("version"))
            .col(integer("posted_at"))
            .col(integer_or_null("edited_at"))
            .col(integer_or_null("deleted_at"))
            .col(integer("changed_at"))
            .foreign_key(&mut references("message", "flow_id", "flow"))
            .foreign_key(&mut references("message", "author_id", "user"))
            .take();
        manager.create_table(table).await?;
        manager
            .create_index(
                index("message_version", "message", &["flow_id", "version"]).unique().take(),
            )
            .await?;
        manager
            .create_index(
                index("message_changed", "message", &["flow_id", "changed_at"]).unique().take(),
            )
            .await?;
        // Skipping messages reads this index only. SQLite uses an index as a covering one only if
        // it has the condition's column too.
        let visible = "CREATE INDEX message_visible \
             ON message (flow_id, posted, author_id, deleted_at) WHERE deleted_at IS NULL";
        manager.get_connection().execute_unprepared(visible).await?;
        let table = Table::create()
            .table("message_key")
            .col(integer("author_id"))
            .col(binary_text(manager, "key").not_null())
            .col(integer("message_id"))
            .col(integer("used_at"))
            .primary_key(Index::create().col("author_id").col("key"))
            .foreign_key(&mut owned_by("message_key", "message_id", "message"))
            .take();
        manager.create_table(table).await?;
        manager
            .create_index(index("message_key_of_message", "message_key", &["message_id"]))
            .await?;
        manager.create_index(index("message_key_age", "message_key", &["used_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["message_key", "message"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
