//! Sessions and recovery tokens.

use super::rows::at_most_one;
use crate::entities::{recovery_token, session};
use crate::error::store_error;
use crate::rows::session as to_session;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use tolmach_domain::{SessionId, Timestamp};
use tolmach_engine::ports::{Session, StoreError, TokenHash};

pub(crate) async fn session_by_token<C: ConnectionTrait>(
    database: &C,
    token: TokenHash,
) -> Result<Option<Session>, StoreError> {
    let found = session::Entity::find().filter(session::Column::TokenHash.eq(token.0.to_vec()));
    at_most_one(found.all(database).await)?.map(to_session).transpose()
}

pub(crate) async fn session<C: ConnectionTrait>(
    database: &C,
    id: SessionId,
) -> Result<Option<Session>, StoreError> {
    at_most_one(session::Entity::find_by_id(id.get()).all(database).await)?
        .map(to_session)
        .transpose()
}

pub(crate) async fn is_recovery_token_valid<C: ConnectionTrait>(
    database: &C,
    token: TokenHash,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let found = recovery_token::Entity::find_by_id(token.0.to_vec())
        .filter(recovery_token::Column::ExpiresAt.gt(now.micros()));
    Ok(found.count(database).await.map_err(store_error)? > 0)
}
