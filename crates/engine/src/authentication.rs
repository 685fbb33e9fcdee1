//! From a proof to a principal, and from a login to tokens.

use crate::Engine;
use crate::ports::{AccessClaims, AccountKey, NewSession, Rotation, Session, TokenHash};
use crate::throttle::Attempt;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::net::IpAddr;
use tolmach_domain::{
    Answer, Credentials, Fault, Grant, GrantKind, Identity, Secret, SessionId, Timestamp, Tokens,
    User,
};

/// Who asks, proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The user and the session.
    pub identity: Identity,
    /// When the proof stops being one.
    pub expires_at: Timestamp,
}

/// An opaque token that is used within this share of its lifetime is renewed: not at each use,
/// which would be a write.
const RENEW_AFTER: u32 = 24;

impl Engine {
    /// Who a proof proves the caller to be; `bound` is who the connection has proven to be before.
    /// [`Fault::Unauthenticated`] when it proves nothing, `None` when nothing was offered.
    pub async fn authenticate(
        &self,
        proof: &Credentials,
        bound: Option<&Principal>,
    ) -> Result<Option<Principal>, Fault> {
        let now = self.now();
        match proof {
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

    /// Whether a principal that was proven before is still to be believed: not expired, its session
    /// not ended, its user not deleted. What another process changed is noticed within two seconds.
    pub async fn still_valid(&self, principal: &Principal, now: Timestamp) -> Result<bool, Fault> {
        if now >= principal.expires_at {
            return Ok(false);
        }
        let session_lives = match principal.identity.session {
            None => true,
            Some(id) => self.session(id).await?.is_some_and(|session| {
                session.user == principal.identity.user && session.ended_at.is_none()
            }),
        };
        // A token that was minted elsewhere may name a user who has no record yet.
        Ok(session_lives
            && self
                .person(principal.identity.user)
                .await?
                .is_none_or(|user| user.deleted_at.is_none()))
    }

    async fn by_token(&self, token: &Secret, now: Timestamp) -> Result<Principal, Fault> {
        let hash = hash_token(token);
        let session = match self.tokens.get(&hash) {
            Some(id) => self.session(id).await?,
            None => {
                let session =
                    self.ports.store.session_by_token(hash).await.map_err(crate::engine::refuse)?;
                if let Some(session) = &session {
                    self.tokens.insert(hash, session.id);
                    self.sessions.insert(session.id, session.clone());
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
            self.ports
                .store
                .renew_session(session.id, expires_at)
                .await
                .map_err(crate::engine::refuse)?;
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
        let session = self.ports.store.session(id).await.map_err(crate::engine::refuse)?;
        if let Some(session) = &session {
            self.sessions.insert(id, session.clone());
        }
        Ok(session)
    }

    pub(crate) async fn log_in(
        &self,
        identifier: &str,
        password: &Secret,
        grant: GrantKind,
        address: Option<IpAddr>,
    ) -> Result<(Answer, Option<Principal>), Fault> {
        let key = AccountKey::Either(identifier);
        let user = self.check_password(key, password, address, |_| true).await?;
        self.grant(user, grant, self.now()).await
    }

    /// The user, if this is their password and `permits` accepts them. Takes as long whether or not
    /// the login exists. Every check of a password comes here, so that every failure is counted.
    pub(crate) async fn check_password(
        &self,
        key: AccountKey<'_>,
        password: &Secret,
        address: Option<IpAddr>,
        permits: impl Fn(&User) -> bool,
    ) -> Result<User, Fault> {
        let (AccountKey::Login(name) | AccountKey::Email(name) | AccountKey::Either(name)) = key;
        let attempt = Attempt::new(name, address);
        let seen = self.may_try(&attempt).await?;
        self.hold_back(&seen).await?;
        let account = self.ports.store.account(key).await.map_err(crate::engine::refuse)?;
        let hash = account.as_ref().and_then(|account| account.password_hash.as_deref());
        let right = self
            .ports
            .passwords
            .verify(password, hash)
            .await
            .map_err(crate::engine::refuse_password)?;
        match account {
            Some(account) if right && permits(&account.user) => {
                self.count_success(&attempt).await?;
                Ok(account.user)
            }
            account => {
                self.count_failure(&attempt, &seen).await?;
                Err(Fault::WrongCredentials { login_exists: account.is_some() })
            }
        }
    }

    /// Opens a session for a user and hands out what proves it.
    pub(crate) async fn grant(
        &self,
        user: User,
        kind: GrantKind,
        now: Timestamp,
    ) -> Result<(Answer, Option<Principal>), Fault> {
        let token = (kind == GrantKind::Token).then(|| self.new_token());
        let refresh = (kind == GrantKind::Pair).then(|| self.new_token());
        let lifetime = match kind {
            GrantKind::Nothing => {
                return Ok((
                    Answer::Granted(Box::new(Grant {
                        user: Some(Box::new(user)),
                        tokens: Tokens::Nothing,
                    })),
                    None,
                ));
            }
            GrantKind::Connection | GrantKind::Token => self.policy.token_lifetime,
            GrantKind::Pair => self.policy.refresh_lifetime,
        };
        let expires_at = now.after(lifetime);
        let session = NewSession {
            user: user.id,
            token: token.as_ref().map(hash_token),
            refresh: refresh.as_ref().map(hash_token),
            now,
            expires_at,
        };
        let session =
            self.ports.store.open_session(session).await.map_err(crate::engine::refuse)?;
        let identity = Identity { user: user.id, session: Some(session) };
        let tokens = match (token, refresh) {
            (Some(token), _) => Tokens::Token(token),
            (None, Some(refresh)) => {
                Tokens::Pair { access: self.access_token(identity, now)?, refresh }
            }
            (None, None) => Tokens::Connection,
        };
        Ok((
            Answer::Granted(Box::new(Grant { user: Some(Box::new(user)), tokens })),
            Some(Principal { identity, expires_at }),
        ))
    }

    /// Logs an account in without its password and gives an access token: for operators.
    pub async fn operator_token(&self, login: &str) -> Result<Secret, Fault> {
        let user = self.account(login).await?;
        match self.grant(user, GrantKind::Pair, self.now()).await? {
            (Answer::Granted(grant), _) => match grant.tokens {
                Tokens::Pair { access, .. } => Ok(access),
                Tokens::Nothing | Tokens::Connection | Tokens::Token(_) => Err(Fault::Internal),
            },
            _ => Err(Fault::Internal),
        }
    }

    pub(crate) async fn refresh(
        &self,
        token: &Secret,
        now: Timestamp,
    ) -> Result<(Answer, Option<Principal>), Fault> {
        let next = self.new_token();
        let expires_at = now.after(self.policy.refresh_lifetime);
        let rotation = self
            .ports
            .store
            .rotate_refresh(hash_token(token), hash_token(&next), now, expires_at)
            .await;
        match rotation.map_err(crate::engine::refuse)? {
            Rotation::Rotated { user, session } => {
                self.sessions.invalidate(&session);
                let user = self
                    .person(user)
                    .await?
                    .filter(|user| user.deleted_at.is_none())
                    .ok_or(Fault::Unauthenticated)?;
                let identity = Identity { user: user.id, session: Some(session) };
                let tokens =
                    Tokens::Pair { access: self.access_token(identity, now)?, refresh: next };
                let grant = Grant { user: Some(Box::new(User::clone(&user))), tokens };
                Ok((Answer::Granted(Box::new(grant)), Some(Principal { identity, expires_at })))
            }
            Rotation::Reused => {
                // The session was ended by the store; whoever holds its access token must notice at
                // once.
                self.sessions.invalidate_all();
                Err(Fault::Unauthenticated)
            }
            Rotation::Unknown => Err(Fault::Unauthenticated),
        }
    }

    /// A signed access token of a session, for a login or for an operator.
    fn access_token(&self, identity: Identity, now: Timestamp) -> Result<Secret, Fault> {
        let claims = AccessClaims {
            user: identity.user,
            session: identity.session,
            issued_at: now,
            expires_at: now.after(self.policy.access_lifetime),
        };
        let mut nonce = [0; 16];
        self.ports.entropy.fill(&mut nonce);
        self.ports.signer.sign(&claims, nonce).map_err(|error| {
            tracing::error!(%error, "an access token could not be signed");
            Fault::Internal
        })
    }

    /// 256 random bits as 64 hexadecimal digits.
    pub(crate) fn new_token(&self) -> Secret {
        Secret::new(self.random_hex::<32>())
    }

    /// `N` random bytes as lower-case hexadecimal digits.
    pub(crate) fn random_hex<const N: usize>(&self) -> String {
        let mut bytes = [0; N];
        self.ports.entropy.fill(&mut bytes);
        bytes.iter().fold(String::with_capacity(2 * N), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        })
    }
}

/// All that is stored of a token.
pub(crate) fn hash_token(token: &Secret) -> TokenHash {
    TokenHash(Sha256::digest(token.expose().as_bytes()).into())
}
