//! Statements over serving rules.

/// All rules, ordered by number.
pub(crate) const RULES: &str = "\
    SELECT id, dialect, revision, user_id, login, network, user_agent, share, effect, begins_at, \
    sunset_at, link, windows, upstream FROM serving_rule ORDER BY id";

/// The number of changes of rules; no row before the first one.
pub(crate) const RULES_REVISION: &str = "SELECT revision FROM serving_rule_revision WHERE id = 1";

/// Counts a change of rules.
pub(crate) const COUNT_RULE_CHANGE: &str = "\
    INSERT INTO serving_rule_revision (id, revision) VALUES (1, 1) \
    ON CONFLICT (id) DO UPDATE SET revision = serving_rule_revision.revision + 1";

/// The number of rules with other slots: slot.
pub(crate) const COUNT_OTHER_RULES: &str =
    "SELECT COUNT(*) AS count FROM serving_rule WHERE slot <> $1";

/// Inserts or replaces a rule: slot, then the columns of the clients and of the effect.
pub(crate) const SET_RULE: &str = "\
    INSERT INTO serving_rule (slot, dialect, revision, user_id, login, network, user_agent, share, \
    effect, begins_at, sunset_at, link, windows, upstream) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
    ON CONFLICT (slot) DO UPDATE SET share = excluded.share, begins_at = excluded.begins_at, \
    sunset_at = excluded.sunset_at, link = excluded.link, windows = excluded.windows, \
    upstream = excluded.upstream \
    RETURNING id";
