//! Statements that are written out, because their plan matters. SQLite and PostgreSQL read them
//! alike, but for the few that are written for each of them, all of which are here.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use std::fmt::Write;
use std::sync::LazyLock;
use tolmach_engine::ports::StoreError;

/// Lengths of lists and batches: few, so that few statements are prepared, and each of them only
/// once a connection, and such that few of them make any number. The widest statement stays far
/// below the 32,766 parameters that SQLite takes.
const LENGTHS: [usize; 10] = [512, 256, 128, 64, 32, 16, 8, 4, 2, 1];

/// The columns of a message as [`INSERT_MESSAGE`] fills them.
pub(crate) const MESSAGE_COLUMNS: [&str; 12] = [
    "id",
    "flow_id",
    "author_id",
    "content_type",
    "text",
    "attachments",
    "emoji",
    "reply_to",
    "posted",
    "version",
    "posted_at",
    "changed_at",
];

/// Runs a query.
pub(crate) async fn rows<C: ConnectionTrait>(
    database: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    database.query_all_raw(statement(database, sql, values)).await.map_err(crate::error::refuse)
}

/// Runs a query of at most one row.
pub(crate) async fn row<C: ConnectionTrait>(
    database: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<Option<QueryResult>, StoreError> {
    database.query_one_raw(statement(database, sql, values)).await.map_err(crate::error::refuse)
}

/// Runs a statement and tells how many rows it changed.
pub(crate) async fn execute<C: ConnectionTrait>(
    database: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<u64, StoreError> {
    let done = database
        .execute_raw(statement(database, sql, values))
        .await
        .map_err(crate::error::refuse)?;
    Ok(done.rows_affected())
}

fn statement<C: ConnectionTrait>(database: &C, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(database.get_database_backend(), sql, values)
}

/// A column of a row.
pub(crate) fn get<T: sea_orm::TryGetable>(
    row: &QueryResult,
    column: &str,
) -> Result<T, StoreError> {
    row.try_get("", column).map_err(crate::error::corrupt)
}

/// Cuts values into lists of the known lengths, the last value repeated to fill up: for `IN`, where
/// repetition is harmless.
pub(crate) fn lists<T: Clone>(values: &[T]) -> impl Iterator<Item = Vec<T>> {
    values.chunks(LENGTHS[0]).map(|chunk| {
        let length = LENGTHS
            .iter()
            .rev()
            .copied()
            .find(|length| *length >= chunk.len())
            .unwrap_or(chunk.len());
        let mut list = chunk.to_vec();
        if let Some(last) = chunk.last() {
            list.resize(length, last.clone());
        }
        list
    })
}

/// Cuts a number of rows into the known lengths, without filling up: for `INSERT`.
pub(crate) fn steps(mut rows: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let length = LENGTHS.iter().copied().find(|length| *length <= rows)?;
        rows -= length;
        Some(length)
    })
}

/// Cuts rows into batches of the known lengths, without filling up: for `INSERT`.
pub(crate) fn batches<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    steps(rows.len()).map(move |length| {
        let (batch, rest) = rows.split_at(length);
        rows = rest;
        batch
    })
}

/// Reads the newest moment. On PostgreSQL it makes this the only transaction that writes, as
/// beginning it does on SQLite: every later statement sees what the writer before it committed, on
/// whatever node, so that moments and versions ascend with commits.
pub(crate) fn take_moment(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "SELECT last FROM moment WHERE id = 1 FOR UPDATE",
        _ => "SELECT last FROM moment WHERE id = 1",
    }
}

/// Keeps everybody else from changing the schema until the transaction is over. SQLite's
/// transaction does that already.
pub(crate) async fn lock_schema<C: ConnectionTrait>(database: &C) -> Result<(), StoreError> {
    if database.get_database_backend() == DbBackend::Postgres {
        // The number is the key of the lock, any that nobody else takes.
        execute(database, "SELECT pg_advisory_xact_lock(7881706941)", Vec::new()).await?;
    }
    Ok(())
}

/// Makes the next id of a table be above this one, which was chosen and inserted. SQLite sees to it
/// by itself.
pub(crate) async fn skip_id<C: ConnectionTrait>(
    database: &C,
    table: &str,
    id: i64,
) -> Result<(), StoreError> {
    if database.get_database_backend() == DbBackend::Postgres {
        skip_ids(database, table, id).await
    } else {
        Ok(())
    }
}

/// Makes the next id of a table be above this one, whether it is there or not. 0 stands for none.
pub(crate) async fn skip_ids<C: ConnectionTrait>(
    database: &C,
    table: &str,
    last: i64,
) -> Result<(), StoreError> {
    if last == 0 {
        return Ok(());
    }
    if database.get_database_backend() == DbBackend::Postgres {
        let sql = format!(
            "SELECT setval('{table}_id_seq', greatest($1, (SELECT last_value FROM {table}_id_seq)))"
        );
        execute(database, &sql, vec![last.into()]).await?;
        return Ok(());
    }
    let values = || vec![last.into(), table.into()];
    if execute(database, "UPDATE sqlite_sequence SET seq = max(seq, $1) WHERE name = $2", values())
        .await?
        == 0
    {
        execute(database, "INSERT INTO sqlite_sequence (seq, name) VALUES ($1, $2)", values())
            .await?;
    }
    Ok(())
}

/// The last id that a table gave out; 0 before the first.
pub(crate) async fn last_id<C: ConnectionTrait>(
    database: &C,
    table: &str,
) -> Result<i64, StoreError> {
    let found = if database.get_database_backend() == DbBackend::Postgres {
        let sql = format!(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS last FROM {table}_id_seq"
        );
        row(database, &sql, Vec::new()).await?
    } else {
        row(database, "SELECT seq AS last FROM sqlite_sequence WHERE name = $1", vec![table.into()])
            .await?
    };
    found.map_or(Ok(0), |row| get(&row, "last"))
}

/// Takes the next ids of messages and returns the last of them. Only the transaction that writes
/// may do it. On SQLite they are taken by the messages that get them.
pub(crate) async fn take_message_ids<C: ConnectionTrait>(
    database: &C,
    count: i64,
) -> Result<i64, StoreError> {
    if database.get_database_backend() == DbBackend::Postgres {
        let sql = "SELECT setval('message_id_seq', CASE WHEN is_called THEN last_value ELSE 0 END + $1) AS last FROM message_id_seq";
        let row = row(database, sql, vec![count.into()]).await?;
        return get(&row.ok_or_else(|| crate::error::corrupt("a sequence without a row"))?, "last");
    }
    Ok(last_id(database, "message").await? + count)
}

/// The newest moment of the source, where the database is a copy that is not complete.
pub(crate) const CLAIM_OF_COPY: &str = "SELECT last FROM moment WHERE id = 2";

/// Makes a database such a copy: the source's newest moment.
pub(crate) const BEGIN_COPY: &str = "UPDATE moment SET id = 2, last = $1 WHERE id = 1";

/// Makes such a copy a database like any other.
pub(crate) const END_COPY: &str = "UPDATE moment SET id = 1 WHERE id = 2";

/// `$first, $first+1, …`
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// `($1, $2), ($3, $4), …`
pub(crate) fn tuples(width: usize, count: usize) -> String {
    let mut text = String::new();
    for row in 0..count {
        let separator = if row == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}({})", placeholders(row * width + 1, width));
    }
    text
}

/// Statements of one kind, one for each known length. Each of them names its parameters once, in
/// ascending order.
pub(crate) struct Ladder {
    numbered: Vec<String>,
    unnumbered: Vec<String>,
}

impl Ladder {
    fn new(write: impl Fn(usize) -> String) -> Self {
        let numbered: Vec<String> = LENGTHS.iter().map(|length| write(*length)).collect();
        let unnumbered = numbered.iter().map(|sql| unnumbered(sql)).collect();
        Self { numbered, unnumbered }
    }

    /// The statement for so many values.
    pub(crate) fn sql(&self, backend: DbBackend, length: usize) -> &str {
        let step = LENGTHS.iter().position(|known| *known == length).unwrap_or(LENGTHS.len() - 1);
        match backend {
            DbBackend::Postgres => &self.numbered[step],
            // SQLite takes `$1` for a name, and sqlx asks for the name of each parameter, which
            // SQLite looks for among all of them: for thousands that takes longer than the
            // statement.
            _ => &self.unnumbered[step],
        }
    }

    /// Runs the query for so many values.
    pub(crate) async fn rows<C: ConnectionTrait>(
        &self,
        database: &C,
        length: usize,
        values: Vec<Value>,
    ) -> Result<Vec<QueryResult>, StoreError> {
        rows(database, self.sql(database.get_database_backend(), length), values).await
    }

    /// Runs the statement for so many rows.
    pub(crate) async fn execute<C: ConnectionTrait>(
        &self,
        database: &C,
        length: usize,
        values: Vec<Value>,
    ) -> Result<(), StoreError> {
        execute(database, self.sql(database.get_database_backend(), length), values).await.map(drop)
    }
}

/// The statement with `?` in the place of `$1`, `$2`, ….
fn unnumbered(sql: &str) -> String {
    let mut parts = sql.split('$');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "?" + part.trim_start_matches(|letter: char| letter.is_ascii_digit())
    })
}

/// Inserts messages, each with [`MESSAGE_COLUMNS`].
pub(crate) static INSERT_MESSAGE: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        let (columns, tuples) = (MESSAGE_COLUMNS.join(", "), tuples(MESSAGE_COLUMNS.len(), length));
        format!("INSERT INTO message ({columns}) VALUES {tuples}")
    })
});

/// Keeps keys: author, key, message, moment.
pub(crate) static PUT_KEY: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "INSERT INTO message_key (author_id, key, message_id, used_at) VALUES {} \
             ON CONFLICT (author_id, key) DO UPDATE SET message_id = excluded.message_id, used_at = excluded.used_at",
            tuples(4, length)
        )
    })
});

/// Keys of authors that name a message which still is.
pub(crate) static KEYS: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "SELECT k.author_id, k.key, k.message_id, k.used_at FROM message_key k JOIN message m ON m.id = k.message_id \
             JOIN flow f ON f.id = m.flow_id WHERE f.deleted_at IS NULL AND (k.author_id, k.key) IN (VALUES {})",
            tuples(2, length)
        )
    })
});

/// Tallies by the hashes of their keys.
pub(crate) static LOGIN_COUNTERS: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "SELECT key_hash, amount, expires_at FROM login_tally WHERE key_hash IN ({})",
            placeholders(1, length)
        )
    })
});

/// Keeps a counter: hash of the key, amount, moment.
pub(crate) const PUT_LOGIN_COUNTER: &str = "INSERT INTO login_tally (key_hash, amount, expires_at) VALUES ($1, $2, $3) \
     ON CONFLICT (key_hash) DO UPDATE SET amount = excluded.amount, expires_at = excluded.expires_at";

/// What an owner's key was used for, if that flow still is: owner, key.
pub(crate) const FLOW_KEY: &str = "SELECT k.fingerprint, k.used_at, f.* FROM flow_key k JOIN flow f ON f.id = k.flow_id \
     WHERE k.owner_id = $1 AND k.key = $2 AND f.deleted_at IS NULL";

/// Keeps a key: owner, key, flow, fingerprint, moment.
pub(crate) const PUT_FLOW_KEY: &str = "INSERT INTO flow_key (owner_id, key, flow_id, fingerprint, used_at) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (owner_id, key) DO UPDATE SET flow_id = excluded.flow_id, fingerprint = excluded.fingerprint, used_at = excluded.used_at";

/// Memberships among pairs of flow and user.
pub(crate) static MEMBERSHIPS: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "SELECT flow_id, user_id FROM member WHERE (flow_id, user_id) IN (VALUES {})",
            tuples(2, length)
        )
    })
});

/// What posting needs to know of flows, for pairs of flow and author; `member` is there if the
/// author is one.
pub(crate) static FLOWS: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "SELECT f.id, f.kind, f.owner_id, f.version, v.column2 AS author_id, mb.user_id AS member FROM (VALUES {}) v \
             JOIN flow f ON f.id = v.column1 LEFT JOIN member mb ON mb.flow_id = v.column1 AND mb.user_id = v.column2 \
             WHERE f.deleted_at IS NULL",
            tuples(2, length)
        )
    })
});

/// Says where flows stand: id, version, moment.
pub(crate) static MOVE_FLOWS: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "UPDATE flow SET version = v.column2, changed_at = v.column3 FROM (VALUES {}) v WHERE flow.id = v.column1",
            tuples(3, length)
        )
    })
});

/// Which of these users live.
pub(crate) static LIVING: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "SELECT id FROM \"user\" WHERE deleted_at IS NULL AND id IN ({})",
            placeholders(1, length)
        )
    })
});

/// In which flows these messages are.
pub(crate) static FLOW_OF: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!("SELECT id, flow_id FROM message WHERE id IN ({})", placeholders(1, length))
    })
});

/// Flow and author of the messages that are not deleted.
pub(crate) static DELETABLE: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "SELECT m.id, m.flow_id, m.author_id FROM message m JOIN flow f ON f.id = m.flow_id \
             WHERE m.deleted_at IS NULL AND f.deleted_at IS NULL AND m.id IN ({})",
            placeholders(1, length)
        )
    })
});

/// Whole messages by id.
pub(crate) static MESSAGES: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        messages(
            &format!("SELECT * FROM message WHERE id IN ({})", placeholders(1, length)),
            "m.id",
        )
    })
});

/// The members of flows, ordered by flow and id.
pub(crate) static MEMBERS: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "SELECT mb.flow_id AS in_flow, u.* FROM member mb JOIN \"user\" u ON u.id = mb.user_id WHERE mb.flow_id IN ({}) \
             ORDER BY mb.flow_id, mb.user_id",
            placeholders(1, length)
        )
    })
});

/// Keeps entries of the journal: moment, when, what.
pub(crate) static PUT_ENTRY: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!("INSERT INTO journal (moment, happened_at, entry) VALUES {}", tuples(3, length))
    })
});

/// Entries of the journal after a moment, up to another, at most so many.
pub(crate) const ENTRIES: &str = "SELECT moment, happened_at, entry FROM journal WHERE moment > $1 AND moment <= $2 ORDER BY moment LIMIT $3";

/// Where the flows stand that changed after a moment, up to another, at most so many, those that
/// changed first.
pub(crate) const CHANGED_FLOWS: &str = "SELECT id, version, changed_at FROM flow WHERE changed_at > $1 AND changed_at <= $2 \
     AND deleted_at IS NULL ORDER BY changed_at LIMIT $3";

/// Where the flows of a user stand.
pub(crate) const FLOW_VERSIONS: &str = "SELECT f.id, f.version FROM member mb JOIN flow f ON f.id = mb.flow_id WHERE mb.user_id = $1 ORDER BY f.id";

/// Flows that are not deleted, by id.
pub(crate) static WHOLE_FLOWS: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!(
            "SELECT * FROM flow WHERE deleted_at IS NULL AND id IN ({})",
            placeholders(1, length)
        )
    })
});

/// Users by id, deleted ones too.
pub(crate) static USERS: LazyLock<Ladder> = LazyLock::new(|| {
    Ladder::new(|length| {
        format!("SELECT * FROM \"user\" WHERE id IN ({})", placeholders(1, length))
    })
});

/// Takes the next versions of a flow: how many, the flow's new moment, which flow. Returns the last
/// of them.
pub(crate) const TAKE_VERSIONS: &str =
    "UPDATE flow SET version = version + $1, changed_at = $2 WHERE id = $3 RETURNING version";

/// The messages that `inner` finds, with their authors and the kinds of their flows; none of a
/// deleted flow. The limit stands in `inner`, so that it bounds the joins.
fn messages(inner: &str, order: &str) -> String {
    format!(
        "SELECT m.*, u.login AS author_login, u.username AS author_username, u.name AS author_name, f.kind AS flow_kind \
         FROM ({inner}) m JOIN \"user\" u ON u.id = m.author_id JOIN flow f ON f.id = m.flow_id WHERE f.deleted_at IS NULL ORDER BY {order}"
    )
}

/// The newest messages of a flow, oldest first: flow, limit.
pub(crate) static NEWEST: LazyLock<String> = LazyLock::new(|| {
    messages(
        "SELECT * FROM message WHERE flow_id = $1 AND deleted_at IS NULL ORDER BY posted DESC LIMIT $2",
        "m.posted",
    )
});

/// The newest messages up to one, oldest first: flow, limit, its `posted`.
pub(crate) static NEWEST_UP_TO: LazyLock<String> = LazyLock::new(|| {
    messages(
        "SELECT * FROM message WHERE flow_id = $1 AND deleted_at IS NULL AND posted <= $3 ORDER BY posted DESC LIMIT $2",
        "m.posted",
    )
});

/// The `posted` of the newest message after skipping some, by the index alone: flow, how many.
pub(crate) const SKIP: &str = "SELECT posted FROM message WHERE flow_id = $1 AND deleted_at IS NULL ORDER BY posted DESC LIMIT 1 OFFSET $2";

/// The oldest messages that somebody else posted after a mark: flow, mark, viewer, limit.
pub(crate) static UNREAD: LazyLock<String> = LazyLock::new(|| {
    messages(
        "SELECT * FROM message WHERE flow_id = $1 AND deleted_at IS NULL AND posted > $2 AND author_id <> $3 ORDER BY posted LIMIT $4",
        "m.posted",
    )
});

/// Messages changed after a version, deleted ones too: flow, version, limit.
pub(crate) static MESSAGES_AFTER: LazyLock<String> = LazyLock::new(|| {
    messages(
        "SELECT * FROM message WHERE flow_id = $1 AND version > $2 ORDER BY version LIMIT $3",
        "m.version",
    )
});

/// Where changed messages are looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    /// In every flow of the user: user, moment, limit.
    Own,
    /// In one of them: user, moment, limit, flow.
    One,
}

/// Messages of a user's flows changed after a moment, deleted ones too. Each flow that changed
/// gives at most the limit, by an index, so that the work is bounded by flows and not by messages.
pub(crate) fn changes(backend: DbBackend, scope: Scope) -> &'static str {
    static IN: LazyLock<[String; 2]> =
        LazyLock::new(|| SCOPES.map(|members| messages(&correlated(members), "m.changed_at")));
    static LATERAL: LazyLock<[String; 2]> =
        LazyLock::new(|| SCOPES.map(|members| messages(&lateral(members), "m.changed_at")));
    const SCOPES: [&str; 2] = ["mb.user_id = $1", "mb.user_id = $1 AND mb.flow_id = $4"];
    fn correlated(members: &str) -> String {
        format!(
            "SELECT * FROM message WHERE id IN (SELECT n.id FROM member mb JOIN flow f ON f.id = mb.flow_id JOIN message n ON n.id IN \
             (SELECT c.id FROM message c WHERE c.flow_id = f.id AND c.changed_at > $2 ORDER BY c.changed_at LIMIT $3) \
             WHERE {members} AND f.changed_at > $2 ORDER BY n.changed_at LIMIT $3)"
        )
    }
    // PostgreSQL would hold every message there is against the list of every flow.
    fn lateral(members: &str) -> String {
        format!(
            "SELECT n.* FROM member mb JOIN flow f ON f.id = mb.flow_id CROSS JOIN LATERAL \
             (SELECT c.* FROM message c WHERE c.flow_id = f.id AND c.changed_at > $2 ORDER BY c.changed_at LIMIT $3) n \
             WHERE {members} AND f.changed_at > $2 ORDER BY n.changed_at LIMIT $3"
        )
    }
    let forms = if backend == DbBackend::Postgres { &LATERAL } else { &IN };
    match scope {
        Scope::Own => &forms[0],
        Scope::One => &forms[1],
    }
}

/// Which part of the flows an flow_summary is of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// One flow: viewer, flow.
    One,
    /// Every flow: viewer, after, until, limit, offset.
    All,
    /// The viewer's flows: the same.
    Own,
}

/// Flows with the viewer's mark, the newest and the oldest message; newest activity first.
pub(crate) fn flow_summaries(part: Part) -> &'static str {
    static ONE: LazyLock<String> = LazyLock::new(|| flow_summary("LEFT JOIN", "f.id = $2"));
    static ALL: LazyLock<String> = LazyLock::new(|| flow_summary("LEFT JOIN", PAGE));
    static OWN: LazyLock<String> = LazyLock::new(|| flow_summary("JOIN", PAGE));
    const PAGE: &str = "f.changed_at > $2 AND f.changed_at <= $3 ORDER BY f.changed_at DESC, f.id DESC LIMIT $4 OFFSET $5";
    fn flow_summary(join: &str, which: &str) -> String {
        let edge = |order: &str| {
            format!(
                "(SELECT e.id FROM message e WHERE e.flow_id = f.id AND e.deleted_at IS NULL ORDER BY e.posted {order} LIMIT 1)"
            )
        };
        // The page is cut before the edges are looked up, which would otherwise be done for every
        // flow that is sorted.
        format!(
            "SELECT f.*, {} AS last_id, {} AS first_id FROM (SELECT f.*, mb.read_version AS read_version FROM flow f {join} member mb \
             ON mb.flow_id = f.id AND mb.user_id = $1 WHERE f.deleted_at IS NULL AND {which}) f ORDER BY f.changed_at DESC, f.id DESC",
            edge("DESC"),
            edge("ASC"),
        )
    }
    match part {
        Part::One => &ONE,
        Part::All => &ALL,
        Part::Own => &OWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladders_name_each_parameter_once_in_ascending_order() {
        let ladders = [
            &INSERT_MESSAGE,
            &PUT_KEY,
            &KEYS,
            &LOGIN_COUNTERS,
            &MEMBERSHIPS,
            &FLOWS,
            &MOVE_FLOWS,
            &LIVING,
            &FLOW_OF,
            &DELETABLE,
            &MESSAGES,
            &MEMBERS,
            &PUT_ENTRY,
            &WHOLE_FLOWS,
            &USERS,
        ];
        for (ladder, length) in
            ladders.into_iter().flat_map(|ladder| LENGTHS.map(|length| (ladder, length)))
        {
            let (numbered, unnumbered) =
                (ladder.sql(DbBackend::Postgres, length), ladder.sql(DbBackend::Sqlite, length));
            let mut pieces = unnumbered.split('?');
            let first = pieces.next().unwrap_or_default().to_owned();
            let restored = (1..)
                .zip(pieces)
                .fold(first, |text, (number, piece)| format!("{text}${number}{piece}"));
            assert_eq!(restored, numbered);
        }
    }

    #[test]
    fn lists_repeat_the_last_value_and_batches_repeat_nothing() {
        for count in [0, 1, 2, 4, 5, 63, 64, 256, 257, 511, 600] {
            let values: Vec<usize> = (0..count).collect();
            let listed: Vec<usize> = lists(&values).flatten().collect();
            assert!(
                values.iter().all(|value| listed.contains(value))
                    && listed.iter().all(|value| *value < count)
            );
            assert!(lists(&values).all(|list| LENGTHS.contains(&list.len())), "{count}");
            let batched: Vec<usize> = batches(&values).flatten().copied().collect();
            assert_eq!(batched, values);
            assert!(batches(&values).all(|batch| LENGTHS.contains(&batch.len())), "{count}");
        }
    }
}
