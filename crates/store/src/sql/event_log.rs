//! Statements over the log of events that changed no message, and over flows by their last change.

use super::array::Type;
use super::list_query::ListQuery;
use super::list_statement::{ListStatement, tuples};
use std::sync::LazyLock;

/// Appends events: commit time, time of the request, event.
pub(crate) static APPEND_EVENT: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "INSERT INTO event_log (committed_at, occurred_at, event) VALUES {}",
            tuples(3, length)
        )
    })
});

/// Events in their order: after this commit time, up to this one, limit.
pub(crate) const EVENTS_AFTER: &str = "\
    SELECT committed_at, occurred_at, event FROM event_log \
    WHERE committed_at > $1 AND committed_at <= $2 ORDER BY committed_at LIMIT $3";

/// Ids and versions of flows in the order of their last change: after this commit time, limit.
pub(crate) const FLOWS_CHANGED_AFTER: &str = "\
    SELECT id, version, changed_at FROM flow \
    WHERE changed_at > $1 AND deleted_at IS NULL ORDER BY changed_at LIMIT $2";

/// The same of these flows only, in any order: after this commit time, flows. They are looked up by
/// their ids, because the index by time has all that have changed.
pub(crate) static SOME_FLOWS_CHANGED_AFTER: LazyLock<ListQuery> = LazyLock::new(|| {
    ListQuery::new("id", Type::Integer, 2, |condition| {
        format!(
            "SELECT id, version, changed_at FROM flow \
             WHERE +changed_at > $1 AND deleted_at IS NULL AND {condition}"
        )
    })
});
