//! Profiles, and reading users.

use crate::Engine;
use crate::account_lookup::find_account;
use crate::accounts::{check_login_is_own, is_own_email};
use crate::caller::Caller;
use crate::faults::store_fault;
use crate::limits::{INFO_LIMIT, LOGIN_LIMIT, NAME_LIMIT, SEARCH_LIMIT, check_text};
use crate::names::{check_display_name, enforce_login};
use crate::ports::{AccountKey, NewUser, UserChange};
use std::net::IpAddr;
use tolmach_domain::{Answer, Fault, Profile, Timestamp, User, UserId, UserRef};

impl Engine {
    pub(crate) async fn create_profile(
        &self,
        caller: UserId,
        profile: Profile,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Answer, Fault> {
        let Profile { mut username, name, bio, photo } = profile;
        check_display_name("username", &username, LOGIN_LIMIT)?;
        check_display_name("name", &name, NAME_LIMIT)?;
        check_text("description", &bio, INFO_LIMIT)?;
        let existing = self.cached_user(caller).await?;
        if existing.as_ref().is_some_and(|user| user.profile) {
            return Err(Fault::ProfileExists);
        }
        let email = existing.as_ref().and_then(|user| user.email.as_deref());
        // An account whose login is its e-mail gets the chosen username as its login, and so does
        // one that is created here.
        let takes_login =
            existing.as_ref().is_none_or(|user| is_own_email(&user.login, user.email.as_deref()));
        if takes_login {
            username = enforce_login("username", &username)?;
            check_login_is_own("username", &username, email)?;
            self.count_registration(address, now).await?;
        }
        let photo = self.store_photo(photo).await?;
        let stored = match existing {
            Some(_) => {
                let login = takes_login.then(|| username.clone());
                let change = UserChange {
                    login,
                    username: Some(username),
                    name: Some(name),
                    bio: Some(bio),
                    photo: photo.clone(),
                    profile: Some(true),
                    ..UserChange::default()
                };
                self.ports.store.update_user(caller, change, now).await
            }
            None => {
                let user = NewUser {
                    id: Some(caller),
                    login: username.clone(),
                    username,
                    name,
                    email: None,
                    phone: None,
                    bio,
                    avatar: None,
                    photo: photo.clone(),
                    bot: false,
                    admin: false,
                    business: false,
                    profile: true,
                    password_hash: None,
                };
                self.ports.store.create_user(user, now).await
            }
        };
        self.invalidate_user(caller);
        if let (Err(_), Some(photo)) = (&stored, &photo) {
            self.discard_photo(photo).await;
        }
        stored.map_err(store_fault)?;
        Ok(Answer::ProfileCreated)
    }

    pub(crate) async fn get_user(&self, caller: &Caller, user: UserRef) -> Result<Answer, Fault> {
        let mut user = self.named(caller, user).await?;
        if user.id == caller.user.id {
            user.avatar = self.ports.store.avatar(user.id).await.map_err(store_fault)?;
        }
        Ok(Answer::User(Box::new(user)))
    }

    /// The user that a request names, unless deleted.
    pub(crate) async fn named(&self, caller: &Caller, user: UserRef) -> Result<User, Fault> {
        match user {
            UserRef::Me => Ok(User::clone(&caller.user)),
            UserRef::Id(id) => {
                let user = self.cached_user(id).await?.filter(|user| user.deleted_at.is_none());
                user.map(|user| User::clone(&user)).ok_or(Fault::NoSuchUser)
            }
            UserRef::Login(login) => {
                let key = AccountKey::Login(&login);
                let account = find_account(&*self.ports.store, key).await.map_err(store_fault)?;
                account.map(|account| account.user).ok_or(Fault::NoSuchUser)
            }
        }
    }

    pub(crate) async fn search_users(&self, query: &str, limit: u32) -> Result<Answer, Fault> {
        if query.is_empty() {
            return Ok(Answer::Users(Vec::new()));
        }
        self.ports
            .store
            .search_users(query, limit.min(SEARCH_LIMIT))
            .await
            .map(Answer::Users)
            .map_err(store_fault)
    }
}
