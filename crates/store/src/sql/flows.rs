//! Statements over flows and members.

use super::list_statement::{ListStatement, placeholders, tuples};
use std::sync::LazyLock;

/// Flows by id, without deleted ones.
pub(crate) static FLOWS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!("SELECT * FROM flow WHERE deleted_at IS NULL AND id IN ({})", placeholders(length))
    })
});

/// Ids and versions of a user's flows: user.
pub(crate) const FLOW_VERSIONS: &str = "\
    SELECT f.id, f.version FROM member mb JOIN flow f ON f.id = mb.flow_id \
    WHERE mb.user_id = $1 ORDER BY f.id";

/// The members of flows, ordered by flow and id.
pub(crate) static MEMBERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT mb.flow_id AS in_flow, u.* FROM member mb \
             JOIN \"user\" u ON u.id = mb.user_id WHERE mb.flow_id IN ({}) \
             ORDER BY mb.flow_id, mb.user_id",
            placeholders(length)
        )
    })
});

/// Those of these pairs of flow and user that are memberships.
pub(crate) static MEMBERSHIPS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT flow_id, user_id FROM member WHERE (flow_id, user_id) IN (VALUES {})",
            tuples(2, length)
        )
    })
});

/// Moves a member's read mark forward: version, flow, user.
pub(crate) const MOVE_READ_MARK: &str = "\
    UPDATE member SET read_version = $1 WHERE flow_id = $2 AND user_id = $3 AND read_version < $1";

/// The columns of flows that posting needs, for pairs of flow and author; `member` is null if the
/// author is not a member.
pub(crate) static POSTING_FLOWS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT f.id, f.kind, f.owner_id, f.version, v.column2 AS author_id, \
             mb.user_id AS member FROM (VALUES {}) v JOIN flow f ON f.id = v.column1 \
             LEFT JOIN member mb ON mb.flow_id = v.column1 AND mb.user_id = v.column2 \
             WHERE f.deleted_at IS NULL",
            tuples(2, length)
        )
    })
});

/// Sets the versions of flows: id, version, commit time.
pub(crate) static SET_FLOW_VERSIONS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "UPDATE flow SET version = v.column2, changed_at = v.column3 FROM (VALUES {}) v \
             WHERE flow.id = v.column1",
            tuples(3, length)
        )
    })
});

/// Takes the next versions of a flow and returns the last of them: count, commit time, flow.
pub(crate) const TAKE_VERSIONS: &str =
    "UPDATE flow SET version = version + $1, changed_at = $2 WHERE id = $3 RETURNING version";

/// The flow that an owner's key created, if it still exists: owner, key.
pub(crate) const FLOW_KEY: &str = "\
    SELECT k.fingerprint, k.used_at, f.* FROM flow_key k JOIN flow f ON f.id = k.flow_id \
    WHERE k.owner_id = $1 AND k.key = $2 AND f.deleted_at IS NULL";

/// Inserts or replaces a key: owner, key, flow, fingerprint, time of use.
pub(crate) const ADD_FLOW_KEY: &str = "\
    INSERT INTO flow_key (owner_id, key, flow_id, fingerprint, used_at) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (owner_id, key) DO UPDATE \
    SET flow_id = excluded.flow_id, fingerprint = excluded.fingerprint, used_at = excluded.used_at";

/// The flows that summaries are read of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SummaryScope {
    /// One flow: viewer, flow.
    One,
    /// Every flow: viewer, changed after, changed up to, limit, offset.
    All,
    /// The viewer's flows: the same.
    Viewers,
}

/// Flows with the viewer's read mark and the ids of the newest and the oldest message; newest
/// activity first.
pub(crate) fn flow_summaries(scope: SummaryScope) -> &'static str {
    static ONE: LazyLock<String> = LazyLock::new(|| summary("LEFT JOIN", "f.id = $2"));
    static ALL: LazyLock<String> = LazyLock::new(|| summary("LEFT JOIN", PAGE));
    static VIEWERS: LazyLock<String> = LazyLock::new(|| summary("JOIN", PAGE));
    const PAGE: &str = "f.changed_at > $2 AND f.changed_at <= $3 \
         ORDER BY f.changed_at DESC, f.id DESC LIMIT $4 OFFSET $5";
    fn summary(join: &str, condition: &str) -> String {
        let edge = |order: &str| {
            format!(
                "(SELECT e.id FROM message e WHERE e.flow_id = f.id AND e.deleted_at IS NULL \
                 ORDER BY e.posted {order} LIMIT 1)"
            )
        };
        // The inner statement cuts the page, so that the messages are looked up for its flows only
        // and not for every flow that is sorted.
        format!(
            "SELECT f.*, {} AS last_id, {} AS first_id \
             FROM (SELECT f.*, mb.read_version AS read_version FROM flow f \
             {join} member mb ON mb.flow_id = f.id AND mb.user_id = $1 \
             WHERE f.deleted_at IS NULL AND {condition}) f \
             ORDER BY f.changed_at DESC, f.id DESC",
            edge("DESC"),
            edge("ASC"),
        )
    }
    match scope {
        SummaryScope::One => &ONE,
        SummaryScope::All => &ALL,
        SummaryScope::Viewers => &VIEWERS,
    }
}
