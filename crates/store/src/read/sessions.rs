//! Sessions and recovery tokens.

use super::users::user_of_row;
use crate::entities::recovery_token;
use crate::error::store_error;
use crate::rows::session_id;
use crate::sql::{self, get};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryResult,
};
use tolmach_domain::{SessionId, Timestamp, User};
use tolmach_engine::ports::{Session, StoreError, TokenHash};

pub(crate) async fn session_by_token<C: ConnectionTrait>(
    database: &C,
    token: TokenHash,
) -> Result<Option<(Session, User)>, StoreError> {
    let row = sql::row(database, &sql::SESSION_BY_TOKEN, vec![token.0.to_vec().into()]).await?;
    row.as_ref().map(session_of_row).transpose()
}

pub(crate) async fn session<C: ConnectionTrait>(
    database: &C,
    id: SessionId,
) -> Result<Option<(Session, User)>, StoreError> {
    let row = sql::row(database, &sql::SESSION, vec![id.get().into()]).await?;
    row.as_ref().map(session_of_row).transpose()
}

fn session_of_row(row: &QueryResult) -> Result<(Session, User), StoreError> {
    let user = user_of_row(row)?;
    let ended_at: Option<i64> = get(row, "session_ended_at")?;
    let session = Session {
        id: session_id(get(row, "session_id")?)?,
        user: user.id,
        expires_at: Timestamp::from_micros(get(row, "session_expires_at")?),
        ended_at: ended_at.map(Timestamp::from_micros),
    };
    Ok((session, user))
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
