//! The steps of a copy.

use super::report::{CopiedTable, CopyError, Progress};
use super::schema::tables;
use super::table::Table;
use crate::commit_time::begin_changes;
use crate::connect::{self, Target, Use};
use crate::error::store_error;
use crate::options::Options;
use crate::scope::LockedFlows;
use crate::sql;
use sea_orm::{DatabaseConnection, DatabaseTransaction};
use tolmach_domain::Timestamp;
use tolmach_engine::ports::StoreError;

/// Copies the database at one URL to another, after bringing the schemas of both up to date. A call
/// after an interrupted one resumes it.
pub async fn copy(
    from: &str,
    to: &str,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Vec<CopiedTable>, CopyError> {
    let source = Target::parse(from).map_err(CopyError::Source)?;
    let target = Target::parse(to).map_err(CopyError::Target)?;
    if source.describe() == target.describe() {
        return Err(CopyError::Same(source.describe()));
    }
    let source = open(&source).await.map_err(CopyError::Source)?;
    let target = open(&target).await.map_err(CopyError::Target)?;
    let outcome = run(&source, &target, &mut progress).await;
    connect::close(source).await;
    connect::close(target).await;
    outcome
}

async fn open(target: &Target) -> Result<DatabaseConnection, StoreError> {
    let timeout = Options::default().timeout;
    connect::migrate(target, timeout).await?;
    target.connect(Use::Maintain, timeout).await
}

async fn run(
    source: &DatabaseConnection,
    target: &DatabaseConnection,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<Vec<CopiedTable>, CopyError> {
    // The transaction is held until the end and keeps other writers out.
    let source = connect::begin_write(source).await.map_err(CopyError::Source)?;
    let commit_time =
        begin_changes(&source, &LockedFlows::all()).await.map_err(CopyError::Source)?;
    let tables = tables().await.map_err(CopyError::Target)?;
    claim(target, &tables, commit_time).await?;
    for table in &tables {
        table.copy(&source, target, progress).await?;
    }
    let mut copied = Vec::with_capacity(tables.len());
    for table in &tables {
        copied.push(table.verify(&source, target, progress).await?);
    }
    release(&source, target, &tables).await?;
    source.rollback().await.map_err(|error| CopyError::Source(store_error(error)))?;
    Ok(copied)
}

/// Marks the target as a copy of this source, or checks that it is one. The mark is the row of the
/// newest commit time: it has the source's time and another id until the copy is complete.
async fn claim(
    target: &DatabaseConnection,
    tables: &[Table],
    source: Timestamp,
) -> Result<(), CopyError> {
    let locked = async {
        let transaction = connect::begin_write(target).await?;
        sql::lock_schema(&transaction).await?;
        let claimed = sql::row(&transaction, sql::SOURCE_OF_COPY, Vec::new()).await?;
        let claimed = claimed.map(|row| sql::get::<i64>(&row, "last")).transpose()?;
        Ok((transaction, claimed))
    };
    let (transaction, claimed) = locked.await.map_err(CopyError::Target)?;
    match claimed {
        Some(claimed) if claimed == source.micros() => Ok(()),
        Some(_) => Err(CopyError::Begun),
        None => {
            for table in tables {
                let rows = table.count(&transaction).await.map_err(CopyError::Target)?;
                if rows > 0 {
                    return Err(CopyError::Occupied { table: table.name.clone(), rows });
                }
            }
            let begun =
                sql::execute(&transaction, sql::BEGIN_COPY, vec![source.micros().into()]).await;
            begun.map_err(CopyError::Target)?;
            transaction.commit().await.map_err(|error| CopyError::Target(store_error(error)))
        }
    }
}

/// Completes the target: its next ids follow those of the source, rows deleted there included.
async fn release(
    source: &DatabaseTransaction,
    target: &DatabaseConnection,
    tables: &[Table],
) -> Result<(), CopyError> {
    let transaction = connect::begin_write(target).await.map_err(CopyError::Target)?;
    for table in tables.iter().filter(|table| table.has_sequence) {
        let last = sql::last_id(source, &table.name).await.map_err(CopyError::Source)?;
        sql::skip_ids(&transaction, &table.name, last).await.map_err(CopyError::Target)?;
    }
    sql::end_copy(&transaction).await.map_err(CopyError::Target)?;
    transaction.commit().await.map_err(|error| CopyError::Target(store_error(error)))
}
