//! Statements over the blocks in which long histories are counted.

/// The number of versions in a block. The triggers of the schema have it too.
pub(crate) const HISTORY_BLOCK: i64 = 4_096;

/// The version of a flow and the first of its blocks that is not counted: flow.
pub(crate) const COUNTED_BLOCKS: &str = "\
    SELECT f.version, coalesce((SELECT max(b.block) + 1 FROM history_block b \
    WHERE b.flow_id = f.id), 0) AS next FROM flow f WHERE f.id = $1 AND f.deleted_at IS NULL";

/// Counts blocks with visible messages: flow, posted from, posted before.
pub(crate) const COUNT_BLOCKS: &str = "\
    INSERT INTO history_block (flow_id, block, visible) \
    SELECT flow_id, posted / 4096, count(*) FROM message \
    WHERE flow_id = $1 AND deleted_at IS NULL AND posted >= $2 AND posted < $3 \
    GROUP BY flow_id, posted / 4096";

/// Marks a block as counted that may have no visible message: flow, block.
pub(crate) const MARK_COUNTED: &str = "\
    INSERT INTO history_block (flow_id, block, visible) VALUES ($1, $2, 0) \
    ON CONFLICT (flow_id, block) DO NOTHING";

/// The number of visible messages that are in no counted block, read from an index only: flow,
/// posted from.
pub(crate) const COUNT_UNCOUNTED: &str = "\
    SELECT count(*) AS number FROM message \
    WHERE flow_id = $1 AND deleted_at IS NULL AND posted >= $2";

/// The counted block that has the message after skipping some, the newest first, and the number of
/// messages in newer ones: flow, offset.
pub(crate) const BLOCK_AT_OFFSET: &str = "\
    SELECT b.block, b.total - b.visible AS newer FROM (SELECT block, visible, \
    CAST(sum(visible) OVER (ORDER BY block DESC) AS bigint) AS total \
    FROM history_block WHERE flow_id = $1) b WHERE b.total > $2 ORDER BY b.block DESC LIMIT 1";
