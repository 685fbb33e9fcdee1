//! Sessions, and the tokens of password recovery.

use super::transaction::Batch;
use crate::entities::{recovery_token, refresh_token, session};
use crate::error::store_error;
use crate::rows::{session_id, user_id};
use crate::sql;
use sea_orm::prelude::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, Set,
};
use tolmach_domain::{EventKind, SessionId, Timestamp, UserId};
use tolmach_engine::ports::{NewSession, Rotation, StoreError, TokenHash, UserChange};

impl Batch {
    pub(crate) async fn open_session(&mut self, new: NewSession) -> Result<SessionId, StoreError> {
        self.active_user(new.user).await?;
        let row = session::ActiveModel {
            id: ActiveValue::NotSet,
            user_id: Set(new.user.get()),
            token_hash: Set(new.token.map(|token| token.0.to_vec())),
            created_at: Set(new.now.micros()),
            expires_at: Set(new.expires_at.micros()),
            ended_at: Set(None),
        };
        let id = row.insert(&self.transaction).await.map_err(store_error)?.id;
        if let Some(refresh) = new.refresh {
            self.insert_refresh(refresh, id, new.expires_at).await?;
        }
        self.limit_sessions(new.user, new.max_sessions, new.now).await?;
        session_id(id)
    }

    pub(crate) async fn renew_session(
        &mut self,
        id: SessionId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let sessions = session::Entity::update_many()
            .col_expr(session::Column::ExpiresAt, Expr::value(expires_at.micros()));
        let sessions = sessions
            .filter(session::Column::Id.eq(id.get()))
            .filter(session::Column::EndedAt.is_null());
        sessions.exec(&self.transaction).await.map_err(store_error)?;
        Ok(())
    }

    pub(crate) async fn rotate_refresh(
        &mut self,
        spent: TokenHash,
        next: TokenHash,
        keep: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.now = self.now.max(now);
        let token = refresh_token::Entity::find_by_id(spent.0.to_vec())
            .one(&self.transaction)
            .await
            .map_err(store_error)?;
        let Some(token) = token.filter(|token| now.micros() < token.expires_at) else {
            return Ok(Rotation::Unknown);
        };
        let session = session::Entity::find_by_id(token.session_id)
            .one(&self.transaction)
            .await
            .map_err(store_error)?;
        let is_open = |session: &session::Model| {
            session.ended_at.is_none() && now.micros() < session.expires_at
        };
        let Some(session) = session.filter(is_open) else { return Ok(Rotation::Unknown) };
        let (user, id) = (user_id(session.user_id)?, session_id(session.id)?);
        if token.spent_at.is_some() {
            self.end_session(id, now).await?;
            return Ok(Rotation::Reused);
        }
        let mut token = token.into_active_model();
        token.spent_at = Set(Some(now.micros()));
        token.update(&self.transaction).await.map_err(store_error)?;
        self.insert_refresh(next, session.id, expires_at).await?;
        self.limit_spent_tokens(session.id, keep).await?;
        self.renew_session(id, expires_at).await?;
        Ok(Rotation::Rotated { user, session: id })
    }

    pub(crate) async fn end_session(
        &mut self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = session::Entity::find_by_id(id.get())
            .one(&self.transaction)
            .await
            .map_err(store_error)?;
        let Some(row) = row.filter(|row| row.ended_at.is_none()) else { return Ok(()) };
        let user = user_id(row.user_id)?;
        let mut row = row.into_active_model();
        row.ended_at = Set(Some(now.micros()));
        row.update(&self.transaction).await.map_err(store_error)?;
        let tokens = refresh_token::Entity::delete_many()
            .filter(refresh_token::Column::SessionId.eq(id.get()));
        tokens.exec(&self.transaction).await.map_err(store_error)?;
        self.publish(now, None, EventKind::SessionsEnded { user, session: Some(id) });
        Ok(())
    }

    pub(super) async fn end_sessions(
        &mut self,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tokens = "DELETE FROM refresh_token WHERE session_id IN \
             (SELECT id FROM session WHERE user_id = $1 AND ended_at IS NULL)";
        sql::execute(&self.transaction, tokens, vec![user.get().into()]).await?;
        let sessions = session::Entity::update_many()
            .col_expr(session::Column::EndedAt, Expr::value(now.micros()));
        let sessions = sessions
            .filter(session::Column::UserId.eq(user.get()))
            .filter(session::Column::EndedAt.is_null());
        sessions.exec(&self.transaction).await.map_err(store_error)?;
        self.publish(now, None, EventKind::SessionsEnded { user, session: None });
        Ok(())
    }

    pub(crate) async fn put_recovery_token(
        &mut self,
        token: TokenHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.active_user(user).await?;
        let row = recovery_token::Model {
            token_hash: token.0.to_vec(),
            user_id: user.get(),
            expires_at: expires_at.micros(),
        };
        row.into_active_model().insert(&self.transaction).await.map_err(store_error)?;
        Ok(())
    }

    pub(crate) async fn spend_recovery_token(
        &mut self,
        token: TokenHash,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let found = recovery_token::Entity::find_by_id(token.0.to_vec())
            .filter(recovery_token::Column::ExpiresAt.gt(now.micros()))
            .one(&self.transaction)
            .await
            .map_err(store_error)?;
        let Some(found) = found else { return Ok(None) };
        let user = user_id(found.user_id)?;
        self.update_user(
            user,
            UserChange { password_hash: Some(password_hash), ..UserChange::default() },
            now,
        )
        .await?;
        Ok(Some(user))
    }

    /// Removes all recovery tokens of a user.
    pub(super) async fn remove_recovery_tokens(&self, user: UserId) -> Result<(), StoreError> {
        let tokens = recovery_token::Entity::delete_many()
            .filter(recovery_token::Column::UserId.eq(user.get()));
        tokens.exec(&self.transaction).await.map_err(store_error)?;
        Ok(())
    }

    async fn insert_refresh(
        &self,
        token: TokenHash,
        session: i64,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = refresh_token::Model {
            token_hash: token.0.to_vec(),
            session_id: session,
            expires_at: expires_at.micros(),
            spent_at: None,
        };
        row.into_active_model().insert(&self.transaction).await.map_err(store_error)?;
        Ok(())
    }
}
