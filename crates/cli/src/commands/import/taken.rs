//! Fields of users whose values others have: such users are refused.

use std::collections::HashMap;
use tolmach_domain::{Fault, UserId};
use tolmach_engine::Engine;
use tolmach_engine::ports::{IdentifierOwner, ImportUser, Imported, NewUser, StoreError};

/// A field of a user whose value another one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// The path of the field.
    pub(super) field: &'static str,
    pub(super) reason: &'static str,
}

/// The users to whom logins and e-mail addresses belong, and those whose logins look like them.
pub(super) struct Owners(HashMap<String, Vec<IdentifierOwner>>);

impl Owners {
    pub(super) async fn read(engine: &Engine, identifiers: &[String]) -> Result<Self, StoreError> {
        let mut owners: HashMap<String, Vec<IdentifierOwner>> = HashMap::new();
        for owner in engine.identifier_owners(identifiers).await? {
            owners.entry(owner.identifier.clone()).or_default().push(owner);
        }
        Ok(Self(owners))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &IdentifierOwner> {
        self.0.values().flatten()
    }

    /// Those who have the login or a similar one, or the address.
    pub(super) fn of(&self, account: &NewUser) -> impl Iterator<Item = &IdentifierOwner> {
        self.of_login(account).iter().chain(self.of_email(account))
    }

    /// The field for which a user is refused.
    pub(super) fn taken(&self, account: &NewUser) -> Taken {
        let login = |reason| Taken { field: "user.login", reason };
        if self.of_login(account).iter().any(|owner| owner.is_exact) {
            login("another user has the login")
        } else if self.of_email(account).next().is_some() {
            Taken { field: "user.email", reason: "another user has the e-mail address" }
        } else {
            login("the login looks like that of another user")
        }
    }

    fn of_login(&self, account: &NewUser) -> &[IdentifierOwner] {
        self.0.get(&account.login).map(Vec::as_slice).unwrap_or_default()
    }

    fn of_email(&self, account: &NewUser) -> impl Iterator<Item = &IdentifierOwner> {
        let owners = account.email.as_ref().and_then(|email| self.0.get(email));
        owners.into_iter().flatten().filter(|owner| owner.is_exact)
    }
}

/// The fields for which users of a chunk are refused, by the indices of the users.
pub(super) async fn taken(
    engine: &Engine,
    users: &[ImportUser],
    outcomes: &[Imported<UserId>],
) -> Result<HashMap<usize, Taken>, StoreError> {
    let outcomes = users.iter().zip(outcomes).enumerate();
    let refused: Vec<_> = outcomes
        .filter(|(_, (_, outcome))| is_taken(outcome))
        .map(|(index, (user, _))| (index, user))
        .collect();
    if refused.is_empty() {
        return Ok(HashMap::new());
    }
    let owners = Owners::read(engine, &identifiers(refused.iter().map(|(_, user)| *user))).await?;
    Ok(refused.into_iter().map(|(index, user)| (index, owners.taken(&user.account))).collect())
}

/// True if a user was refused because of what another one has.
pub(super) fn is_taken<T>(outcome: &Imported<T>) -> bool {
    matches!(outcome, Imported::Refused(Fault::LoginTaken))
}

/// The logins and e-mail addresses of users; of one who is deleted, the login.
pub(super) fn identifiers<'a>(users: impl Iterator<Item = &'a ImportUser>) -> Vec<String> {
    let of_user = |user: &'a ImportUser| {
        let email = user.account.email.clone().filter(|_| user.deleted_at.is_none());
        [Some(user.account.login.clone()), email].into_iter().flatten()
    };
    users.flat_map(of_user).collect()
}
