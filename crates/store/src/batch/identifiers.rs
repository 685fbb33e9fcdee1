//! The identifiers of users: logins and e-mail addresses, which are one namespace, and the looks of
//! logins. Each belongs to one user by a unique key, so that two nodes cannot give it out at once.

use super::transaction::Batch;
use crate::rows::{EXACT, LOOK};
use crate::sql::{self, get};
use sea_orm::Value;
use std::collections::BTreeSet;
use tolmach_domain::{Fault, UserId};
use tolmach_engine::ports::StoreError;
use tolmach_engine::{IMITATION, case_folded, look_alikes};

/// Identifiers, each with its form.
pub(super) struct Identifiers(BTreeSet<(i64, String)>);

impl Identifiers {
    /// The identifiers of a login and an e-mail address.
    pub(super) fn of(login: Option<&str>, email: Option<&str>) -> Self {
        let exact = login.into_iter().chain(email).map(|text| (EXACT, case_folded(text)));
        let looks = login.into_iter().flat_map(look_alikes).map(|look| (LOOK, look));
        Self(exact.chain(looks).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &str)> {
        self.0.iter().map(|(form, key)| (*form, key.as_str()))
    }
}

impl Batch {
    /// [`Fault::LoginTaken`] if one of the identifiers belongs to a user other than `user`.
    pub(super) async fn check_identifiers(
        &self,
        identifiers: &Identifiers,
        user: Option<UserId>,
    ) -> Result<(), StoreError> {
        for (form, key) in identifiers.iter() {
            if self.belongs_to_another(form, key, user).await? {
                return Err(Fault::LoginTaken.into());
            }
        }
        Ok(())
    }

    /// [`Fault::Invalid`] if a display name looks like the login of a user other than `user`, whose
    /// own login is `login`.
    pub(super) async fn check_display_name(
        &self,
        field: &'static str,
        name: &str,
        login: &str,
        user: Option<UserId>,
    ) -> Result<(), StoreError> {
        let own = look_alikes(login);
        for look in look_alikes(name).difference(&own) {
            if self.belongs_to_another(LOOK, look, user).await? {
                return Err(Fault::invalid(field, IMITATION).into());
            }
        }
        Ok(())
    }

    /// Gives identifiers to a user. [`Fault::LoginTaken`] if another has one of them.
    pub(super) async fn take_identifiers(
        &self,
        identifiers: &Identifiers,
        user: UserId,
    ) -> Result<(), StoreError> {
        for (form, key) in identifiers.iter() {
            let values = vec![form.into(), key.into(), user.get().into()];
            if sql::execute(&self.transaction, sql::TAKE_IDENTIFIER, values).await? == 0 {
                return Err(Fault::LoginTaken.into());
            }
        }
        Ok(())
    }

    /// Frees the identifiers of a user but for those to keep.
    pub(super) async fn free_identifiers(
        &self,
        keep: &Identifiers,
        user: UserId,
    ) -> Result<(), StoreError> {
        let of_user = vec![user.get().into()];
        for row in sql::rows(&self.transaction, sql::IDENTIFIERS_OF_USER, of_user).await? {
            let identifier: (i64, String) = (get(&row, "form")?, get(&row, "name_key")?);
            if !keep.0.contains(&identifier) {
                let values = vec![identifier.0.into(), identifier.1.into()];
                sql::execute(&self.transaction, sql::FREE_IDENTIFIER, values).await?;
            }
        }
        Ok(())
    }

    async fn belongs_to_another(
        &self,
        form: i64,
        key: &str,
        user: Option<UserId>,
    ) -> Result<bool, StoreError> {
        let values = vec![Value::from(form), key.into()];
        let owner = sql::row(&self.transaction, sql::OWNER_OF_IDENTIFIER, values).await?;
        let owner = owner.map(|row| get::<i64>(&row, "user_id")).transpose()?;
        Ok(owner.is_some_and(|owner| user.is_none_or(|user| user.get() != owner)))
    }
}
