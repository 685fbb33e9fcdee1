//! Plain statements as the migrations run them.

use sea_orm_migration::prelude::*;

/// Runs statements in their order.
pub(super) async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
