//! The number of a flow's members, null until it was counted, so that a large group is not counted
//! for each further member.

use super::statements::run;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["ALTER TABLE flow ADD COLUMN member_count BIGINT"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["ALTER TABLE flow DROP COLUMN member_count"]).await
    }
}
