//! Migrations.

use super::target::Target;
use super::transaction::{begin_write, close};
use super::usage::Use;
use crate::error::store_error;
use crate::migrations::Migrator;
use crate::sql;
use sea_orm::DatabaseConnection;
use sea_orm_migration::MigratorTrait;
use std::time::Duration;
use tolmach_engine::ports::StoreError;

/// Brings the schema up to date and returns the names of the migrations that were applied. A second
/// process waits for the first and applies nothing.
pub(crate) async fn migrate(target: &Target, timeout: Duration) -> Result<Vec<String>, StoreError> {
    target.prepare().await?;
    let database = target.connect(Use::Maintain, timeout).await?;
    let applied = apply_pending(&database).await;
    close(database).await;
    applied
}

async fn apply_pending(database: &DatabaseConnection) -> Result<Vec<String>, StoreError> {
    let transaction = begin_write(database).await?;
    sql::lock_schema(&transaction).await?;
    let pending = Migrator::get_pending_migrations(&transaction).await.map_err(store_error)?;
    let names = pending.iter().map(|migration| migration.name().to_owned()).collect();
    if !pending.is_empty() {
        Migrator::up(&transaction, None).await.map_err(store_error)?;
    }
    transaction.commit().await.map_err(store_error)?;
    Ok(names)
}
