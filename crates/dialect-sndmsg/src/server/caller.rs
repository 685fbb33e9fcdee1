//! The user of a connection.

use crate::wire::same_login;
use tolmach_domain::User;

/// The user who has logged in on a connection.
pub(super) struct Caller {
    /// The user's login.
    pub(super) login: String,
    /// The login or e-mail address that the user logged in with.
    identifier: String,
}

impl Caller {
    /// The user that a login granted, or one of whom only the identifier is known.
    pub(super) fn new(user: Option<&User>, identifier: String) -> Self {
        let login = user.map_or_else(|| identifier.clone(), |user| user.login.clone());
        Self { login, identifier }
    }

    /// True if the user has this name in requests.
    pub(super) fn is_named(&self, name: &str) -> bool {
        same_login(name, &self.login) || same_login(name, &self.identifier)
    }
}
