//! The tables of the schema, as the migrations create them.

use super::table::{Column, ColumnKind, Table};
use crate::connect::close;
use crate::error::store_error;
use crate::migrations::Migrator;
use crate::sql;
use sea_orm::Database;
use sea_orm_migration::MigratorTrait;
use tolmach_engine::ports::StoreError;

/// The tables to copy, referenced ones before those that reference them, without what is made of
/// others: the index that triggers fill, and the counts of long histories. They are read from a new
/// SQLite database in memory, so that tables and columns of a new migration are copied without a
/// change here.
pub(super) async fn tables() -> Result<Vec<Table>, StoreError> {
    let model = Database::connect("sqlite::memory:").await.map_err(store_error)?;
    Migrator::up(&model, None).await.map_err(store_error)?;
    let names = "SELECT name, sql FROM sqlite_master WHERE type = 'table' \
         AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'seaql%' AND name <> 'commit_clock' \
         AND name NOT LIKE 'user_search%' AND name <> 'history_block' ORDER BY rowid";
    let mut tables = Vec::new();
    for row in sql::rows(&model, names, Vec::new()).await? {
        let (name, definition): (String, String) =
            (sql::get(&row, "name")?, sql::get(&row, "sql")?);
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        let info = "SELECT name, type AS kind, pk FROM pragma_table_info($1) ORDER BY cid";
        for (index, row) in
            sql::rows(&model, info, vec![name.as_str().into()]).await?.iter().enumerate()
        {
            let declared: String = sql::get(row, "kind")?;
            columns.push(Column { name: sql::get(row, "name")?, kind: ColumnKind::of(&declared)? });
            let position: i64 = sql::get(row, "pk")?;
            if position > 0 {
                key.push((position, index));
            }
        }
        key.sort_unstable();
        let key = key.into_iter().map(|(_, index)| index).collect();
        tables.push(Table {
            name,
            columns,
            key,
            has_sequence: definition.to_ascii_uppercase().contains("AUTOINCREMENT"),
        });
    }
    close(model).await;
    Ok(tables)
}
