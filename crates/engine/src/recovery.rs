//! Password recovery by e-mail.
//!
//! An address that is mailed to was never proved to be its user's, so a mail holds no text that a
//! user chose, and its number is limited: of requests from one address, of mails to one account and
//! of mails in all.

use crate::account_lookup::find_account;
use crate::address_group::address_group;
use crate::counter_limits::{CounterLimit, count_event, counter_key};
use crate::error_chain::ErrorChain;
use crate::faults::{password_fault, store_fault};
use crate::policy::ThrottlePolicy;
use crate::ports::{AccountKey, HashClass, HashOrigin, Mail, Store};
use crate::tokens::hash_token;
use crate::{DeferredWork, Engine};
use std::net::IpAddr;
use std::time::Duration;
use tolmach_domain::{Answer, Fault, RecoveryIdentifier, Secret, Timestamp, UserId};

/// The shortest time between two recovery mails to an account.
const MAIL_INTERVAL: Duration = Duration::from_secs(60);

impl Engine {
    /// Mails a recovery link, if there is such an account, it has an address, no limit is reached,
    /// and not too many are being mailed. Deferred, so that neither the response nor its duration
    /// tells which it was.
    pub(crate) fn recover(
        &self,
        identifier: RecoveryIdentifier,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> DeferredWork {
        let Some(turn) = self.recoveries.begin(address, now) else {
            return Box::pin(std::future::ready(()));
        };
        let (store, mailer, throttle) = (
            self.ports.store.clone(),
            self.ports.mailer.clone(),
            self.policy.recovery_throttle.clone(),
        );
        let (token, url, lifetime) =
            (self.new_token(), self.policy.public_url.clone(), self.policy.recovery_lifetime);
        Box::pin(async move {
            if let Some(address) = address
                && let Err(fault) = count_request(&*store, &throttle, address, now).await
            {
                if let Fault::TooMany { retry_after } = fault {
                    turn.refuse(now, retry_after);
                }
                return;
            }
            let key = match &identifier {
                RecoveryIdentifier::Email(email) => AccountKey::Email(email),
                RecoveryIdentifier::Login(login) => AccountKey::Login(login),
            };
            let user = match find_account(&*store, key).await {
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
            if count_mail(&*store, &throttle, user.id, now).await.is_err() {
                return;
            }
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
                body: mail_body(&token, &url, lifetime),
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
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Answer, Fault> {
        self.check_new_password(password)?;
        // Hashing costs a quarter of a second, so an invalid token is refused before it.
        if !self.is_recovery_token_valid(token).await? {
            return Err(Fault::Unauthenticated);
        }
        let origin = HashOrigin::new(HashClass::Login, address);
        let password_hash =
            self.ports.passwords.hash(password, origin).await.map_err(password_fault)?;
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

/// Counts a request from an address, whether or not there is such an account.
async fn count_request(
    store: &dyn Store,
    throttle: &ThrottlePolicy,
    address: IpAddr,
    now: Timestamp,
) -> Result<(), Fault> {
    let limit = CounterLimit {
        key: counter_key(&["recovery", "address", &address_group(address).to_string()]),
        most: throttle.max_per_address,
        subject: "requests for recovery from one address",
    };
    count_event(store, &[limit], throttle.window, now).await
}

/// Counts a mail to an account.
async fn count_mail(
    store: &dyn Store,
    throttle: &ThrottlePolicy,
    user: UserId,
    now: Timestamp,
) -> Result<(), Fault> {
    // The account's own limit comes first: one account must not use up the limit of all.
    let account = CounterLimit {
        key: counter_key(&["recovery", "account", &user.to_string()]),
        most: 1,
        subject: "recovery mails to one account in a minute",
    };
    count_event(store, &[account], MAIL_INTERVAL, now).await?;
    let all = CounterLimit {
        key: counter_key(&["recovery", "all"]),
        most: throttle.max_in_all,
        subject: "recovery mails in all",
    };
    count_event(store, &[all], throttle.window, now).await
}

fn mail_body(token: &Secret, url: &str, lifetime: Duration) -> String {
    let (minutes, token) = (lifetime.as_secs() / 60, token.expose());
    format!(
        "A new password was requested for the account with this address.\n\n\
         To choose one, open this page within {minutes} minutes:\n\n\
         {url}/recover?token={token}\n\n\
         If you did not request it, do nothing: the password stays as it is.\n"
    )
}
