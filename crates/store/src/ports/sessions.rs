//! Sessions, and the tokens of password recovery.

use crate::read;
use crate::scope::Scope;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_domain::{SessionId, Timestamp, User, UserId};
use tolmach_engine::ports::{NewSession, Rotation, Session, SessionStore, StoreError, TokenHash};

#[async_trait]
impl SessionStore for SqlStore {
    async fn open_session(&self, session: NewSession) -> Result<SessionId, StoreError> {
        self.write_in(Some(session.user), Scope::NoFlow, 0, move |batch| {
            Box::pin(batch.open_session(session))
        })
        .await
    }

    async fn session_by_token(
        &self,
        token: TokenHash,
    ) -> Result<Option<(Session, User)>, StoreError> {
        self.read(|| read::session_by_token(&self.readers, token)).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<(Session, User)>, StoreError> {
        self.read(|| read::session(&self.readers, id)).await
    }

    async fn renew_session(&self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError> {
        self.write_in(None, Scope::NoFlow, 0, move |batch| {
            Box::pin(batch.renew_session(id, expires_at))
        })
        .await
    }

    async fn rotate_refresh(
        &self,
        spent: TokenHash,
        next: TokenHash,
        keep: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.write_in(None, Scope::NoFlow, 0, move |batch| {
            Box::pin(batch.rotate_refresh(spent, next, keep, now, expires_at))
        })
        .await
    }

    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.write_in(None, Scope::NoFlow, 0, move |batch| Box::pin(batch.end_session(id, now)))
            .await
    }

    async fn put_recovery_token(
        &self,
        token: TokenHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write_in(Some(user), Scope::NoFlow, 0, move |batch| {
            Box::pin(batch.put_recovery_token(token, user, expires_at))
        })
        .await
    }

    async fn spend_recovery_token(
        &self,
        token: TokenHash,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        self.write_in(None, Scope::NoFlow, 0, move |batch| {
            Box::pin(batch.spend_recovery_token(token, password_hash, now))
        })
        .await
    }

    async fn is_recovery_token_valid(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.read(|| read::is_recovery_token_valid(&self.readers, token, now)).await
    }
}
