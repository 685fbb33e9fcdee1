//! Sessions and recovery tokens.

use super::memory_store::MemoryStore;
use super::state::{Refresh, State, next};
use crate::ports::{
    NewSession, Rotation, Session, SessionStore, StoreError, TokenHash, UserChange,
};
use async_trait::async_trait;
use tolmach_domain::{EventKind, SessionId, Timestamp, User, UserId};

#[async_trait]
impl SessionStore for MemoryStore {
    async fn open_session(&self, session: NewSession) -> Result<SessionId, StoreError> {
        self.change(|state| {
            state.active_user(session.user)?;
            let id = next(&mut state.last_session, SessionId::new)?;
            state.sessions.insert(
                id,
                Session { id, user: session.user, expires_at: session.expires_at, ended_at: None },
            );
            if let Some(token) = session.token {
                state.tokens.insert(token, id);
            }
            if let Some(refresh) = session.refresh {
                state.refresh.insert(
                    refresh,
                    Refresh { session: id, expires_at: session.expires_at, spent_at: None },
                );
            }
            state.limit_sessions(session.user, session.max_sessions, session.now);
            Ok(id)
        })
        .await
    }

    async fn session_by_token(
        &self,
        token: TokenHash,
    ) -> Result<Option<(Session, User)>, StoreError> {
        self.read(|state| state.session_with_user(*state.tokens.get(&token)?)).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<(Session, User)>, StoreError> {
        self.read(|state| state.session_with_user(id)).await
    }

    async fn renew_session(&self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError> {
        self.change(|state| {
            if let Some(session) =
                state.sessions.get_mut(&id).filter(|session| session.ended_at.is_none())
            {
                session.expires_at = expires_at;
            }
            Ok(())
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
        self.change(|state| {
            let Some(refresh) =
                state.refresh.get_mut(&spent).filter(|refresh| now < refresh.expires_at)
            else {
                return Ok(Rotation::Unknown);
            };
            let id = refresh.session;
            let Some(session) = state
                .sessions
                .get_mut(&id)
                .filter(|session| session.ended_at.is_none() && now < session.expires_at)
            else {
                return Ok(Rotation::Unknown);
            };
            if refresh.spent_at.is_some() {
                state.end_session(id, now);
                return Ok(Rotation::Reused);
            }
            refresh.spent_at = Some(now);
            session.expires_at = expires_at;
            let user = session.user;
            state.refresh.insert(next, Refresh { session: id, expires_at, spent_at: None });
            state.limit_spent_tokens(id, keep);
            Ok(Rotation::Rotated { user, session: id })
        })
        .await
    }

    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.change(|state| {
            state.end_session(id, now);
            Ok(())
        })
        .await
    }

    async fn put_recovery_token(
        &self,
        token: TokenHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            state.active_user(user)?;
            state.recoveries.insert(token, (user, expires_at));
            Ok(())
        })
        .await
    }

    async fn spend_recovery_token(
        &self,
        token: TokenHash,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        self.change(|state| {
            let Some(user) = state.recoverable(token, now) else { return Ok(None) };
            state.update_user(
                user,
                UserChange { password_hash: Some(password_hash), ..UserChange::default() },
                now,
            )?;
            Ok(Some(user))
        })
        .await
    }

    async fn is_recovery_token_valid(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.read(|state| state.recoverable(token, now).is_some()).await
    }
}

impl State {
    fn session_with_user(&self, id: SessionId) -> Option<(Session, User)> {
        let session = self.sessions.get(&id)?.clone();
        let user = self.users.get(&session.user)?.user.clone();
        Some((session, user))
    }

    fn end_session(&mut self, id: SessionId, now: Timestamp) {
        if let Some(session) =
            self.sessions.get_mut(&id).filter(|session| session.ended_at.is_none())
        {
            session.ended_at = Some(now);
            let user = session.user;
            self.publish(now, None, EventKind::SessionsEnded { user, session: Some(id) });
        }
    }

    /// Removes the sessions of a user beyond the newest `most` that have not ended.
    fn limit_sessions(&mut self, user: UserId, most: u32, now: Timestamp) {
        let open = self.sessions.values().rev();
        let open = open.filter(|session| session.user == user && session.ended_at.is_none());
        let excess: Vec<SessionId> = open.skip(most as usize).map(|session| session.id).collect();
        for id in excess {
            self.sessions.remove(&id);
            self.tokens.retain(|_, session| *session != id);
            self.refresh.retain(|_, refresh| refresh.session != id);
            self.publish(now, None, EventKind::SessionsEnded { user, session: Some(id) });
        }
    }

    /// Removes the spent refresh tokens of a session beyond the newest `keep`.
    fn limit_spent_tokens(&mut self, session: SessionId, keep: u32) {
        let tokens = self.refresh.iter().filter(|(_, refresh)| refresh.session == session);
        let mut spent: Vec<(Timestamp, TokenHash)> =
            tokens.filter_map(|(token, refresh)| Some((refresh.spent_at?, *token))).collect();
        spent.sort_by_key(|(spent_at, _)| std::cmp::Reverse(*spent_at));
        for (_, token) in spent.into_iter().skip(keep as usize) {
            self.refresh.remove(&token);
        }
    }

    pub(super) fn end_sessions(&mut self, user: UserId, now: Timestamp) {
        for session in self
            .sessions
            .values_mut()
            .filter(|session| session.user == user && session.ended_at.is_none())
        {
            session.ended_at = Some(now);
        }
        self.publish(now, None, EventKind::SessionsEnded { user, session: None });
    }

    fn recoverable(&self, token: TokenHash, now: Timestamp) -> Option<UserId> {
        self.recoveries
            .get(&token)
            .filter(|(_, expires_at)| now < *expires_at)
            .map(|(user, _)| *user)
    }
}
