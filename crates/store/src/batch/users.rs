//! Users.

use super::transaction::Batch;
use crate::entities::{member, recovery, user};
use crate::error::store_error;
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
        if same_id || self.is_taken(Some(&login_key), email_key.as_deref(), None).await? {
            return Err(Fault::LoginTaken.into());
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
            avatar: Set(avatar),
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
        let user = to_user(row.insert(&self.transaction).await.map_err(store_error)?)?;
        if id.is_some() {
            sql::skip_id(&self.transaction, "user", user.id.get()).await?;
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
        if self.is_taken(login_key.as_deref(), email_key.as_deref(), Some(id)).await? {
            return Err(Fault::LoginTaken.into());
        }
        let sessions_end = password_hash.is_some() || (row.admin && admin == Some(false));
        put(&mut row.login, login);
        put(&mut row.login_key, login_key);
        put(&mut row.username, username);
        put(&mut row.name, name);
        put(&mut row.bio, bio);
        put(&mut row.admin, admin);
        put(&mut row.business, business);
        put(&mut row.profile, profile);
        row.email = email.or(row.email);
        row.email_key = email_key.or(row.email_key);
        row.password_hash = password_hash.or(row.password_hash);
        if photo.is_some() {
            (row.photo_key, row.photo_type) = photo_columns(photo);
        }
        row.changed_at = self.next_commit_time(now).micros();
        let row = row
            .into_active_model()
            .reset_all()
            .update(&self.transaction)
            .await
            .map_err(store_error)?;
        if sessions_end {
            self.end_sessions(id, now).await?;
        }
        to_user(row)
    }

    pub(crate) async fn delete_user(
        &mut self,
        id: UserId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut row = self.active_user(id).await?;
        (row.email, row.email_key, row.phone, row.password_hash) = (None, None, None, None);
        (row.changed_at, row.deleted_at) =
            (self.next_commit_time(now).micros(), Some(now.micros()));
        row.into_active_model().reset_all().update(&self.transaction).await.map_err(store_error)?;
        recovery::Entity::delete_by_id(id.get())
            .exec(&self.transaction)
            .await
            .map_err(store_error)?;
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
            self.touch_flow(flow, now).await?;
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

    /// True if another user has the login or the address. Deleted accounts have no address.
    async fn is_taken(
        &self,
        login_key: Option<&str>,
        email_key: Option<&str>,
        except: Option<UserId>,
    ) -> Result<bool, StoreError> {
        for (column, value) in
            [(user::Column::LoginKey, login_key), (user::Column::EmailKey, email_key)]
        {
            let Some(value) = value else { continue };
            let mut others = user::Entity::find().filter(column.eq(value));
            if let Some(except) = except {
                others = others.filter(user::Column::Id.ne(except.get()));
            }
            if others.count(&self.transaction).await.map_err(store_error)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
