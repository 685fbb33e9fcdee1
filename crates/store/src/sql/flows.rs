//! Statements over flows and members.

use super::array::Type;
use super::columns::columns;
use super::list_query::ListQuery;
use super::list_statement::{ListStatement, placeholders, tuples};
use crate::entities::{flow, user};
use sea_orm::DbBackend;
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

/// A flow, and the read mark of its member with this id, null if there is none: flow, user.
pub(crate) static FLOW_AND_MEMBERSHIP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, mb.read_version FROM flow f \
         LEFT JOIN member mb ON mb.flow_id = f.id AND mb.user_id = $2 \
         WHERE f.id = $1 AND f.deleted_at IS NULL",
        columns::<flow::Entity>("f")
    )
});

/// Ids and versions of a user's flows: user.
pub(crate) const FLOW_VERSIONS: &str = "\
    SELECT f.id, f.version FROM member mb JOIN flow f ON f.id = mb.flow_id \
    WHERE mb.user_id = $1 ORDER BY f.id";

/// The members of a flow after one of them, ordered by id: flow, id of that member, limit.
pub(crate) static MEMBERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM member mb JOIN \"user\" u ON u.id = mb.user_id \
         WHERE mb.flow_id = $1 AND mb.user_id > $2 ORDER BY mb.user_id LIMIT $3",
        columns::<user::Entity>("u")
    )
});

/// The first members of flows by id: the number of them less one, flows.
pub(crate) static FIRST_MEMBERS: LazyLock<ListQuery> = LazyLock::new(|| {
    ListQuery::new("id", Type::Integer, 2, |condition| {
        format!(
            "SELECT f.id AS flow_id, mb.user_id FROM (SELECT id FROM flow WHERE {condition}) f \
             JOIN member mb ON mb.flow_id = f.id AND mb.user_id <= coalesce((SELECT c.user_id \
             FROM member c WHERE c.flow_id = f.id ORDER BY c.user_id LIMIT 1 OFFSET $1), {})",
            i64::MAX
        )
    })
});

/// The first members of flows by id who have the business tariff, one for each flow: flows.
pub(crate) static FIRST_BUSINESS_MEMBERS: LazyLock<ListQuery> = LazyLock::new(|| {
    ListQuery::new("flow_id", Type::Integer, 1, |condition| {
        format!(
            "SELECT flow_id, min(user_id) AS user_id FROM member \
             WHERE business AND {condition} GROUP BY flow_id"
        )
    })
});

/// True if a member of a flow has the business tariff; no row if there is no such flow: flow.
pub(crate) const HAS_BUSINESS_MEMBER: &str = "\
    SELECT EXISTS (SELECT 1 FROM member mb WHERE mb.flow_id = f.id AND mb.business) AS business \
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

/// The number of a flow's members, which are counted only where it is not known: flow.
pub(crate) const COUNT_MEMBERS: &str = "\
    SELECT coalesce(f.member_count, (SELECT count(*) FROM member mb WHERE mb.flow_id = f.id)) \
    AS members FROM flow f WHERE f.id = $1";

/// Notes that a flow has more members: commit time, number of them now, flow.
pub(crate) const MEMBERS_ADDED: &str =
    "UPDATE flow SET changed_at = $1, member_count = $2 WHERE id = $3";

/// Notes that a flow has fewer members: commit time, number of those removed, flow.
pub(crate) const MEMBERS_REMOVED: &str =
    "UPDATE flow SET changed_at = $1, member_count = member_count - $2 WHERE id = $3";

/// Inserts members who have read nothing: flow, the one who has acted, time of joining, users.
pub(crate) fn insert_members(backend: DbBackend) -> &'static str {
    static STATEMENTS: LazyLock<[String; 2]> =
        LazyLock::new(|| [DbBackend::Postgres, DbBackend::Sqlite].map(statement));
    fn statement(backend: DbBackend) -> String {
        // A tariff that is about to change is waited for.
        let lock = if backend == DbBackend::Postgres { "FOR SHARE OF u" } else { "" };
        format!(
            "INSERT INTO member (flow_id, user_id, read_version, acted, joined_at, business) \
             SELECT $1, u.id, 0, u.id = $2, $3, u.business FROM \"user\" u WHERE {} {lock}",
            Type::Integer.is_in(backend, "u.id", 4)
        )
    }
    &STATEMENTS[usize::from(backend != DbBackend::Postgres)]
}

/// Sets the tariff in the memberships of a user: business, user.
pub(crate) const SET_BUSINESS: &str = "UPDATE member SET business = $1 WHERE user_id = $2";

/// Marks memberships, given as pairs of flow and user, as those of members who have acted.
pub(crate) static SET_ACTED: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| set_acted(&format!("VALUES {}", tuples(2, length))))
});

/// The same for rows of flow and user.
pub(super) fn set_acted(rows: &str) -> String {
    format!("UPDATE member SET acted = TRUE WHERE NOT acted AND (flow_id, user_id) IN ({rows})")
}

/// Those of these users who share a flow with a viewer in which both have acted: viewer, users. The
/// sign keeps the index from being searched for each of the users in each of the flows: it is read
/// through once for a flow.
pub(crate) static ACQUAINTANCES: LazyLock<ListQuery> = LazyLock::new(|| {
    ListQuery::new("+theirs.user_id", Type::Integer, 2, |condition| {
        format!(
            "SELECT DISTINCT theirs.user_id FROM member mine \
             JOIN member theirs ON theirs.flow_id = mine.flow_id \
             WHERE mine.user_id = $1 AND mine.acted AND theirs.acted AND {condition}"
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
    ListStatement::new(|length| set_flow_versions(&format!("VALUES {}", tuples(3, length))))
});

/// The same for rows of flow, version and commit time, whose columns are `column1` and so on.
pub(super) fn set_flow_versions(rows: &str) -> String {
    format!(
        "UPDATE flow SET version = v.column2, changed_at = v.column3 FROM ({rows}) v \
         WHERE flow.id = v.column1"
    )
}

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

/// The flows of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FlowScope {
    /// Every flow, newest activity first: changed after, limit, offset.
    All,
    /// The flows of a user, newest activity first: changed after, limit, offset, user.
    Users,
    /// The flows of a user, or one of them, oldest change first: changed after, limit, offset,
    /// user, changed up to, flow or 0.
    Changed,
}

/// The ids of the flows of a list, in its order.
pub(crate) fn flow_ids(scope: FlowScope) -> &'static str {
    static STATEMENTS: LazyLock<[String; 3]> = LazyLock::new(|| {
        const USERS: &str = "JOIN member mb ON mb.flow_id = f.id AND mb.user_id = $4";
        const CHANGED: &str = "AND f.changed_at <= $5 AND (f.id = $6 OR $6 = 0)";
        [("", "", "DESC"), (USERS, "", "DESC"), (USERS, CHANGED, "ASC")].map(
            |(join, condition, direction)| {
                format!(
                    "SELECT f.id FROM flow f {join} \
                     WHERE f.deleted_at IS NULL AND f.changed_at > $1 {condition} \
                     ORDER BY f.changed_at {direction}, f.id {direction} LIMIT $2 OFFSET $3"
                )
            },
        )
    });
    match scope {
        FlowScope::All => &STATEMENTS[0],
        FlowScope::Users => &STATEMENTS[1],
        FlowScope::Changed => &STATEMENTS[2],
    }
}

/// Flows with a viewer's read mark and the ids of the newest and the oldest message: viewer, flows.
pub(crate) static SUMMARIES: LazyLock<ListQuery> = LazyLock::new(|| {
    let columns = columns::<flow::Entity>("f");
    let edge = |order: &str| {
        format!(
            "(SELECT e.id FROM message e WHERE e.flow_id = f.id AND e.deleted_at IS NULL \
             ORDER BY e.posted {order} LIMIT 1)"
        )
    };
    let (newest, oldest) = (edge("DESC"), edge("ASC"));
    ListQuery::new("f.id", Type::Integer, 2, |condition| {
        format!(
            "SELECT {columns}, mb.read_version, {newest} AS last_id, {oldest} AS first_id \
             FROM flow f LEFT JOIN member mb ON mb.flow_id = f.id AND mb.user_id = $1 \
             WHERE f.deleted_at IS NULL AND {condition}"
        )
    })
});
