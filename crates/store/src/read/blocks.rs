//! Blocks.

use crate::rows::user_id;
use crate::sql::{self, get};
use sea_orm::ConnectionTrait;
use tolmach_domain::{FlowId, UserId};
use tolmach_engine::ports::StoreError;

/// True if one of these users blocks the user.
pub(crate) async fn is_blocked_by<C: ConnectionTrait>(
    database: &C,
    user: UserId,
    others: &[UserId],
) -> Result<bool, StoreError> {
    for list in sql::padded_lists(others) {
        let ids = std::iter::once(user).chain(list.iter().copied());
        let values = ids.map(|id| id.get().into()).collect();
        if !sql::BLOCKERS.rows(database, list.len(), values).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True if the flow is a chat whose other member blocks the user.
pub(crate) async fn is_blocked_in<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    user: UserId,
) -> Result<bool, StoreError> {
    let values = vec![flow.get().into(), user.get().into()];
    Ok(sql::row(database, sql::BLOCK_IN_CHAT, values).await?.is_some())
}

/// The ids of the users whom a user blocks, without deleted ones, in ascending order.
pub(crate) async fn blocked_users<C: ConnectionTrait>(
    database: &C,
    blocker: UserId,
) -> Result<Vec<UserId>, StoreError> {
    let rows = sql::rows(database, sql::BLOCKED_USERS, vec![blocker.get().into()]).await?;
    rows.iter().map(|row| user_id(get(row, "blocked_id")?)).collect()
}
