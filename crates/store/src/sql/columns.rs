//! Lists of columns.

use sea_orm::{EntityTrait, IdenStatic, Iterable};

/// The columns of an entity, each qualified by the name of its table in the statement: a column
/// that another table holds is never read by accident.
pub(super) fn columns<E: EntityTrait>(table: &str) -> String {
    let columns = E::Column::iter().map(|column| format!("{table}.{}", column.as_str()));
    columns.collect::<Vec<_>>().join(", ")
}
