//! Parts of requests: accounts, flows and messages to create.

use crate::{Content, FlowId, FlowKind, FlowKindFilter, GrantKind, Photo, Secret, UserId};

/// The identifier of an account to recover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryIdentifier {
    /// Its e-mail address.
    Email(String),
    /// Its login.
    Login(String),
}

/// The identifier of an account at login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginIdentifier {
    /// A login; if no account has it, an e-mail address.
    Any(String),
    /// An e-mail address.
    Email(String),
}

impl LoginIdentifier {
    /// The login or the address.
    pub fn as_str(&self) -> &str {
        let (Self::Any(text) | Self::Email(text)) = self;
        text
    }
}

/// [`LoginIdentifier::Any`]
impl From<String> for LoginIdentifier {
    fn from(text: String) -> Self {
        Self::Any(text)
    }
}

/// [`LoginIdentifier::Any`]
impl From<&str> for LoginIdentifier {
    fn from(text: &str) -> Self {
        Self::Any(text.to_owned())
    }
}

/// A new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The login; `None` takes the e-mail.
    pub login: Option<String>,
    /// The password.
    pub password: Secret,
    /// The name that others see; `None` takes the login.
    pub username: Option<String>,
    /// Contact address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// True for a program rather than a person.
    pub bot: bool,
    /// About the user.
    pub bio: Option<String>,
    /// A small picture, encoded by the client.
    pub avatar: Option<String>,
    /// True if this is the whole profile; false if a [`Profile`] follows.
    pub profile: bool,
    /// The kind of tokens to issue.
    pub grant: GrantKind,
}

impl Registration {
    /// An account with a whole profile of which only the login is known, which is also the name
    /// that others see.
    pub fn new(login: impl Into<String>, password: Secret, grant: GrantKind) -> Self {
        let login = login.into();
        Self {
            login: Some(login.clone()),
            password,
            username: Some(login),
            email: None,
            phone: None,
            bot: false,
            bio: None,
            avatar: None,
            profile: true,
            grant,
        }
    }
}

/// A profile to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name that others see.
    pub username: String,
    /// The full name.
    pub name: String,
    /// About the user.
    pub bio: String,
    /// The photo.
    pub photo: Option<Photo>,
}

/// The user or flow that a photo belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoOf {
    /// The photo of a user.
    User(UserId),
    /// The photo of a flow; only its members may read it.
    Flow(FlowId),
}

/// A group or channel to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFlow {
    /// The kind. [`FlowKind::Chat`] is the chat with the one member beside the caller, as
    /// [`crate::Command::OpenChat`] opens it: only the members count.
    pub kind: FlowKind,
    /// Its title.
    pub title: String,
    /// Its description.
    pub info: String,
    /// Its first members beside the caller; the caller and repetitions are ignored.
    pub members: Vec<UserId>,
    /// Its photo.
    pub photo: Option<Photo>,
    /// An idempotency key of 1 to 255 characters: a second request of the same owner with the same
    /// key within the window creates nothing and is answered with the first one's flow.
    pub key: Option<String>,
}

/// A message to post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The flow.
    pub flow: FlowId,
    /// The kinds of flow that the request accepts; another is [`crate::Fault::WrongKind`].
    pub kinds: FlowKindFilter,
    /// The content.
    pub content: Content,
    /// An idempotency key: a second message of the same author with the same key within the window
    /// is not stored; the answer has the first one.
    pub key: Option<String>,
}
