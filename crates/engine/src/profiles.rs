//! Profiles, and reading users.

use crate::Engine;
use crate::caller::Caller;
use crate::faults::store_fault;
use crate::limits::{INFO_LIMIT, LOGIN_LIMIT, NAME_LIMIT, SEARCH_LIMIT, check_name, check_text};
use crate::ports::{AccountKey, NewUser, UserChange};
use tolmach_domain::{Answer, Fault, Profile, Timestamp, User, UserId, UserRef};

impl Engine {
    pub(crate) async fn create_profile(
        &self,
        caller: UserId,
        profile: Profile,
        now: Timestamp,
    ) -> Result<Answer, Fault> {
        let Profile { username, name, bio, photo } = profile;
        check_name("username", &username, LOGIN_LIMIT)?;
        check_name("name", &name, NAME_LIMIT)?;
        check_text("description", &bio, INFO_LIMIT)?;
        let existing = self.cached_user(caller).await?;
        if existing.as_ref().is_some_and(|user| user.profile) {
            return Err(Fault::ProfileExists);
        }
        let photo = self.store_photo(photo).await?;
        let stored = match existing {
            // An account whose login is its e-mail gets the chosen username as its login.
            Some(user) => {
                let by_email = user
                    .email
                    .as_ref()
                    .is_some_and(|email| email.to_lowercase() == user.login.to_lowercase());
                let login = by_email.then(|| username.clone());
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
        Ok(Answer::User(Box::new(self.named(caller, user).await?)))
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
                let account = self
                    .ports
                    .store
                    .account(AccountKey::Login(&login))
                    .await
                    .map_err(store_fault)?;
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
