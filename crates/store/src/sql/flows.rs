//! Statements over flows and members.

use super::columns::columns;
use super::list_statement::{ListStatement, placeholders, placeholders_from, tuples};
use crate::entities::{flow, user};
use std::sync::LazyLock;

/// Flows by id, without deleted ones.
pub(crate) static FLOWS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT {} FROM flow f WHERE f.deleted_at IS NULL AND f.id IN ({})",
            columns::<flow::Entity>("f"),
            placeholders(length)
        )
    })
});

/// Ids and versions of a user's flows: user.
pub(crate) const FLOW_VERSIONS: &str = "\
    SELECT f.id, f.version FROM member mb JOIN flow f ON f.id = mb.flow_id \
    WHERE mb.user_id = $1 ORDER BY f.id";

/// The members of flows after one of them, ordered by flow and id: flows, flow and id of that
/// member, limit.
pub(crate) static MEMBERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        // The sign keeps the planner from reading all flows from that member on.
        format!(
            "SELECT mb.flow_id AS in_flow, {} FROM member mb \
             JOIN \"user\" u ON u.id = mb.user_id WHERE mb.flow_id IN ({}) \
             AND (+mb.flow_id, mb.user_id) > (${}, ${}) \
             ORDER BY mb.flow_id, mb.user_id LIMIT ${}",
            columns::<user::Entity>("u"),
            placeholders(length),
            length + 1,
            length + 2,
            length + 3,
        )
    })
});

/// True if a member of a flow has the business tariff; no row if there is no such flow: flow.
pub(crate) const HAS_BUSINESS_MEMBER: &str = "\
    SELECT EXISTS (SELECT 1 FROM member mb JOIN \"user\" u ON u.id = mb.user_id \
    WHERE mb.flow_id = f.id AND u.business) AS business \
    FROM flow f WHERE f.id = $1 AND f.deleted_at IS NULL";

/// Those of these pairs of flow and user that are memberships.
pub(crate) static MEMBERSHIPS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT flow_id, user_id FROM member WHERE (flow_id, user_id) IN (VALUES {})",
            tuples(2, length)
        )
    })
});

/// Marks memberships, given as pairs of flow and user, as those of members who have acted.
pub(crate) static SET_ACTED: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "UPDATE member SET acted = TRUE \
             WHERE NOT acted AND (flow_id, user_id) IN (VALUES {})",
            tuples(2, length)
        )
    })
});

/// Those of these users who share a flow with a viewer in which both have acted: viewer, users. The
/// sign keeps the index from being searched for each of the users in each of the flows: it is read
/// through once for a flow.
pub(crate) static ACQUAINTANCES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT DISTINCT theirs.user_id FROM member mine \
             JOIN member theirs ON theirs.flow_id = mine.flow_id \
             WHERE mine.user_id = $1 AND mine.acted AND theirs.acted AND +theirs.user_id IN ({})",
            placeholders_from(2, length)
        )
    })
});

/// Moves a member's read mark forward: version, flow, user.
pub(crate) const MOVE_READ_MARK: &str = "\
    UPDATE member SET read_version = $1 WHERE flow_id = $2 AND user_id = $3 AND read_version < $1";

/// The columns of flows that posting needs, for pairs of flow and author; `member` and `acted` are
/// null if the author is not a member. `blocked` is true in a chat whose other member blocks the
/// author; in groups and channels nothing is looked up for it.
pub(crate) static POSTING_FLOWS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "SELECT f.id, f.kind, f.owner_id, f.version, v.column2 AS author_id, \
             mb.user_id AS member, mb.acted, \
             CASE WHEN f.kind = 'chat' THEN EXISTS (SELECT 1 FROM member other \
             JOIN block b ON b.blocker_id = other.user_id AND b.blocked_id = v.column2 \
             WHERE other.flow_id = f.id) ELSE FALSE END AS blocked \
             FROM (VALUES {}) v JOIN flow f ON f.id = v.column1 \
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
pub(crate) static FLOW_KEY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT k.fingerprint, k.used_at, {} FROM flow_key k JOIN flow f ON f.id = k.flow_id \
         WHERE k.owner_id = $1 AND k.key = $2 AND f.deleted_at IS NULL",
        columns::<flow::Entity>("f")
    )
});

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
    /// Every flow, newest activity first: viewer, changed after, limit, offset.
    All,
    /// The viewer's flows, newest activity first: the same.
    Viewers,
    /// The viewer's flows, or one of them, oldest change first: viewer, changed after, changed up
    /// to, flow or 0, limit, offset.
    Changed,
}

/// Flows with the viewer's read mark and the ids of the newest and the oldest message.
pub(crate) fn flow_summaries(scope: SummaryScope) -> &'static str {
    static ONE: LazyLock<String> = LazyLock::new(|| summary("LEFT JOIN", "f.id = $2", "", "DESC"));
    static ALL: LazyLock<String> =
        LazyLock::new(|| summary("LEFT JOIN", "f.changed_at > $2", "LIMIT $3 OFFSET $4", "DESC"));
    static VIEWERS: LazyLock<String> =
        LazyLock::new(|| summary("JOIN", "f.changed_at > $2", "LIMIT $3 OFFSET $4", "DESC"));
    static CHANGED: LazyLock<String> = LazyLock::new(|| {
        let condition = "f.changed_at > $2 AND f.changed_at <= $3 AND (f.id = $4 OR $4 = 0)";
        summary("JOIN", condition, "LIMIT $5 OFFSET $6", "ASC")
    });
    fn summary(join: &str, condition: &str, page: &str, direction: &str) -> String {
        let columns = columns::<flow::Entity>("f");
        let order = format!("ORDER BY f.changed_at {direction}, f.id {direction}");
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
             FROM (SELECT {columns}, mb.read_version FROM flow f \
             {join} member mb ON mb.flow_id = f.id AND mb.user_id = $1 \
             WHERE f.deleted_at IS NULL AND {condition} {order} {page}) f {order}",
            edge("DESC"),
            edge("ASC"),
        )
    }
    match scope {
        SummaryScope::One => &ONE,
        SummaryScope::All => &ALL,
        SummaryScope::Viewers => &VIEWERS,
        SummaryScope::Changed => &CHANGED,
    }
}
