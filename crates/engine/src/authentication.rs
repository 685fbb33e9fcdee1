//! Authentication: from credentials to a principal.

use crate::faults::store_fault;
use crate::ports::Session;
use crate::tokens::hash_token;
use crate::{Engine, Principal};
use std::sync::Arc;
use tolmach_domain::{Credentials, Fault, Identity, Secret, SessionId, Timestamp, User};

/// An opaque token is renewed at most once in this fraction of its lifetime, because renewing is a
/// write.
const RENEW_AFTER: u32 = 24;

impl Engine {
    /// The principal that credentials authenticate; `bound` is the connection's principal so far.
    /// `None` if there are no credentials, [`Fault::Unauthenticated`] if they are not valid.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        bound: Option<&Principal>,
    ) -> Result<Option<Principal>, Fault> {
        let now = self.now();
        match credentials {
            Credentials::Nothing => Ok(None),
            Credentials::Connection => match bound {
                Some(principal) if self.still_valid(principal, now).await? => Ok(Some(*principal)),
                _ => Err(Fault::Unauthenticated),
            },
            Credentials::Token(token) => self.by_token(token, now).await.map(Some),
            Credentials::TokenOf(user, token) => {
                let principal = self.by_token(token, now).await?;
                if principal.identity.user == *user {
                    Ok(Some(principal))
                } else {
                    Err(Fault::Unauthenticated)
                }
            }
            Credentials::Bearer(token) => {
                let claims = self.ports.signer.verify(token, now).ok_or(Fault::Unauthenticated)?;
                let identity = Identity { user: claims.user, session: claims.session };
                let principal = Principal { identity, expires_at: claims.expires_at };
                if self.still_valid(&principal, now).await? {
                    Ok(Some(principal))
                } else {
                    Err(Fault::Unauthenticated)
                }
            }
        }
    }

    /// True if a principal is still valid: not expired, its session not ended, its user not
    /// deleted. A change by another process is noticed within two seconds.
    pub async fn still_valid(&self, principal: &Principal, now: Timestamp) -> Result<bool, Fault> {
        if now >= principal.expires_at {
            return Ok(false);
        }
        let session_is_open = match principal.identity.session {
            None => true,
            Some(id) => self.session(id).await?.is_some_and(|session| {
                session.user == principal.identity.user && session.ended_at.is_none()
            }),
        };
        // The token of another issuer may name a user who has no record yet.
        Ok(session_is_open
            && self
                .cached_user(principal.identity.user)
                .await?
                .is_none_or(|user| user.deleted_at.is_none()))
    }

    async fn by_token(&self, token: &Secret, now: Timestamp) -> Result<Principal, Fault> {
        let hash = hash_token(token);
        let session = match self.tokens.get(&hash) {
            Some(id) => self.session(id).await?,
            None => {
                let found = self.ports.store.session_by_token(hash).await.map_err(store_fault)?;
                let session = found.map(|found| self.keep_session(found));
                if let Some(session) = &session {
                    self.tokens.insert(hash, session.id);
                }
                session
            }
        };
        let session = session
            .filter(|session| session.ended_at.is_none() && now < session.expires_at)
            .ok_or(Fault::Unauthenticated)?;
        let lifetime = self.policy.token_lifetime;
        let mut expires_at = session.expires_at;
        if now.after(lifetime - lifetime / RENEW_AFTER) >= expires_at {
            expires_at = now.after(lifetime);
            self.ports.store.renew_session(session.id, expires_at).await.map_err(store_fault)?;
            self.sessions.insert(session.id, Session { expires_at, ..session.clone() });
        }
        Ok(Principal {
            identity: Identity { user: session.user, session: Some(session.id) },
            expires_at,
        })
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, Fault> {
        if let Some(session) = self.sessions.get(&id) {
            return Ok(Some(session));
        }
        let found = self.ports.store.session(id).await.map_err(store_fault)?;
        Ok(found.map(|found| self.keep_session(found)))
    }

    /// Keeps a session that was read just now, and its user, whom the same request needs next.
    fn keep_session(&self, (session, user): (Session, User)) -> Session {
        self.sessions.insert(session.id, session.clone());
        self.keep_user(&Arc::new(user));
        session
    }
}
