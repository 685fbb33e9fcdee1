//! Accounts: registration, changes and deletion.

use crate::account_lookup::find_account;
use crate::address_group::address_group;
use crate::counter_limits::{CounterLimit, count_event, counter_key};
use crate::faults::{password_fault, store_fault};
use crate::limits::{
    INFO_LIMIT, LOGIN_LIMIT, PASSWORD_LIMIT, case_folded, check_email, check_line, check_storable,
    check_text,
};
use crate::names::{check_display_name, enforce_login, normalized_login};
use crate::ports::{AccountKey, HashClass, HashOrigin, NewUser, UserChange};
use crate::{Engine, Principal};
use std::net::IpAddr;
use tolmach_domain::{Answer, Fault, Registration, Secret, Timestamp, User, UserId};

/// The largest avatar, in bytes of the client's encoding.
const AVATAR_LIMIT: usize = 1 << 20;

impl Engine {
    pub(crate) async fn register(
        &self,
        registration: Registration,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(Answer, Option<Principal>), Fault> {
        if !self.policy.registration {
            return Err(Fault::invalid("registration", "is closed on this server"));
        }
        let grant = registration.grant;
        let (user, password) = self.new_user(registration)?;
        self.count_registration(address, now).await?;
        let origin = HashOrigin::new(HashClass::Registration, address);
        let user = self.store_account(user, &password, origin, now).await?;
        self.grant(user, grant, now).await
    }

    /// Counts an attempt to take a login, whether or not it succeeds, because the response tells if
    /// the login exists. [`Fault::TooMany`] beyond the limits.
    pub(crate) async fn count_registration(
        &self,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let throttle = &self.policy.registration_throttle;
        let of_address = address.map(|address| CounterLimit {
            key: counter_key(&["registration", "address", &address_group(address).to_string()]),
            most: throttle.max_per_address,
            subject: "registrations from one address",
        });
        let in_all = CounterLimit {
            key: counter_key(&["registration", "all"]),
            most: throttle.max_in_all,
            subject: "registrations in all",
        };
        let limits: Vec<_> = of_address.into_iter().chain([in_all]).collect();
        count_event(&*self.ports.store, &limits, throttle.window, now).await
    }

    /// Creates an account without logging in, also where registration is closed: for operators.
    pub async fn create_account(
        &self,
        registration: Registration,
        now: Timestamp,
    ) -> Result<User, Fault> {
        let (user, password) = self.new_user(registration)?;
        let origin = HashOrigin::new(HashClass::Registration, None);
        self.store_account(user, &password, origin, now).await
    }

    async fn store_account(
        &self,
        mut user: NewUser,
        password: &Secret,
        origin: HashOrigin,
        now: Timestamp,
    ) -> Result<User, Fault> {
        let hash = self.ports.passwords.hash(password, origin).await.map_err(password_fault)?;
        user.password_hash = Some(hash);
        self.ports.store.create_user(user, now).await.map_err(store_fault)
    }

    /// The account that a registration asks for, without its password, and the password.
    fn new_user(&self, registration: Registration) -> Result<(NewUser, Secret), Fault> {
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
        let typed = login
            .or_else(|| email.clone())
            .ok_or_else(|| Fault::invalid("login", "a login or an e-mail is needed"))?;
        let login = enforce_login("login", &typed)?;
        check_login_is_own("login", &login, email.as_deref())?;
        // Others see the username, and are not to see an address in it.
        let username = username.filter(|username| *username != typed).unwrap_or_else(|| {
            login.split_once('@').map_or(&*login, |(local, _)| local).to_owned()
        });
        check_display_name("username", &username, LOGIN_LIMIT)?;
        if let Some(phone) = &phone {
            check_line("phone", phone, LOGIN_LIMIT)?;
        }
        check_text("bio", bio.as_deref().unwrap_or_default(), INFO_LIMIT)?;
        check_storable("avatar", avatar.as_deref().unwrap_or_default())?;
        if avatar.as_ref().is_some_and(|avatar| avatar.len() > AVATAR_LIMIT) {
            return Err(Fault::invalid("avatar", "must have at most 1 MiB"));
        }
        self.check_new_password(&password)?;
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
            password_hash: None,
        };
        Ok((user, password))
    }

    /// Changes an account: for operators. A login that is the account's e-mail address changes with
    /// it.
    pub async fn change_account(
        &self,
        user: UserId,
        mut change: UserChange,
        password: Option<&Secret>,
        now: Timestamp,
    ) -> Result<User, Fault> {
        if let Some(password) = password {
            self.check_new_password(password)?;
            let origin = HashOrigin::new(HashClass::Login, None);
            change.password_hash =
                Some(self.ports.passwords.hash(password, origin).await.map_err(password_fault)?);
        }
        if let Some(email) = &change.email {
            check_email(email)?;
            let old = self.ports.store.user(user).await.map_err(store_fault)?;
            if old.is_some_and(|old| is_own_email(&old.login, old.email.as_deref())) {
                change.login = Some(enforce_login("email", email)?);
            }
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
        // In steps, because there may be many: the deletion itself finds few that are left.
        self.forget_in_ledger(user.id).await.map_err(store_fault)?;
        self.ports.store.delete_user(user.id, now).await.map_err(store_fault)?;
        self.invalidate_user(user.id);
        self.sessions.invalidate_all();
        if let Some(photo) = user.photo {
            self.discard_photo(&photo).await;
        }
        Ok(())
    }

    /// The account with this login or e-mail address; [`Fault::NoSuchUser`] if there is none.
    pub async fn account(&self, login: &str) -> Result<User, Fault> {
        let key = AccountKey::Either(login);
        let account = find_account(&*self.ports.store, key).await.map_err(store_fault)?;
        account.map(|account| account.user).ok_or(Fault::NoSuchUser)
    }

    /// The accounts with an id above `after`, ordered by id, at most `limit` of them: for
    /// operators.
    pub async fn accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, Fault> {
        self.ports.store.list_users(after, limit).await.map_err(store_fault)
    }
}

/// Refuses a login with `@` that is not the account's own e-mail address: logins and addresses are
/// one namespace, and a login never takes the address of another account.
pub(crate) fn check_login_is_own(
    field: &'static str,
    login: &str,
    email: Option<&str>,
) -> Result<(), Fault> {
    if login.contains('@') && !is_own_email(login, email) {
        return Err(Fault::invalid(field, "may have @ only as the account's own e-mail address"));
    }
    Ok(())
}

/// True if a login is this e-mail address.
pub(crate) fn is_own_email(login: &str, email: Option<&str>) -> bool {
    let Some(email) = email else { return false };
    let login = case_folded(login);
    login == case_folded(email)
        || normalized_login(email).is_some_and(|email| login == case_folded(&email))
}
