//! Accounts, profiles and photos.

use crate::authentication::hash_token;
use crate::engine::{Afterwards, Caller, refuse, refuse_password};
use crate::limits::{
    INFO_LIMIT, LOGIN_LIMIT, NAME_LIMIT, PASSWORD_LIMIT, SEARCH_LIMIT, check_email, check_line,
    check_name, check_storable, check_text,
};
use crate::ports::{AccountKey, Mail, NewUser, UserChange};
use crate::{Engine, Principal};
use std::net::IpAddr;
use tolmach_domain::{
    Answer, Fault, PHOTO_LIMIT, Photo, PhotoKey, PhotoOf, Profile, RecoveryIdentifier,
    Registration, Secret, Timestamp, User, UserId, UserRef,
};

/// The largest avatar that a client may encode, in bytes.
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

    /// Makes an account without logging in, also where registration is closed: for operators.
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
            Some(self.ports.passwords.hash(&password).await.map_err(refuse_password)?);
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
        self.ports.store.create_user(user, now).await.map_err(refuse)
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
                Some(self.ports.passwords.hash(password).await.map_err(refuse_password)?);
        }
        let changed = self.ports.store.update_user(user, change, now).await.map_err(refuse)?;
        self.forget(user);
        self.sessions.invalidate_all();
        Ok(changed)
    }

    fn check_new_password(&self, password: &Secret) -> Result<(), Fault> {
        let (least, length) = (self.policy.password_min.max(1), password.expose().len());
        if (least..=PASSWORD_LIMIT).contains(&length) {
            return Ok(());
        }
        Err(Fault::invalid("password", format!("must have {least} to {PASSWORD_LIMIT} bytes")))
    }

    pub(crate) async fn log_out(
        &self,
        principal: &Principal,
        login: Option<&str>,
        now: Timestamp,
    ) -> Result<Answer, Fault> {
        if let Some(login) = login {
            let user = self.person(principal.identity.user).await?.ok_or(Fault::Unauthenticated)?;
            let named = login.to_lowercase();
            if named != user.login.to_lowercase() && named != user.username.to_lowercase() {
                return Err(Fault::Unauthenticated);
            }
        }
        let session = principal.identity.session.ok_or_else(|| {
            Fault::invalid("token", "it was minted elsewhere and has to be ended there")
        })?;
        self.ports.store.end_session(session, now).await.map_err(refuse)?;
        self.sessions.invalidate(&session);
        Ok(Answer::LoggedOut)
    }

    /// Mails a recovery link if there is such an account and it has an address.
    pub(crate) fn recover(&self, known: RecoveryIdentifier, now: Timestamp) -> Afterwards {
        let (store, mailer, recently_mailed) =
            (self.ports.store.clone(), self.ports.mailer.clone(), self.recently_mailed.clone());
        let (token, url, lifetime) =
            (self.new_token(), self.policy.public_url.clone(), self.policy.recovery_lifetime);
        Box::pin(async move {
            let key = match &known {
                RecoveryIdentifier::Email(email) => AccountKey::Email(email),
                RecoveryIdentifier::Login(login) => AccountKey::Login(login),
            };
            let user = match store.account(key).await {
                Ok(account) => account.map(|account| account.user),
                Err(error) => {
                    return tracing::warn!(%error, "a recovery could not look up its account");
                }
            };
            let Some((user, email)) =
                user.and_then(|user| user.email.clone().map(|email| (user, email)))
            else {
                return;
            };
            if recently_mailed.contains_key(&user.id) {
                return tracing::info!(user = %user.id, "a recovery link was mailed less than a minute ago");
            }
            recently_mailed.insert(user.id, ());
            if let Err(error) =
                store.put_recovery(hash_token(&token), user.id, now.after(lifetime)).await
            {
                return tracing::warn!(%error, "a recovery link could not be kept");
            }
            let body = format!(
                "Somebody, hopefully you, asked to recover the account {}.\n\nTo choose a new password, open this page within {} minutes:\n\n{url}/recover?token={}\n\nIf it was not you, do nothing: the password stays as it is.\n",
                user.login,
                lifetime.as_secs() / 60,
                token.expose(),
            );
            match mailer
                .send(Mail { to: email, subject: "Recover your account".into(), body })
                .await
            {
                Ok(()) => tracing::info!(user = %user.id, "a recovery link was mailed"),
                Err(error) => {
                    tracing::error!(%error, user = %user.id, "a recovery link could not be mailed")
                }
            }
        })
    }

    /// Whether a recovery link can be used now.
    pub async fn recovery_is_open(&self, token: &Secret) -> Result<bool, Fault> {
        self.ports.store.recovery(hash_token(token), self.now()).await.map_err(refuse)
    }

    pub(crate) async fn reset_password(
        &self,
        token: &Secret,
        password: &Secret,
        now: Timestamp,
    ) -> Result<Answer, Fault> {
        self.check_new_password(password)?;
        // Hashing costs a quarter of a second: not for a token that nobody was given.
        if !self.recovery_is_open(token).await? {
            return Err(Fault::Unauthenticated);
        }
        let password_hash = self.ports.passwords.hash(password).await.map_err(refuse_password)?;
        let user = self
            .ports
            .store
            .recover(hash_token(token), password_hash, now)
            .await
            .map_err(refuse)?;
        self.forget(user.ok_or(Fault::Unauthenticated)?);
        self.sessions.invalidate_all();
        Ok(Answer::PasswordReset)
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

    /// Deletes an account, whose password nobody has to know: for operators.
    pub async fn remove_account(&self, user: User, now: Timestamp) -> Result<(), Fault> {
        self.ports.store.delete_user(user.id, now).await.map_err(refuse)?;
        self.forget(user.id);
        self.sessions.invalidate_all();
        if let Some(photo) = user.photo {
            self.discard_photo(&photo).await;
        }
        Ok(())
    }

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
        let known = self.person(caller).await?;
        if known.as_ref().is_some_and(|user| user.profile) {
            return Err(Fault::ProfileExists);
        }
        let photo = self.keep_photo(photo).await?;
        let made = match known {
            // An account that logs in by its e-mail gets the login that it chooses here.
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
        self.forget(caller);
        if let (Err(_), Some(photo)) = (&made, &photo) {
            self.discard_photo(photo).await;
        }
        made.map_err(refuse)?;
        Ok(Answer::ProfileCreated)
    }

    pub(crate) async fn get_user(&self, caller: &Caller, who: UserRef) -> Result<Answer, Fault> {
        Ok(Answer::User(Box::new(self.named(caller, who).await?)))
    }

    /// The user that a request names, unless deleted.
    pub(crate) async fn named(&self, caller: &Caller, who: UserRef) -> Result<User, Fault> {
        match who {
            UserRef::Me => Ok(User::clone(&caller.user)),
            UserRef::Id(id) => {
                let user = self.person(id).await?.filter(|user| user.deleted_at.is_none());
                user.map(|user| User::clone(&user)).ok_or(Fault::NoSuchUser)
            }
            UserRef::Login(login) => {
                let account =
                    self.ports.store.account(AccountKey::Login(&login)).await.map_err(refuse)?;
                account.map(|account| account.user).ok_or(Fault::NoSuchUser)
            }
        }
    }

    /// The account with this login: for operators.
    pub async fn account(&self, login: &str) -> Result<User, Fault> {
        let account = self.ports.store.account(AccountKey::Either(login)).await.map_err(refuse)?;
        account.map(|account| account.user).ok_or(Fault::NoSuchUser)
    }

    /// The accounts with an id above `after`, ordered by id, at most `limit` of them: for
    /// operators.
    pub async fn accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, Fault> {
        self.ports.store.list_users(after, limit).await.map_err(refuse)
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
            .map_err(refuse)
    }

    pub(crate) async fn get_photo(&self, caller: &Caller, of: PhotoOf) -> Result<Answer, Fault> {
        let photo = match of {
            PhotoOf::User(id) => self.named(caller, UserRef::Id(id)).await?.photo,
            PhotoOf::Flow(id) => {
                self.visible_flow(caller, id, tolmach_domain::FlowKindFilter::Any).await?.photo
            }
        };
        let PhotoKey { key, media_type } = photo.ok_or(Fault::NoPhoto)?;
        match self.ports.blobs.get(&key).await {
            Ok(Some(content)) => Ok(Answer::Photo(Photo { media_type, content })),
            Ok(None) => {
                tracing::error!(%key, "a photo is missing from the blob store");
                Err(Fault::NoPhoto)
            }
            Err(error) => {
                tracing::error!(%error, "a photo could not be read");
                Err(Fault::Unavailable)
            }
        }
    }

    /// Checks a photo by its content, whatever the upload calls it, and keeps it under a random
    /// key.
    pub(crate) async fn keep_photo(&self, photo: Option<Photo>) -> Result<Option<PhotoKey>, Fault> {
        let Some(photo) = photo else { return Ok(None) };
        if photo.content.len() > PHOTO_LIMIT {
            return Err(Fault::invalid("photo", "must have at most 5 MiB"));
        }
        let kind = infer::get(&photo.content)
            .filter(|kind| kind.matcher_type() == infer::MatcherType::Image);
        let media_type =
            kind.ok_or_else(|| Fault::invalid("photo", "is not an image"))?.mime_type().to_owned();
        let name = self.random_hex::<16>();
        let key = format!("{}/{name}", &name[..2]);
        self.ports.blobs.put(&key, photo.content).await.map_err(|error| {
            tracing::error!(%error, "a photo could not be kept");
            Fault::Unavailable
        })?;
        Ok(Some(PhotoKey { key, media_type }))
    }

    /// Forgets a photo that nothing names any more. A failure leaves a file too many, no more.
    pub(crate) async fn discard_photo(&self, photo: &PhotoKey) {
        if let Err(error) = self.ports.blobs.delete(&photo.key).await {
            tracing::warn!(%error, key = %photo.key, "a photo could not be deleted");
        }
    }
}
