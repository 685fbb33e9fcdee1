//! Serving rules about the server of a user: the user's login, and the name of the upstream.

use super::statements::run;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: [&str; 2] = [
    "ALTER TABLE serving_rule ADD COLUMN login TEXT",
    "ALTER TABLE serving_rule ADD COLUMN upstream TEXT",
];

const DOWN: [&str; 3] = [
    // Rules that an earlier version does not know.
    "DELETE FROM serving_rule WHERE effect IN ('served', 'mirrored')",
    "ALTER TABLE serving_rule DROP COLUMN upstream",
    "ALTER TABLE serving_rule DROP COLUMN login",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &DOWN).await
    }
}
