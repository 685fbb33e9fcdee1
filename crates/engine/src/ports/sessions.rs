//! Sessions, and the tokens of password recovery.

use super::StoreError;
use async_trait::async_trait;
use tolmach_domain::{SessionId, Timestamp, User, UserId};

/// The sessions and recovery tokens of a [`Store`](super::Store).
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Opens a session. Of the user's sessions that have not ended, those beyond the newest
    /// [`NewSession::max_sessions`] are removed with their tokens:
    /// [`EventKind::SessionsEnded`](tolmach_domain::EventKind::SessionsEnded) for each.
    async fn open_session(&self, session: NewSession) -> Result<SessionId, StoreError>;

    /// The session with this opaque token, and its user; ended and expired ones too.
    async fn session_by_token(
        &self,
        token: TokenHash,
    ) -> Result<Option<(Session, User)>, StoreError>;

    /// The session with this id, and its user; ended and expired ones too.
    async fn session(&self, id: SessionId) -> Result<Option<(Session, User)>, StoreError>;

    /// Sets the time at which a session expires.
    async fn renew_session(&self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError>;

    /// Spends a refresh token and stores the next one. Spending a spent one ends its session. Of
    /// the spent tokens of a session the newest `keep` are kept: an older one is
    /// [`Rotation::Unknown`].
    async fn rotate_refresh(
        &self,
        spent: TokenHash,
        next: TokenHash,
        keep: u32,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError>;

    /// Ends a session, if it has not ended yet.
    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError>;

    /// Stores a recovery token of a user. Earlier ones stay valid.
    async fn put_recovery_token(
        &self,
        token: TokenHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Spends a recovery token and all others of its user: sets the password and ends all sessions.
    /// `None` if the token is unknown, spent or expired.
    async fn spend_recovery_token(
        &self,
        token: TokenHash,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError>;

    /// True if a recovery token could be spent now.
    async fn is_recovery_token_valid(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
}

/// SHA-256 of an opaque token. The token itself is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// A session to open.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The user that is logged in.
    pub user: UserId,
    /// Its opaque token.
    pub token: Option<TokenHash>,
    /// Its first refresh token.
    pub refresh: Option<TokenHash>,
    /// The largest number of sessions of the user that have not ended, this one included.
    pub max_sessions: u32,
    /// The time at which it is opened.
    pub now: Timestamp,
    /// The time at which it expires unless renewed.
    pub expires_at: Timestamp,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The user that is logged in.
    pub user: UserId,
    /// The time at which it expires.
    pub expires_at: Timestamp,
    /// The time at which it was ended before that.
    pub ended_at: Option<Timestamp>,
}

/// Result of spending a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The token was spent; the session goes on.
    Rotated {
        /// The user of the session.
        user: UserId,
        /// The session.
        session: SessionId,
    },
    /// The token had been spent before, so it was copied: its session was ended.
    Reused,
    /// The token is unknown, expired, or its session has ended.
    Unknown,
}
