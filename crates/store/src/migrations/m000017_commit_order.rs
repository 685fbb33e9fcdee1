//! The order of commits on PostgreSQL, where several transactions write at once.
//!
//! A commit time is taken from a sequence, whose value every transaction sees at once, under a lock
//! that is held for that moment only. Before it takes one, a transaction registers a time below it,
//! as the key of an advisory lock that lasts until the transaction has become visible or is undone.
//! Below the lowest registered time nothing can be committed any more: readers go up to there.
//!
//! Commit times of messages that are posted are even. All other changes take turns, and their
//! commit times are odd.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Gateways of earlier releases lock the row 1 and nothing else. Without it their changes fail.
const MOVE_CLOCK: &str = "UPDATE commit_clock SET id = 3 WHERE id = 1";

const MOVE_CLOCK_BACK: &str = "UPDATE commit_clock SET id = 1 WHERE id = 3";

/// The newest commit time given out.
const SEQUENCE: &str = "\
    CREATE SEQUENCE commit_time_seq MINVALUE 0; \
    SELECT setval('commit_time_seq', (SELECT greatest(max(last), 0) FROM commit_clock))";

/// Registers the time after the newest one given out, which is not after any commit time that the
/// transaction will take, and returns the newest. Called under the lock, so that no later time is
/// given out, committed and read in between. The keys are those of no other lock: a lock with one
/// number is used for the schema only, by a smaller one.
const REGISTER_COMMIT: &str = "\
CREATE FUNCTION register_commit() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    newest bigint := (SELECT last_value FROM commit_time_seq);
BEGIN
    PERFORM pg_advisory_xact_lock_shared((1::bigint << 62) + newest + 1);
    RETURN newest;
END $$";

/// Takes even commit times, each two after the one before, and returns the first: not before a
/// time, their number.
const TAKE_COMMIT_TIMES: &str = "\
CREATE FUNCTION take_commit_times(earliest bigint, amount bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    first_time bigint;
BEGIN
    PERFORM pg_advisory_lock(7881706, 1);
    first_time := greatest(earliest, register_commit() + 1);
    first_time := first_time + first_time % 2;
    PERFORM setval('commit_time_seq', first_time + 2 * (amount - 1));
    PERFORM pg_advisory_unlock(7881706, 1);
    RETURN first_time;
END $$";

/// Begins a transaction that changes anything but new messages: one at a time. `excluding` is true
/// if no message may be posted meanwhile; else it locks the flows that it will change, given by
/// their ids and by pairs of members, each a list with commas. Returns a time before all its commit
/// times; null if the database is an incomplete copy.
const BEGIN_CHANGES: &str = "\
CREATE FUNCTION begin_changes(excluding boolean, flows text, pairs text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    newest bigint;
BEGIN
    PERFORM 1 FROM commit_clock WHERE id = 3 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF excluding THEN
        PERFORM pg_advisory_xact_lock(7881706, 2);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(7881706, 2);
        PERFORM 1 FROM flow f WHERE f.id IN (
            SELECT unnest(string_to_array(flows, ',')::bigint[])
            UNION SELECT c.id FROM flow c WHERE c.pair = ANY (string_to_array(pairs, ',')))
        ORDER BY f.id FOR NO KEY UPDATE;
    END IF;
    PERFORM pg_advisory_lock(7881706, 1);
    newest := register_commit();
    PERFORM pg_advisory_unlock(7881706, 1);
    RETURN newest;
END $$";

/// Ends such a transaction: its newest commit time. Later ones of others are higher.
const END_CHANGES: &str = "\
CREATE FUNCTION end_changes(newest bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE commit_clock SET last = newest WHERE id = 3;
    PERFORM pg_advisory_lock(7881706, 1);
    PERFORM setval('commit_time_seq',
        greatest(newest, (SELECT last_value FROM commit_time_seq)));
    PERFORM pg_advisory_unlock(7881706, 1);
END $$";

/// Posts messages, given column by column and without a repeated key of one author, and commits
/// them as one statement. Returns a row for each message, in their order: `outcome` is 0 for a
/// message that was posted, 1 for one whose key was used before, by the message `id`, and else the
/// number of a refusal.
const POST_MESSAGES: &str = "\
CREATE FUNCTION post_messages(
    flows bigint[], authors bigint[], flow_kinds integer[], administrators boolean[],
    message_keys text[], replies bigint[], post_times bigint[], content_types text[],
    texts text[], attached text[], emojis text[], key_lifetime bigint)
RETURNS TABLE (outcome integer, id bigint, version bigint, changed_at bigint, kind text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    first_time bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7881706, 2);
    -- All writers lock flows in this order. The next statement sees what was committed before.
    PERFORM 1 FROM flow f WHERE f.id = ANY (flows) ORDER BY f.id FOR NO KEY UPDATE;
    first_time := take_commit_times(
        (SELECT max(t.at) FROM unnest(post_times) AS t (at)), cardinality(flows));
    RETURN QUERY
    WITH new AS MATERIALIZED (
        SELECT * FROM unnest(flows, authors, flow_kinds, administrators, message_keys, replies,
            post_times, content_types, texts, attached, emojis)
        WITH ORDINALITY AS n (flow_id, author_id, kinds, administrator, key, reply_to, posted_at,
            content_type, body, attachments, emoji, place)
    ), decided AS MATERIALIZED (
        SELECT n.place, f.kind::text AS kind, f.version, mb.acted, k.message_id AS earlier,
            CASE
                WHEN k.message_id IS NOT NULL THEN 1
                WHEN f.id IS NULL OR (NOT n.administrator AND mb.user_id IS NULL) THEN 2
                WHEN (n.kinds = 1 AND f.kind <> 'chat') OR (n.kinds = 2 AND f.kind = 'chat') THEN 3
                WHEN NOT n.administrator AND f.kind = 'chat' AND EXISTS (
                    SELECT 1 FROM member other JOIN block b ON b.blocker_id = other.user_id
                    AND b.blocked_id = n.author_id WHERE other.flow_id = f.id) THEN 2
                WHEN f.kind = 'channel' AND f.owner_id <> n.author_id THEN 4
                WHEN n.administrator AND NOT EXISTS (SELECT 1 FROM \"user\" u
                    WHERE u.id = n.author_id AND u.deleted_at IS NULL) THEN 5
                WHEN n.reply_to IS NOT NULL AND NOT EXISTS (SELECT 1 FROM message r
                    WHERE r.id = n.reply_to AND r.flow_id = n.flow_id) THEN 6
                ELSE 0
            END AS outcome
        FROM new n
        LEFT JOIN flow f ON f.id = n.flow_id AND f.deleted_at IS NULL
        LEFT JOIN member mb ON mb.flow_id = n.flow_id AND mb.user_id = n.author_id
        LEFT JOIN LATERAL (
            SELECT u.message_id FROM message_key u JOIN message m ON m.id = u.message_id
            JOIN flow o ON o.id = m.flow_id WHERE u.author_id = n.author_id AND u.key = n.key
            AND o.deleted_at IS NULL AND n.posted_at < u.used_at + key_lifetime) k ON TRUE
    ), ordered AS MATERIALIZED (
        SELECT n.*, d.acted, first_time + 2 * (n.place - 1) AS changed_at,
            d.version + row_number() OVER (PARTITION BY n.flow_id ORDER BY n.place) AS version
        FROM new n JOIN decided d ON d.place = n.place WHERE d.outcome = 0
    ), accepted AS MATERIALIZED (
        SELECT nextval('message_id_seq') AS id, o.*
        FROM (SELECT * FROM ordered ORDER BY place) o
    ), posted AS (
        INSERT INTO message (id, flow_id, author_id, content_type, text, attachments, emoji,
            reply_to, posted, version, posted_at, changed_at)
        SELECT a.id, a.flow_id, a.author_id, a.content_type, a.body, a.attachments, a.emoji,
            a.reply_to, a.version, a.version, a.posted_at, a.changed_at FROM accepted a
    ), changed AS (
        UPDATE flow f SET version = c.version, changed_at = c.changed_at
        FROM (SELECT a.flow_id, max(a.version) AS version, max(a.changed_at) AS changed_at
            FROM accepted a GROUP BY a.flow_id) c WHERE f.id = c.flow_id
    ), acting AS (
        UPDATE member mb SET acted = TRUE FROM accepted a
        WHERE NOT a.acted AND mb.flow_id = a.flow_id AND mb.user_id = a.author_id
    ), used AS (
        INSERT INTO message_key (author_id, key, message_id, used_at)
        SELECT a.author_id, a.key, a.id, a.posted_at FROM accepted a
        WHERE a.key IS NOT NULL ORDER BY a.author_id, a.key
        ON CONFLICT (author_id, key) DO UPDATE
        SET message_id = excluded.message_id, used_at = excluded.used_at
    ), clock AS (
        INSERT INTO commit_clock (id, last)
        SELECT -pg_backend_pid(), max(a.changed_at) FROM accepted a HAVING count(*) > 0
        ON CONFLICT (id) DO UPDATE SET last = excluded.last
    )
    SELECT d.outcome, coalesce(a.id, d.earlier), a.version, a.changed_at, d.kind
    FROM decided d LEFT JOIN accepted a ON a.place = d.place ORDER BY d.place;
END $$";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let database = manager.get_connection();
        database.execute_unprepared(MOVE_CLOCK).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            for statement in [
                SEQUENCE,
                REGISTER_COMMIT,
                TAKE_COMMIT_TIMES,
                BEGIN_CHANGES,
                END_CHANGES,
                POST_MESSAGES,
            ] {
                database.execute_unprepared(statement).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let database = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            let last = "UPDATE commit_clock SET last = greatest(last, \
                 (SELECT last_value FROM commit_time_seq)) WHERE id = 3";
            let slots = "DELETE FROM commit_clock WHERE id < 0";
            let functions = "DROP FUNCTION post_messages, end_changes, begin_changes, \
                 take_commit_times, register_commit";
            for statement in [last, slots, functions, "DROP SEQUENCE commit_time_seq"] {
                database.execute_unprepared(statement).await?;
            }
        }
        database.execute_unprepared(MOVE_CLOCK_BACK).await?;
        Ok(())
    }
}
