//! The numbers of visible messages in blocks of long histories, by which a page at a large offset
//! is found.
//!
//! A block has the messages of a flow whose `posted` divided by 4,096 is its number. It is counted
//! once no further message can be posted in it, by the first reader who needs it. Triggers count
//! down what is deleted from it, by whatever statement.

use super::columns::{integer, owned_by};
use super::statements;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const SQLITE: [&str; 2] = [
    "CREATE TRIGGER message_hidden AFTER UPDATE OF deleted_at ON message \
     WHEN old.deleted_at IS NULL AND new.deleted_at IS NOT NULL BEGIN \
     UPDATE history_block SET visible = visible - 1 \
     WHERE flow_id = old.flow_id AND block = old.posted / 4096; END",
    "CREATE TRIGGER message_removed AFTER DELETE ON message \
     WHEN old.deleted_at IS NULL BEGIN \
     UPDATE history_block SET visible = visible - 1 \
     WHERE flow_id = old.flow_id AND block = old.posted / 4096; END",
];

const POSTGRES: [&str; 3] = [
    "CREATE FUNCTION count_message_down() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         UPDATE history_block SET visible = visible - 1
         WHERE flow_id = OLD.flow_id AND block = OLD.posted / 4096;
         RETURN NULL;
     END $$",
    "CREATE TRIGGER message_hidden AFTER UPDATE OF deleted_at ON message FOR EACH ROW \
     WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) \
     EXECUTE FUNCTION count_message_down()",
    "CREATE TRIGGER message_removed AFTER DELETE ON message FOR EACH ROW \
     WHEN (OLD.deleted_at IS NULL) EXECUTE FUNCTION count_message_down()",
];

const SQLITE_DOWN: [&str; 2] = ["DROP TRIGGER message_hidden", "DROP TRIGGER message_removed"];

const POSTGRES_DOWN: [&str; 3] = [
    "DROP TRIGGER message_hidden ON message",
    "DROP TRIGGER message_removed ON message",
    "DROP FUNCTION count_message_down",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("history_block")
            .col(integer("flow_id"))
            .col(integer("block"))
            .col(integer("visible"))
            .primary_key(Index::create().col("flow_id").col("block"))
            .foreign_key(&mut owned_by("history_block", "flow_id", "flow"))
            .take();
        manager.create_table(table).await?;
        run(manager, &SQLITE, &POSTGRES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &SQLITE_DOWN, &POSTGRES_DOWN).await?;
        manager.drop_table(Table::drop().table("history_block").take()).await
    }
}

async fn run(manager: &SchemaManager<'_>, sqlite: &[&str], postgres: &[&str]) -> Result<(), DbErr> {
    let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
    statements::run(manager, if is_postgres { postgres } else { sqlite }).await
}
