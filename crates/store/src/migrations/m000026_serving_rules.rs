//! Serving rules, and the number of their changes.

use super::columns::{binary_text, id, integer, integer_or_null, text, text_or_null};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let rules = Table::create()
            .table("serving_rule")
            .col(id())
            // The clients and the name of the effect: a later rule replaces the earlier one.
            .col(binary_text(manager, "slot").not_null().unique_key())
            // The clients.
            .col(text_or_null("dialect"))
            .col(text_or_null("revision"))
            .col(integer_or_null("user_id"))
            .col(text_or_null("network"))
            .col(text_or_null("user_agent"))
            .col(integer_or_null("share"))
            // The effect.
            .col(text("effect"))
            .col(integer_or_null("begins_at"))
            .col(integer_or_null("sunset_at"))
            .col(text_or_null("link"))
            .col(text_or_null("windows"))
            .take();
        manager.create_table(rules).await?;
        // One row, from the first change on.
        let revision = Table::create()
            .table("serving_rule_revision")
            .col(integer("id").primary_key())
            .col(integer("revision"))
            .take();
        manager.create_table(revision).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["serving_rule_revision", "serving_rule"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
