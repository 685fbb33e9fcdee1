//! Users.

use super::identifiers::Identifiers;
use super::transaction::Batch;
use crate::entities::{avatar, member, user};
use crate::error::{store_error, taken_or_error};
use crate::rows::{flow_id, photo_columns, user as to_user};
use crate::sql;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, Set,
};
use tolmach_domain::{EventKind, Fault, Timestamp, User, UserId};
use tolmach_engine::case_folded;
use tolmach_engine::ports::{NewUser, StoreError, UserChange};

impl Batch {
    pub(crate) async fn create_user(
        &mut self,
        user: NewUser,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        let NewUser {
            id,
            login,
            username,
            name,
            email,
            phone,
            bio,
            avatar,
            photo,
            bot,
            admin,
            business,
            profile,
            password_hash,
        } = user;
        let (login_key, email_key) = (case_folded(&login), email.as_deref().map(case_folded));
        let same_id = match id {
            Some(id) => {
                user::Entity::find_by_id(id.get())
                    .count(&self.transaction)
                    .await
                    .map_err(store_error)?
                    > 0
            }
            None => false,
        };
        if same_id {
            return Err(Fault::LoginTaken.into());
        }
        let identifiers = Identifiers::of(Some(&login), email.as_deref());
        self.check_identifiers(&identifiers, None).await?;
        if profile {
            self.check_display_name("username", &username, &login, None).await?;
            self.check_display_name("name", &name, &login, None).await?;
        }
        let changed_at = self.next_commit_time(now);
        let (photo_key, photo_type) = photo_columns(photo);
        let row = user::ActiveModel {
            id: id.map_or(ActiveValue::NotSet, |id| Set(id.get())),
            login: Set(login),
            login_key: Set(login_key),
            username: Set(username),
            name: Set(name),
            email: Set(email),
            email_key: Set(email_key),
            phone: Set(phone),
            bio: Set(bio),
            photo_key: Set(photo_key),
            photo_type: Set(photo_type),
            bot: Set(bot),
            admin: Set(admin),
            business: Set(business),
            profile: Set(profile),
            password_hash: Set(password_hash),
            created_at: Set(now.micros()),
            changed_at: Set(changed_at.micros()),
            deleted_at: Set(None),
        };
        let user = to_user(row.insert(&self.transaction).await.map_err(taken_or_error)?)?;
        self.take_identifiers(&identifiers, user.id).await?;
        if id.is_some() {
            sql::skip_id(&self.transaction, "user", user.id.get()).await?;
        }
        if let Some(data) = avatar {
            let row = avatar::Model { user_id: user.id.get(), data }.into_active_model();
            avatar::Entity::insert(row)
                .exec_without_returning(&self.transaction)
                .await
                .map_err(store_error)?;
        }
        Ok(user)
    }

    pub(crate) async fn update_user(
        &mut self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        let mut row = self.active_user(id).await?;
        let UserChange {
            login,
            username,
            name,
            email,
            bio,
            photo,
            admin,
            business,
            profile,
            password_hash,
        } = change;
        let (login_key, email_key) =
            (login.as_deref().map(case_folded), email.as_deref().map(case_folded));
        let changes_identifiers = login.is_some() || email.is_some();
        let identifiers = Identifiers::of(login.as_deref(), email.as_deref());
        self.check_identifiers(&identifiers, Some(id)).await?;
        let own_login = login.as_deref().unwrap_or(&row.login);
        for (field, shown) in [("username", &username), ("name", &name)] {
            if let Some(shown) = shown {
                self.check_display_name(field, shown, own_login, Some(id)).await?;
            }
        }
        let changes_password = password_hash.is_some();
        let sessions_end = password_hash.is_some() || (row.admin && admin == Some(false));
        put(&mut row.login, login);
        put(&mut row.login_key, login_key);
        put(&mut row.username, username);
        put(&mut row.name, name);
        put(&mut row.bio, bio);
        put(&mut row.admin, admin);
        put(&mut row.profile, profile);
        row.email = email.or(row.email);
        row.email_key = email_key.or(row.email_key);
        row.password_hash = password_hash.or(row.password_hash);
        if photo.is_some() {
            (row.photo_key, row.photo_type) = photo_columns(photo);
        }
        row.changed_at = self.next_commit_time(now).micros();
        let tariff = business.filter(|business| *business != row.business);
        put(&mut row.business, business);
        let row = row
            .into_active_model()
            .reset_all()
            .update(&self.transaction)
            .await
            .map_err(taken_or_error)?;
        if let Some(business) = tariff {
            let values = vec![business.into(), id.get().into()];
            sql::execute(&self.transaction, sql::SET_BUSINESS, values).await?;
        }
        if changes_identifiers {
            let kept = Identifiers::of(Some(&row.login), row.email.as_deref());
            self.free_identifiers(&kept, id).await?;
            self.take_identifiers(&identifiers, id).await?;
        }
        if changes_password {
            self.remove_recovery_tokens(id).await?;
        }
        if sessions_end {
            self.end_sessions(id, now).await?;
        }
        to_user(row)
    }

    pub(crate) async fn replace_password_hash(
        &mut self,
        id: UserId,
        hash: String,
        replacement: String,
    ) -> Result<bool, StoreError> {
        let values = vec![replacement.into(), id.get().into(), hash.into()];
        Ok(sql::execute(&self.transaction, sql::REPLACE_PASSWORD_HASH, values).await? > 0)
    }

    pub(crate) async fn delete_user(
        &mut self,
        id: UserId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut row = self.active_user(id).await?;
        self.free_identifiers(&Identifiers::of(Some(&row.login), None), id).await?;
        (row.email, row.email_key, row.phone, row.password_hash) = (None, None, None, None);
        (row.changed_at, row.deleted_at) =
            (self.next_commit_time(now).micros(), Some(now.micros()));
        row.into_active_model().reset_all().update(&self.transaction).await.map_err(store_error)?;
        self.remove_recovery_tokens(id).await?;
        while self.remove_from_ledger(id).await? {}
        let memberships = member::Entity::find()
            .filter(member::Column::UserId.eq(id.get()))
            .order_by_asc(member::Column::FlowId);
        let memberships = memberships.all(&self.transaction).await.map_err(store_error)?;
        member::Entity::delete_many()
            .filter(member::Column::UserId.eq(id.get()))
            .exec(&self.transaction)
            .await
            .map_err(store_error)?;
        for membership in memberships {
            let flow = flow_id(membership.flow_id)?;
            self.members_removed(flow, 1, now).await?;
            self.publish(now, None, EventKind::MembersRemoved { flow, users: vec![id] });
        }
        self.end_sessions(id, now).await
    }

    /// A user who is not deleted.
    pub(super) async fn active_user(&self, id: UserId) -> Result<user::Model, StoreError> {
        let row =
            user::Entity::find_by_id(id.get()).one(&self.transaction).await.map_err(store_error)?;
        Ok(row.filter(|row| row.deleted_at.is_none()).ok_or(Fault::NoSuchUser)?)
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
