//! Users.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tolmach_domain as domain;
use tolmach_domain::InvalidId;

#[derive(Serialize, Deserialize)]
pub(super) struct UserSummary<'a> {
    id: i64,
    #[serde(borrow)]
    login: Cow<'a, str>,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl<'a> From<&'a domain::UserSummary> for UserSummary<'a> {
    fn from(user: &'a domain::UserSummary) -> Self {
        Self {
            id: user.id.get(),
            login: (&*user.login).into(),
            username: (&*user.username).into(),
            name: (&*user.name).into(),
        }
    }
}

impl TryFrom<UserSummary<'_>> for domain::UserSummary {
    type Error = InvalidId;

    fn try_from(user: UserSummary<'_>) -> Result<Self, InvalidId> {
        Ok(Self {
            id: user.id.try_into()?,
            login: user.login.into(),
            username: user.username.into(),
            name: user.name.into(),
        })
    }
}
