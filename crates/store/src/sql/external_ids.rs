//! Statements over external ids.

use super::array::Type;
use super::list_query::ListQuery;
use super::list_statement::{ListStatement, placeholders_from};
use super::rows_statement::RowsStatement;
use std::sync::LazyLock;

/// Inserts rows where neither side has one: namespace, kind, external id, object of each.
pub(crate) static ADD_EXTERNAL_IDS: LazyLock<RowsStatement> = LazyLock::new(|| {
    RowsStatement::new(&[Type::Text, Type::Integer, Type::Bytes, Type::Integer], |rows| {
        format!(
            "INSERT INTO external_id (namespace, kind, external_id, object_id) {rows} \
             ON CONFLICT DO NOTHING"
        )
    })
});

/// Rows with these external ids: namespace, kind, external ids.
pub(crate) static OBJECTS_OF_EXTERNAL_IDS: LazyLock<ListStatement> =
    LazyLock::new(|| rows_by("external_id"));

/// The same for a list of any length.
pub(crate) static OBJECTS_OF_MANY_EXTERNAL_IDS: LazyLock<ListQuery> = LazyLock::new(|| {
    ListQuery::new("external_id", Type::Bytes, 3, |condition| {
        format!(
            "SELECT external_id, object_id FROM external_id \
             WHERE namespace = $1 AND kind = $2 AND {condition}"
        )
    })
});

/// Rows of these objects: namespace, kind, objects.
pub(crate) static EXTERNAL_IDS_OF_OBJECTS: LazyLock<ListStatement> =
    LazyLock::new(|| rows_by("object_id"));

fn rows_by(column: &'static str) -> ListStatement {
    ListStatement::new(move |length| {
        let list = placeholders_from(3, length);
        format!(
            "SELECT external_id, object_id FROM external_id \
             WHERE namespace = $1 AND kind = $2 AND {column} IN ({list})"
        )
    })
}

/// Counts an addition: namespace.
pub(crate) const COUNT_ADDITION: &str = "\
    INSERT INTO id_namespace (namespace, additions) VALUES ($1, 1) \
    ON CONFLICT (namespace) DO UPDATE SET additions = id_namespace.additions + 1";

/// The number of additions: namespace.
pub(crate) const ADDITIONS: &str = "SELECT additions FROM id_namespace WHERE namespace = $1";

/// The highest object that has a row: namespace, kind.
pub(crate) const HIGHEST_EXTERNAL_OBJECT: &str = "\
    SELECT object_id FROM external_id WHERE namespace = $1 AND kind = $2 \
    ORDER BY object_id DESC LIMIT 1";

/// The highest external id below another: namespace, kind, the other.
pub(crate) const HIGHEST_EXTERNAL_ID_BELOW: &str = "\
    SELECT external_id FROM external_id \
    WHERE namespace = $1 AND kind = $2 AND external_id < $3 \
    ORDER BY external_id DESC LIMIT 1";
