//! Users.

use crate::{PhotoKey, Secret, Timestamp, UserId};
use std::sync::Arc;

/// A user's account and profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// What the user logs in with: unique without regard to case.
    pub login: String,
    /// The name that others see; not unique.
    pub username: String,
    /// The full name.
    pub name: String,
    /// Contact address: unique without regard to case where present.
    pub email: Option<String>,
    /// Telephone number, as given.
    pub phone: Option<String>,
    /// About the user.
    pub bio: String,
    /// A small picture as a string that the client encoded, kept byte for byte.
    pub avatar: Option<String>,
    /// The uploaded photo.
    pub photo: Option<PhotoKey>,
    /// A program rather than a person.
    pub bot: bool,
    /// May act as administrator.
    pub admin: bool,
    /// Has the business tariff.
    pub business: bool,
    /// Whether the profile (username and name) was filled in: an account made with an e-mail only
    /// has none yet.
    pub profile: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub changed_at: Timestamp,
    /// When the account was deleted. Its messages stay.
    pub deleted_at: Option<Timestamp>,
}

impl User {
    /// A user of whom only the id and one name are known.
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

    /// The user as others see it.
    pub fn summary(&self) -> UserSummary {
        UserSummary {
            id: self.id,
            login: self.login.as_str().into(),
            username: self.username.as_str().into(),
            name: self.name.as_str().into(),
        }
    }
}

/// A user as others see it: an author, a member. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSummary {
    /// Who.
    pub id: UserId,
    /// The login.
    pub login: Arc<str>,
    /// The name that others see.
    pub username: Arc<str>,
    /// The full name.
    pub name: Arc<str>,
}

impl UserSummary {
    /// A user of whom only the id and one name are known.
    pub fn named(id: UserId, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        Self { id, login: name.clone(), username: name.clone(), name }
    }
}

/// Names a user in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// The one who asks.
    Me,
    /// By id.
    Id(UserId),
    /// By login.
    Login(String),
}

/// What a login hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantKind {
    /// Nothing at all: nobody is logged in by it.
    Nothing,
    /// The connection itself is logged in.
    Connection,
    /// One opaque token.
    Token,
    /// A signed access token and a single-use refresh token.
    Pair,
}

/// What a login, a registration or a refresh handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who is logged in now; `None` where the wire that this was read from does not say.
    pub user: Option<Box<User>>,
    /// The tokens.
    pub tokens: Tokens,
}

/// The tokens of a [`Grant`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tokens {
    /// Nobody was logged in.
    Nothing,
    /// The connection is bound; there is nothing to hand out.
    Connection,
    /// An opaque token.
    Token(Secret),
    /// A signed access token and a refresh token.
    Pair {
        /// The JWT.
        access: Secret,
        /// Single use.
        refresh: Secret,
    },
}
