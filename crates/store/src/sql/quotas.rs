//! Statements over quotas and what they bound.

/// Adds to a count, from zero if it has expired, and returns it: user, quota, amount, expiry of a
/// new count, now.
pub(crate) const ADD_QUOTA_USE: &str = "\
    INSERT INTO quota_use (user_id, quota, amount, expires_at) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (user_id, quota) DO UPDATE SET \
    amount = CASE WHEN quota_use.expires_at > $5 \
    THEN quota_use.amount + excluded.amount ELSE excluded.amount END, \
    expires_at = CASE WHEN quota_use.expires_at > $5 \
    THEN quota_use.expires_at ELSE excluded.expires_at END \
    RETURNING amount, expires_at";

/// Sessions of a user that have not ended, without the newest: user, number of the newest, limit.
pub(crate) const EXCESS_SESSIONS: &str = "\
    SELECT id FROM session WHERE user_id = $1 AND ended_at IS NULL \
    ORDER BY id DESC LIMIT $3 OFFSET $2";

/// Removes the spent refresh tokens of a session, without the newest: session, number of the
/// newest, limit.
pub(crate) const REMOVE_SPENT_TOKENS: &str = "\
    DELETE FROM refresh_token WHERE token_hash IN \
    (SELECT token_hash FROM refresh_token WHERE session_id = $1 AND spent_at IS NOT NULL \
    ORDER BY spent_at DESC LIMIT $3 OFFSET $2)";

/// The other member of a flow who joined first: flow, user.
pub(crate) const NEXT_OWNER: &str = "\
    SELECT user_id FROM member WHERE flow_id = $1 AND user_id <> $2 \
    ORDER BY joined_at, user_id LIMIT 1";
