//! Messages and the keys of retries.

use super::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("message")
            .col(id())
            .col(number("flow_id"))
            .col(number("author_id"))
            .col(text("content_type"))
            .col(text("text"))
            .col(text_or_none("attachments"))
            .col(text_or_none("emoji"))
            .col(number_or_none("reply_to"))
            .col(number("posted"))
            .col(number("version"))
            .col(number("posted_at"))
            .col(number_or_none("edited_at"))
            .col(number_or_none("deleted_at"))
            .col(number("changed_at"))
            .foreign_key(&mut names("message", "flow_id", "flow"))
            .foreign_key(&mut names("message", "author_id", "user"))
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
        // Skipping in history touches no row. SQLite takes an index for covering only if it has the
        // condition's column too.
        let visible = "CREATE INDEX message_visible ON message (flow_id, posted, author_id, deleted_at) WHERE deleted_at IS NULL";
        manager.get_connection().execute_unprepared(visible).await?;
        let table = Table::create()
            .table("message_key")
            .col(number("author_id"))
            .col(compared(manager, "key").not_null())
            .col(number("message_id"))
            .col(number("used_at"))
            .primary_key(Index::create().col("author_id").col("key"))
            .foreign_key(&mut belongs("message_key", "message_id", "message"))
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
