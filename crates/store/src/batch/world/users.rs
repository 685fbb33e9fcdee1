//! Users.

use super::known::Source;
use super::records::Records;
use crate::batch::identifiers::Identifiers;
use crate::batch::transaction::Batch;
use crate::rows::{EXACT, LOOK, photo_columns, user_id};
use crate::sql::{self, get};
use sea_orm::Value;
use std::collections::HashSet;
use tolmach_domain::{Fault, ObjectKind, UserId};
use tolmach_engine::ports::{ImportNote, ImportUser, Imported, StoreError};
use tolmach_engine::{case_folded, look_alikes};

type Taken = HashSet<(i64, String)>;

impl Batch {
    pub(super) async fn import_users(
        &mut self,
        source: &mut Source,
        before: i64,
        users: Vec<ImportUser>,
    ) -> Result<Vec<Imported<UserId>>, StoreError> {
        let source_ids = users.iter().map(|user| user.source_id);
        let known = self.known(source, ObjectKind::User, source_ids).await?;
        let new = users.iter().filter(|user| !known.contains_key(&user.source_id));
        let mut taken = self.taken_identifiers(new).await?;
        let mut records = Records::new(users.len());
        for mut user in users {
            if let Some(id) = known.get(&user.source_id) {
                records.existing(*id);
                continue;
            }
            if records.repeats(user.source_id) {
                continue;
            }
            let identifiers = identifiers_of(&user);
            let own: Taken = identifiers.iter().map(|(form, key)| (form, key.to_owned())).collect();
            if !own.is_disjoint(&taken) {
                records.refuse(Fault::LoginTaken);
                continue;
            }
            let is_renamed = rename(&mut user, &taken);
            taken.extend(own);
            let note = is_renamed.then_some(ImportNote::Renamed);
            records.accept(user.source_id, user, note);
        }
        let taken = self.taken_ids(&sql::EXISTING_USERS, records.source_ids()).await?;
        let is_taken = |id| taken.contains(&id);
        let ids = self.new_ids(ObjectKind::User, before, records.source_ids(), is_taken).await?;
        let new = records.take_new();
        self.insert_users(&new, &ids).await?;
        let remembered = new.iter().map(|user| user.source_id).zip(ids.iter().copied());
        self.remember(source, ObjectKind::User, remembered).await?;
        records.outcomes(&ids, user_id)
    }

    /// Those of the identifiers and looks of users that others have.
    async fn taken_identifiers(
        &self,
        users: impl Iterator<Item = &ImportUser>,
    ) -> Result<Taken, StoreError> {
        let mut keys = Taken::new();
        for user in users {
            let identifiers = identifiers_of(user);
            keys.extend(identifiers.iter().map(|(form, key)| (form, key.to_owned())));
            for shown in [&user.account.username, &user.account.name] {
                keys.extend(look_alikes(shown).into_iter().map(|look| (LOOK, look)));
            }
        }
        let mut taken = Taken::new();
        for form in [EXACT, LOOK] {
            let of_form = keys.iter().filter(|(of, _)| *of == form);
            let of_form: Vec<Value> = of_form.map(|(_, key)| key.as_str().into()).collect();
            let query = &sql::TAKEN_IDENTIFIERS;
            for row in query.rows(&self.transaction, vec![form.into()], &of_form).await? {
                taken.insert((form, get(&row, "name_key")?));
            }
        }
        Ok(taken)
    }

    async fn insert_users(&self, users: &[ImportUser], ids: &[i64]) -> Result<(), StoreError> {
        let mut rows: Vec<(&ImportUser, i64)> = users.iter().zip(ids.iter().copied()).collect();
        rows.sort_unstable_by_key(|(_, id)| *id);
        let values = rows.iter().map(|(user, id)| columns(user, *id)).collect();
        sql::INSERT_USERS.execute(&self.transaction, values).await?;
        let mut identifiers = Vec::new();
        let mut avatars = Vec::new();
        for (user, id) in rows {
            let of_user = identifiers_of(user);
            let row = |(form, key)| [Value::from(form), Value::from(key), id.into()];
            identifiers.extend(of_user.iter().map(row));
            let avatar = user.account.avatar.as_deref();
            avatars.extend(avatar.map(|avatar| [id.into(), avatar.into()]));
        }
        sql::INSERT_IDENTIFIERS.execute(&self.transaction, identifiers).await?;
        sql::INSERT_AVATARS.execute(&self.transaction, avatars).await?;
        Ok(())
    }
}

/// The identifiers of a user: a deleted one keeps the login only.
fn identifiers_of(user: &ImportUser) -> Identifiers {
    let email = user.account.email.as_deref().filter(|_| user.deleted_at.is_none());
    Identifiers::of(Some(&user.account.login), email)
}

/// Shows a user by the login where a name looks like the login of another.
fn rename(user: &mut ImportUser, taken: &Taken) -> bool {
    let account = &mut user.account;
    let own = look_alikes(&account.login);
    let mut is_renamed = false;
    for shown in [&mut account.username, &mut account.name] {
        let mut looks = look_alikes(shown).into_iter().filter(|look| !own.contains(look));
        if looks.any(|look| taken.contains(&(LOOK, look))) {
            shown.clone_from(&account.login);
            is_renamed = true;
        }
    }
    is_renamed
}

/// The values of [`sql::USER_COLUMNS`].
fn columns(user: &ImportUser, id: i64) -> [Value; sql::USER_COLUMNS.len()] {
    let account = &user.account;
    let kept = |contact: &Option<String>| contact.clone().filter(|_| user.deleted_at.is_none());
    let email = kept(&account.email);
    let (photo_key, photo_type) = photo_columns(account.photo.clone());
    [
        id.into(),
        account.login.as_str().into(),
        case_folded(&account.login).into(),
        account.username.as_str().into(),
        account.name.as_str().into(),
        email.clone().into(),
        email.as_deref().map(case_folded).into(),
        kept(&account.phone).into(),
        account.bio.as_str().into(),
        photo_key.into(),
        photo_type.into(),
        account.bot.into(),
        account.admin.into(),
        account.business.into(),
        account.profile.into(),
        kept(&account.password_hash).into(),
        user.created_at.micros().into(),
        user.created_at.micros().into(),
        user.deleted_at.map(|time| time.micros()).into(),
    ]
}
