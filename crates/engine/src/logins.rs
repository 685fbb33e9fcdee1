//! Logins: from a password to a session and its tokens, until the session ends.

use crate::account_lookup::find_account;
use crate::faults::{password_fault, store_fault};
use crate::login_throttle::{LoginAttempt, LoginSubject};
use crate::ports::{
    AccessClaims, Account, AccountKey, HashClass, HashOrigin, NewSession, PasswordCheck, Rotation,
};
use crate::tokens::hash_token;
use crate::{Engine, ErrorChain, Principal};
use std::net::IpAddr;
use tolmach_domain::{
    Answer, Fault, Grant, GrantKind, Identity, LoginIdentifier, RecoveryIdentifier, Secret,
    Timestamp, Tokens, User,
};

impl Engine {
    pub(crate) async fn log_in(
        &self,
        identifier: &LoginIdentifier,
        password: &Secret,
        grant: GrantKind,
        address: Option<IpAddr>,
    ) -> Result<(Answer, Option<Principal>), Fault> {
        let key = match identifier {
            LoginIdentifier::Any(text) => AccountKey::Either(text),
            LoginIdentifier::Email(email) => AccountKey::Email(email),
        };
        let user = self.check_password(key, password, address, |_| true).await?;
        self.grant(user, grant, self.now()).await
    }

    /// The user, if this is their password and `permits` accepts them. Takes as long if the login
    /// does not exist. Every check of a password is done here, so that every failure is counted.
    pub(crate) async fn check_password(
        &self,
        key: AccountKey<'_>,
        password: &Secret,
        address: Option<IpAddr>,
        permits: impl Fn(&User) -> bool,
    ) -> Result<User, Fault> {
        let (AccountKey::Login(name) | AccountKey::Email(name) | AccountKey::Either(name)) = key;
        let store = &*self.ports.store;
        let mut account = find_account(store, key).await.map_err(store_fault)?;
        let subject = account.as_ref().map(|account| LoginSubject::Account(account.user.id));
        let attempt = LoginAttempt::new(subject.unwrap_or(LoginSubject::Unknown(name)), address);
        let counters = self.check_login_counters(&attempt).await?;
        if self.delay_login(&counters).await? {
            // The password may have been changed meanwhile.
            account = find_account(store, key).await.map_err(store_fault)?;
        }
        let hash = account.as_ref().and_then(|account| account.password_hash.as_deref());
        let origin = HashOrigin::new(HashClass::Login, address);
        let check = self.ports.passwords.verify(password, hash, origin).await;
        let check = check.map_err(password_fault)?;
        match account {
            Some(account) if check.is_right() && permits(&account.user) => {
                self.count_success(&attempt).await?;
                if check == PasswordCheck::RightByLegacyHash {
                    self.replace_legacy_hash(&account, password, address).await?;
                }
                Ok(account.user)
            }
            account => {
                self.count_failure(&attempt, &counters).await?;
                Err(Fault::WrongCredentials { login_exists: account.is_some() })
            }
        }
    }

    /// Replaces the hash of another server after a login by it. From
    /// [`legacy_hashes_until`](crate::Policy::legacy_hashes_until) on the login is refused, as by a
    /// wrong password, and a recovery link is mailed.
    async fn replace_legacy_hash(
        &self,
        account: &Account,
        password: &Secret,
        address: Option<IpAddr>,
    ) -> Result<(), Fault> {
        let (user, now) = (&account.user, self.now());
        if self.policy.legacy_hashes_until.is_some_and(|until| now >= until) {
            tracing::info!(user = %user.id, "a login by a legacy hash was refused: it is too late");
            let identifier = RecoveryIdentifier::Login(user.login.clone());
            self.recover(identifier, address, now).await;
            return Err(Fault::WrongCredentials { login_exists: true });
        }
        let origin = HashOrigin::new(HashClass::Login, address);
        let replaced = async {
            let hash = self.ports.passwords.hash(password, origin).await.map_err(password_fault)?;
            let legacy = account.password_hash.as_deref().unwrap_or_default();
            let replaced = self.ports.store.replace_password_hash(user.id, legacy, &hash).await;
            replaced.map_err(store_fault)
        };
        // The next login tries again.
        if let Err(fault) = replaced.await {
            tracing::warn!(user = %user.id, %fault, "a legacy password hash was not replaced");
        }
        Ok(())
    }

    /// Opens a session for a user and hands out its tokens.
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
            max_sessions: self.policy.max_sessions(user.admin),
            now,
            expires_at,
        };
        let session = self.ports.store.open_session(session).await.map_err(store_fault)?;
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
        let keep = self.policy.quotas.spent_refresh_tokens;
        let rotation = self
            .ports
            .store
            .rotate_refresh(hash_token(token), hash_token(&next), keep, now, expires_at)
            .await;
        match rotation.map_err(store_fault)? {
            Rotation::Rotated { user, session } => {
                self.sessions.invalidate(&session);
                let user = self
                    .cached_user(user)
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
                // The store ended the session; its access token must stop working at once.
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
            tracing::error!(error = %ErrorChain(&error), "an access token could not be signed");
            Fault::Internal
        })
    }

    /// Ends the session of a login that is not told to its client.
    pub async fn end_session(&self, principal: &Principal) {
        let Some(session) = principal.identity.session else { return };
        if let Err(error) = self.ports.store.end_session(session, self.now()).await {
            // Nobody has its token.
            tracing::warn!(error = %ErrorChain(&error), "a session was not ended");
        }
        self.sessions.invalidate(&session);
    }

    pub(crate) async fn log_out(
        &self,
        principal: &Principal,
        login: Option<&str>,
        now: Timestamp,
    ) -> Result<Answer, Fault> {
        if let Some(login) = login {
            let user =
                self.cached_user(principal.identity.user).await?.ok_or(Fault::Unauthenticated)?;
            let named = login.to_lowercase();
            if named != user.login.to_lowercase() && named != user.username.to_lowercase() {
                return Err(Fault::Unauthenticated);
            }
        }
        let session = principal.identity.session.ok_or_else(|| {
            Fault::invalid("token", "it was minted elsewhere and has to be ended there")
        })?;
        self.ports.store.end_session(session, now).await.map_err(store_fault)?;
        self.sessions.invalidate(&session);
        Ok(Answer::LoggedOut)
    }
}
