//! Users.

use crate::{PhotoKey, Secret, Timestamp, UserId};
use std::sync::Arc;

/// A user's account and profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The login, unique without regard to case.
    pub login: String,
    /// The name that others see; not unique.
    pub username: String,
    /// The full name.
    pub name: String,
    /// The e-mail address, unique without regard to case.
    pub email: Option<String>,
    /// The telephone number, as given.
    pub phone: Option<String>,
    /// The description.
    pub bio: String,
    /// A small picture as a string that the client encoded, stored byte for byte. Only the caller's
    /// own record has it.
    pub avatar: Option<String>,
    /// The uploaded photo.
    pub photo: Option<PhotoKey>,
    /// True for a program rather than a person.
    pub bot: bool,
    /// True if the user may act as administrator.
    pub admin: bool,
    /// True if the account has the business tariff.
    pub business: bool,
    /// True if the profile (username and name) was filled in; false for an account that was created
    /// with an e-mail only.
    pub profile: bool,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The commit time of the last change to the record.
    pub changed_at: Timestamp,
    /// The time of the deletion. The messages stay.
    pub deleted_at: Option<Timestamp>,
}

impl User {
    /// A user with one name and without the fields that a client may not know.
    pub fn named(id: UserId, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            id,
            login: name.clone(),
            username: name.clone(),
            name,
            email: None,
            phone: None,
            bio: String::new(),
            avatar: None,
            photo: None,
            bot: false,
            admin: false,
            business: false,
            profile: true,
            created_at: Timestamp::default(),
            changed_at: Timestamp::default(),
            deleted_at: None,
        }
    }

    /// Removes the contact data: the e-mail address, the telephone number, and the address where it
    /// is the login or a name too, of which the part before the `@` is left.
    pub fn remove_contacts(&mut self) {
        self.phone = None;
        let Some(email) = self.email.take() else { return };
        for name in [&mut self.login, &mut self.username, &mut self.name] {
            if is_same_address(name, &email)
                && let Some(at) = name.find('@')
            {
                name.truncate(at);
            }
        }
    }

    /// True if the login or a name is the e-mail address.
    pub fn is_named_by_address(&self) -> bool {
        let names = [&self.login, &self.username, &self.name];
        self.email
            .as_ref()
            .is_some_and(|email| names.into_iter().any(|name| is_same_address(name, email)))
    }

    /// The summary of the user.
    pub fn summary(&self) -> UserSummary {
        UserSummary {
            id: self.id,
            login: self.login.as_str().into(),
            username: self.username.as_str().into(),
            name: self.name.as_str().into(),
        }
    }
}

fn is_same_address(name: &str, email: &str) -> bool {
    name.contains('@') && name.to_lowercase() == email.to_lowercase()
}

/// The part of a user that others see, such as of an author or a member. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSummary {
    /// The id.
    pub id: UserId,
    /// The login.
    pub login: Arc<str>,
    /// The name that others see.
    pub username: Arc<str>,
    /// The full name.
    pub name: Arc<str>,
}

impl UserSummary {
    /// A user with one name and without the fields that a client may not know.
    pub fn named(id: UserId, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        Self { id, login: name.clone(), username: name.clone(), name }
    }
}

/// A reference to a user in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// The caller.
    Me,
    /// By id.
    Id(UserId),
    /// By login.
    Login(String),
}

/// The kind of tokens that a login issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantKind {
    /// None; no session is opened.
    Nothing,
    /// None; the session is bound to the connection.
    Connection,
    /// One opaque token.
    Token,
    /// A signed access token and a single-use refresh token.
    Pair,
}

/// The result of a login, a registration or a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The user; `None` on a client whose wire does not name them.
    pub user: Option<Box<User>>,
    /// The tokens.
    pub tokens: Tokens,
}

/// The tokens of a [`Grant`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tokens {
    /// None: no session was opened.
    Nothing,
    /// None: the session is bound to the connection.
    Connection,
    /// An opaque token.
    Token(Secret),
    /// A signed access token and a refresh token.
    Pair {
        /// The access token, a JWT.
        access: Secret,
        /// The refresh token; single use.
        refresh: Secret,
    },
}
