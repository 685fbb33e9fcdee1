//! Accounts: registration, changes and deletion.

use crate::faults::{password_fault, store_fault};
use crate::limits::{
    INFO_LIMIT, LOGIN_LIMIT, PASSWORD_LIMIT, check_email, check_line, check_name, check_storable,
    check_text,
};
use crate::ports::{AccountKey, NewUser, UserChange};
use crate::{Engine, Principal};
use std::net::IpAddr;
use tolmach_domain::{Answer, Fault, Registration, Secret, Timestamp, User, UserId};

/// The largest avatar, in bytes of the client's encoding.
const AVATAR_LIMIT: usize = 1 << 20;

impl Engine {
    pub(crate) async fn register(
        &self,
        registration: Registration,
        now: Timestamp,
    ) -> Result<(Answer, Option<Principal>), Fault> {
        if !self.policy.registration {
            return Err(Fault::invalid("registration", "is closed on this server"));
        }
        let grant = registration.grant;
        let user = self.create_account(registration, now).await?;
        self.grant(user, grant, now).await
    }

    /// Creates an account without logging in, also where registration is closed: for operators.
    pub async fn create_account(
        &self,
        registration: Registration,
        now: Timestamp,
    ) -> Result<User, Fault> {
        let Registration {
            login,
            password,
            username,
            email,
            phone,
            bot,
            bio,
            avatar,
            profile,
            grant: _,
        } = registration;
        if let Some(email) = &email {
            check_email(email)?;
        }
        let login = login
            .or_else(|| email.clone())
            .ok_or_else(|| Fault::invalid("login", "a login or an e-mail is needed"))?;
        check_name("login", &login, LOGIN_LIMIT)?;
        let username = username.unwrap_or_else(|| login.clone());
        check_name("username", &username, LOGIN_LIMIT)?;
        if let Some(phone) = &phone {
            check_line("phone", phone, LOGIN_LIMIT)?;
        }
        check_text("bio", bio.as_deref().unwrap_or_default(), INFO_LIMIT)?;
        check_storable("avatar", avatar.as_deref().unwrap_or_default())?;
        if avatar.as_ref().is_some_and(|avatar| avatar.len() > AVATAR_LIMIT) {
            return Err(Fault::invalid("avatar", "must have at most 1 MiB"));
        }
        self.check_new_password(&password)?;
        let password_hash =
            Some(self.ports.passwords.hash(&password).await.map_err(password_fault)?);
        let user = NewUser {
            id: None,
            login,
            name: username.clone(),
            username,
            email,
            phone,
            bio: bio.unwrap_or_default(),
            avatar,
            photo: None,
            bot,
            admin: false,
            business: false,
            profile,
            password_hash,
        };
        self.ports.store.create_user(user, now).await.map_err(store_fault)
    }

    /// Changes an account: for operators.
    pub async fn change_account(
        &self,
        user: UserId,
        mut change: UserChange,
        password: Option<&Secret>,
        now: Timestamp,
    ) -> Result<User, Fault> {
        if let Some(password) = password {
            self.check_new_password(password)?;
            change.password_hash =
                Some(self.ports.passwords.hash(password).await.map_err(password_fault)?);
        }
        let changed = self.ports.store.update_user(user, change, now).await.map_err(store_fault)?;
        self.invalidate_user(user);
        self.sessions.invalidate_all();
        Ok(changed)
    }

    pub(crate) fn check_new_password(&self, password: &Secret) -> Result<(), Fault> {
        let (least, length) = (self.policy.min_password_bytes.max(1), password.expose().len());
        if (least..=PASSWORD_LIMIT).contains(&length) {
            return Ok(());
        }
        Err(Fault::invalid("password", format!("must have {least} to {PASSWORD_LIMIT} bytes")))
    }

    /// Deletes the account with this login and password. [`Fault::WrongCredentials`] if the caller
    /// is logged in to another account, or `id` is another account's.
    pub(crate) async fn delete_account(
        &self,
        caller: Option<UserId>,
        id: Option<UserId>,
        login: &str,
        password: &Secret,
        address: Option<IpAddr>,
    ) -> Result<Answer, Fault> {
        let permits = |user: &User| [caller, id].into_iter().flatten().all(|id| id == user.id);
        let key = AccountKey::Login(login);
        let user = self.check_password(key, password, address, permits).await?;
        let id = user.id;
        self.remove_account(user, self.now()).await?;
        Ok(Answer::AccountDeleted { user: id })
    }

    /// Deletes an account without its password: for operators.
    pub async fn remove_account(&self, user: User, now: Timestamp) -> Result<(), Fault> {
        self.ports.store.delete_user(user.id, now).await.map_err(store_fault)?;
        self.invalidate_user(user.id);
        self.sessions.invalidate_all();
        if let Some(photo) = user.photo {
            self.discard_photo(&photo).await;
        }
        Ok(())
    }

    /// The account with this login: for operators.
    pub async fn account(&self, login: &str) -> Result<User, Fault> {
        let account =
            self.ports.store.account(AccountKey::Either(login)).await.map_err(store_fault)?;
        account.map(|account| account.user).ok_or(Fault::NoSuchUser)
    }

    /// The accounts with an id above `after`, ordered by id, at most `limit` of them: for
    /// operators.
    pub async fn accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, Fault> {
        self.ports.store.list_users(after, limit).await.map_err(store_fault)
    }
}
