//! Accounts and profiles.

use super::StoreError;
use async_trait::async_trait;
use tolmach_domain::{PhotoKey, Timestamp, User, UserId};

/// The accounts of a [`Store`](super::Store). The users that its methods return have no avatar,
/// which may be large: [`avatar`](Self::avatar) alone reads it.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Creates an account.
    ///
    /// - [`Fault::LoginTaken`](tolmach_domain::Fault::LoginTaken) if its login or e-mail address is
    ///   the login or the address of another (a login also of a deleted account), if its login
    ///   [looks like](crate::look_alikes) another's, or if its id is taken.
    /// - [`Fault::Invalid`](tolmach_domain::Fault::Invalid) if it has a profile and its username or
    ///   name looks like the login of another and not like its own.
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<User, StoreError>;

    /// The user with this id, deleted or not.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The avatar of a user; see [`User::avatar`].
    async fn avatar(&self, id: UserId) -> Result<Option<String>, StoreError>;

    /// The account with this login or e-mail, unless deleted.
    async fn account(&self, key: AccountKey<'_>) -> Result<Option<Account>, StoreError>;

    /// Changes the fields that are `Some`.
    ///
    /// - [`Fault::NoSuchUser`](tolmach_domain::Fault::NoSuchUser),
    ///   [`Fault::LoginTaken`](tolmach_domain::Fault::LoginTaken), and
    ///   [`Fault::Invalid`](tolmach_domain::Fault::Invalid) for new names as at creation.
    /// - A new password removes all recovery tokens of the user.
    /// - A new password, and the loss of the administrator's right, end all sessions:
    ///   [`EventKind::SessionsEnded`](tolmach_domain::EventKind::SessionsEnded).
    async fn update_user(
        &self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError>;

    /// Replaces the hash of a password by another one of the same password, which ends no session,
    /// and returns true; false if the account has another hash by now.
    async fn replace_password_hash(
        &self,
        id: UserId,
        hash: &str,
        replacement: &str,
    ) -> Result<bool, StoreError>;

    /// Deletes an account: erases its password, e-mail and phone, ends its sessions, removes it
    /// from its flows, the ones it owns included. Its login stays reserved; its messages stay.
    async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<(), StoreError>;

    /// Erases the profile of a user, deleted or not: the username and the name become the login,
    /// and the bio, the avatar and the photo are removed. `NoSuchUser` if there is none.
    async fn erase_profile(&self, id: UserId, now: Timestamp) -> Result<(), StoreError>;

    /// Users that are not deleted whose login contains `query` without regard to case, ordered by
    /// login. A login with `@` is an e-mail address and is not found.
    async fn search_users(&self, query: &str, limit: u32) -> Result<Vec<User>, StoreError>;

    /// Users that are not deleted with an id above `after`, ordered by id.
    async fn list_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError>;
}

/// The identifier of an account at login.
#[derive(Debug, Clone, Copy)]
pub enum AccountKey<'a> {
    /// A login.
    Login(&'a str),
    /// An e-mail address.
    Email(&'a str),
    /// A login; if no account has it, an e-mail address.
    Either(&'a str),
}

/// A user with the hash of their password.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user.
    pub user: User,
    /// A hash of the password, see [`Passwords`](super::Passwords); `None` for an account whose
    /// tokens another issuer signs.
    pub password_hash: Option<String>,
}

/// An account to create.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The id that a token of another issuer names; `None` takes the next one.
    pub id: Option<UserId>,
    /// See [`User::login`].
    pub login: String,
    /// See [`User::username`].
    pub username: String,
    /// See [`User::name`].
    pub name: String,
    /// See [`User::email`].
    pub email: Option<String>,
    /// See [`User::phone`].
    pub phone: Option<String>,
    /// See [`User::bio`].
    pub bio: String,
    /// See [`User::avatar`].
    pub avatar: Option<String>,
    /// See [`User::photo`].
    pub photo: Option<PhotoKey>,
    /// See [`User::bot`].
    pub bot: bool,
    /// See [`User::admin`].
    pub admin: bool,
    /// See [`User::business`].
    pub business: bool,
    /// See [`User::profile`].
    pub profile: bool,
    /// See [`Account::password_hash`].
    pub password_hash: Option<String>,
}

impl NewUser {
    /// An account with a profile, no password and no rights, whose names are its login.
    pub fn named(login: impl Into<String>) -> Self {
        let login = login.into();
        Self {
            id: None,
            username: login.clone(),
            name: login.clone(),
            login,
            email: None,
            phone: None,
            bio: String::new(),
            avatar: None,
            photo: None,
            bot: false,
            admin: false,
            business: false,
            profile: true,
            password_hash: None,
        }
    }
}

/// A change to a user: the fields that are `Some` get this value.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// See [`User::login`].
    pub login: Option<String>,
    /// See [`User::username`].
    pub username: Option<String>,
    /// See [`User::name`].
    pub name: Option<String>,
    /// See [`User::email`].
    pub email: Option<String>,
    /// See [`User::bio`].
    pub bio: Option<String>,
    /// See [`User::photo`].
    pub photo: Option<PhotoKey>,
    /// See [`User::admin`].
    pub admin: Option<bool>,
    /// See [`User::business`].
    pub business: Option<bool>,
    /// See [`User::profile`].
    pub profile: Option<bool>,
    /// See [`Account::password_hash`].
    pub password_hash: Option<String>,
}
