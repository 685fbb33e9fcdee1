//! Blocks.

use crate::entities::user;
use crate::error::store_error;
use crate::rows::user as to_user;
use crate::sql::{self, get};
use sea_orm::{ConnectionTrait, FromQueryResult};
use tolmach_domain::{FlowId, User, UserId};
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

/// The users whom a user blocks, without deleted ones, ordered by id.
pub(crate) async fn blocked_users<C: ConnectionTrait>(
    database: &C,
    blocker: UserId,
) -> Result<Vec<User>, StoreError> {
    let rows = sql::rows(database, &sql::BLOCKED_USERS, vec![blocker.get().into()]).await?;
    rows.iter()
        .map(|row| user::Model::from_query_result(row, "").map_err(store_error).and_then(to_user))
        .collect()
}

/// The number of users whom a user blocks, without deleted ones and `other`.
pub(crate) async fn count_other_blocks<C: ConnectionTrait>(
    database: &C,
    blocker: UserId,
    other: UserId,
) -> Result<i64, StoreError> {
    let values = vec![blocker.get().into(), other.get().into()];
    let row = sql::row(database, sql::COUNT_OTHER_BLOCKS, values).await?;
    row.map_or(Ok(0), |row| get(&row, "count"))
}
