//! Password recovery by e-mail.

use crate::faults::{password_fault, store_fault};
use crate::ports::{AccountKey, Mail};
use crate::tokens::hash_token;
use crate::{DeferredWork, Engine, ErrorChain};
use std::time::Duration;
use tolmach_domain::{Answer, Fault, RecoveryIdentifier, Secret, Timestamp};

impl Engine {
    /// Mails a recovery link, if there is such an account and it has an address. Deferred, so that
    /// the duration of the response does not tell if there is.
    pub(crate) fn recover(&self, identifier: RecoveryIdentifier, now: Timestamp) -> DeferredWork {
        let (store, mailer, recently_mailed) =
            (self.ports.store.clone(), self.ports.mailer.clone(), self.recently_mailed.clone());
        let (token, url, lifetime) =
            (self.new_token(), self.policy.public_url.clone(), self.policy.recovery_lifetime);
        Box::pin(async move {
            let key = match &identifier {
                RecoveryIdentifier::Email(email) => AccountKey::Email(email),
                RecoveryIdentifier::Login(login) => AccountKey::Login(login),
            };
            let user = match store.account(key).await {
                Ok(account) => account.map(|account| account.user),
                Err(error) => {
                    let error = ErrorChain(&error);
                    return tracing::warn!(%error, "a recovery could not look up its account");
                }
            };
            let Some((user, email)) =
                user.and_then(|user| user.email.clone().map(|email| (user, email)))
            else {
                return;
            };
            if recently_mailed.contains_key(&user.id) {
                return tracing::info!(user = %user.id, "the last recovery mail is too recent");
            }
            recently_mailed.insert(user.id, ());
            let expires_at = now.after(lifetime);
            if let Err(error) =
                store.put_recovery_token(hash_token(&token), user.id, expires_at).await
            {
                let error = ErrorChain(&error);
                return tracing::warn!(%error, "a recovery token could not be stored");
            }
            let mail = Mail {
                to: email,
                subject: "Recover your account".into(),
                body: mail_body(&user.login, &token, &url, lifetime),
            };
            match mailer.send(mail).await {
                Ok(()) => tracing::info!(user = %user.id, "a recovery link was mailed"),
                Err(error) => {
                    let error = ErrorChain(&error);
                    tracing::error!(%error, user = %user.id, "a recovery mail could not be sent")
                }
            }
        })
    }

    /// True if the token of a recovery link can be used now.
    pub async fn is_recovery_token_valid(&self, token: &Secret) -> Result<bool, Fault> {
        self.ports
            .store
            .is_recovery_token_valid(hash_token(token), self.now())
            .await
            .map_err(store_fault)
    }

    pub(crate) async fn reset_password(
        &self,
        token: &Secret,
        password: &Secret,
        now: Timestamp,
    ) -> Result<Answer, Fault> {
        self.check_new_password(password)?;
        // Hashing costs a quarter of a second, so an invalid token is refused before it.
        if !self.is_recovery_token_valid(token).await? {
            return Err(Fault::Unauthenticated);
        }
        let password_hash = self.ports.passwords.hash(password).await.map_err(password_fault)?;
        let user = self
            .ports
            .store
            .spend_recovery_token(hash_token(token), password_hash, now)
            .await
            .map_err(store_fault)?;
        self.invalidate_user(user.ok_or(Fault::Unauthenticated)?);
        self.sessions.invalidate_all();
        Ok(Answer::PasswordReset)
    }
}

fn mail_body(login: &str, token: &Secret, url: &str, lifetime: Duration) -> String {
    let (minutes, token) = (lifetime.as_secs() / 60, token.expose());
    format!(
        "A new password was requested for the account {login}.\n\n\
         To choose one, open this page within {minutes} minutes:\n\n\
         {url}/recover?token={token}\n\n\
         If you did not request it, do nothing: the password stays as it is.\n"
    )
}
