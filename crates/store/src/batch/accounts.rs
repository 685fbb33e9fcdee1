//! Users and sessions.

use super::Batch;
use crate::entities::{member, recovery, refresh_token, session, user};
use crate::error::refuse;
use crate::rows::{key, session_id, user as to_user, user_id};
use crate::sql;
use sea_orm::prelude::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, Set,
};
use tolmach_domain::{EventKind, Fault, FlowId, PhotoKey, SessionId, Timestamp, User, UserId};
use tolmach_engine::ports::{NewSession, NewUser, Rotation, StoreError, TokenHash, UserChange};

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
        let (login_key, email_key) = (key(&login), email.as_deref().map(key));
        let same_id = match id {
            Some(id) => {
                user::Entity::find_by_id(id.get()).count(&self.transaction).await.map_err(refuse)?
                    > 0
            }
            None => false,
        };
        if same_id || self.is_taken(Some(&login_key), email_key.as_deref(), None).await? {
            return Err(Fault::LoginTaken.into());
        }
        let changed_at = self.next_moment(now);
        let (photo_key, photo_type) = columns(photo);
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
        let user = to_user(row.insert(&self.transaction).await.map_err(refuse)?)?;
        if id.is_some() {
            sql::skip_id(&self.transaction, "user", user.id.get()).await?;
        }
        Ok(user)
    }

    /// Whether somebody else has the login or the address. Deleted accounts have no address.
    async fn is_taken(
        &self,
        login_key: Option<&str>,
        email_key: Option<&str>,
        but: Option<UserId>,
    ) -> Result<bool, StoreError> {
        for (column, value) in
            [(user::Column::LoginKey, login_key), (user::Column::EmailKey, email_key)]
        {
            let Some(value) = value else { continue };
            let mut others = user::Entity::find().filter(column.eq(value));
            if let Some(but) = but {
                others = others.filter(user::Column::Id.ne(but.get()));
            }
            if others.count(&self.transaction).await.map_err(refuse)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A user who is not deleted.
    pub(super) async fn living(&self, id: UserId) -> Result<user::Model, StoreError> {
        let row =
            user::Entity::find_by_id(id.get()).one(&self.transaction).await.map_err(refuse)?;
        Ok(row.filter(|row| row.deleted_at.is_none()).ok_or(Fault::NoSuchUser)?)
    }

    pub(crate) async fn update_user(
        &mut self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        let mut row = self.living(id).await?;
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
        let (login_key, email_key) = (login.as_deref().map(key), email.as_deref().map(key));
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
            (row.photo_key, row.photo_type) = columns(photo);
        }
        row.changed_at = self.next_moment(now).micros();
        let row =
            row.into_active_model().reset_all().update(&self.transaction).await.map_err(refuse)?;
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
        let mut row = self.living(id).await?;
        (row.email, row.email_key, row.phone, row.password_hash) = (None, None, None, None);
        (row.changed_at, row.deleted_at) = (self.next_moment(now).micros(), Some(now.micros()));
        row.into_active_model().reset_all().update(&self.transaction).await.map_err(refuse)?;
        recovery::Entity::delete_by_id(id.get()).exec(&self.transaction).await.map_err(refuse)?;
        let memberships = member::Entity::find()
            .filter(member::Column::UserId.eq(id.get()))
            .order_by_asc(member::Column::FlowId);
        let memberships = memberships.all(&self.transaction).await.map_err(refuse)?;
        member::Entity::delete_many()
            .filter(member::Column::UserId.eq(id.get()))
            .exec(&self.transaction)
            .await
            .map_err(refuse)?;
        for membership in memberships {
            let flow = FlowId::new(membership.flow_id).map_err(crate::error::corrupt)?;
            self.touch_flow(flow, now).await?;
            self.publish(now, None, EventKind::MembersRemoved { flow, users: vec![id] });
        }
        self.end_sessions(id, now).await
    }

    pub(crate) async fn open_session(&mut self, new: NewSession) -> Result<SessionId, StoreError> {
        self.living(new.user).await?;
        let row = session::ActiveModel {
            id: ActiveValue::NotSet,
            user_id: Set(new.user.get()),
            token_hash: Set(new.token.map(|token| token.0.to_vec())),
            created_at: Set(new.now.micros()),
            expires_at: Set(new.expires_at.micros()),
            ended_at: Set(None),
        };
        let id = row.insert(&self.transaction).await.map_err(refuse)?.id;
        if let Some(refresh) = new.refresh {
            self.insert_refresh(refresh, id, new.expires_at).await?;
        }
        session_id(id)
    }

    async fn insert_refresh(
        &self,
        token: TokenHash,
        session: i64,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = refresh_token::Model {
            token_hash: token.0.to_vec(),
            session_id: session,
            expires_at: expires_at.micros(),
            spent_at: None,
        };
        row.into_active_model().insert(&self.transaction).await.map_err(refuse)?;
        Ok(())
    }

    pub(crate) async fn renew_session(
        &mut self,
        id: SessionId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let sessions = session::Entity::update_many()
            .col_expr(session::Column::ExpiresAt, Expr::value(expires_at.micros()));
        let sessions = sessions
            .filter(session::Column::Id.eq(id.get()))
            .filter(session::Column::EndedAt.is_null());
        sessions.exec(&self.transaction).await.map_err(refuse)?;
        Ok(())
    }

    pub(crate) async fn rotate_refresh(
        &mut self,
        spent: TokenHash,
        next: TokenHash,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.now = self.now.max(now);
        let token = refresh_token::Entity::find_by_id(spent.0.to_vec())
            .one(&self.transaction)
            .await
            .map_err(refuse)?;
        let Some(token) = token.filter(|token| now.micros() < token.expires_at) else {
            return Ok(Rotation::Unknown);
        };
        let session = session::Entity::find_by_id(token.session_id)
            .one(&self.transaction)
            .await
            .map_err(refuse)?;
        let lives = |session: &session::Model| {
            session.ended_at.is_none() && now.micros() < session.expires_at
        };
        let Some(session) = session.filter(lives) else { return Ok(Rotation::Unknown) };
        let (user, id) = (user_id(session.user_id)?, session_id(session.id)?);
        if token.spent_at.is_some() {
            self.end_session(id, now).await?;
            return Ok(Rotation::Reused);
        }
        let mut token = token.into_active_model();
        token.spent_at = Set(Some(now.micros()));
        token.update(&self.transaction).await.map_err(refuse)?;
        self.insert_refresh(next, session.id, expires_at).await?;
        self.renew_session(id, expires_at).await?;
        Ok(Rotation::Rotated { user, session: id })
    }

    pub(crate) async fn end_session(
        &mut self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row =
            session::Entity::find_by_id(id.get()).one(&self.transaction).await.map_err(refuse)?;
        let Some(row) = row.filter(|row| row.ended_at.is_none()) else { return Ok(()) };
        let user = user_id(row.user_id)?;
        let mut row = row.into_active_model();
        row.ended_at = Set(Some(now.micros()));
        row.update(&self.transaction).await.map_err(refuse)?;
        let tokens = refresh_token::Entity::delete_many()
            .filter(refresh_token::Column::SessionId.eq(id.get()));
        tokens.exec(&self.transaction).await.map_err(refuse)?;
        self.publish(now, None, EventKind::SessionsEnded { user, session: Some(id) });
        Ok(())
    }

    async fn end_sessions(&mut self, user: UserId, now: Timestamp) -> Result<(), StoreError> {
        let tokens = "DELETE FROM refresh_token WHERE session_id IN (SELECT id FROM session WHERE user_id = $1 AND ended_at IS NULL)";
        sql::execute(&self.transaction, tokens, vec![user.get().into()]).await?;
        let sessions = session::Entity::update_many()
            .col_expr(session::Column::EndedAt, Expr::value(now.micros()));
        let sessions = sessions
            .filter(session::Column::UserId.eq(user.get()))
            .filter(session::Column::EndedAt.is_null());
        sessions.exec(&self.transaction).await.map_err(refuse)?;
        self.publish(now, None, EventKind::SessionsEnded { user, session: None });
        Ok(())
    }

    pub(crate) async fn put_recovery_token(
        &mut self,
        token: TokenHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.living(user).await?;
        recovery::Entity::delete_by_id(user.get()).exec(&self.transaction).await.map_err(refuse)?;
        let row = recovery::Model {
            user_id: user.get(),
            token_hash: token.0.to_vec(),
            expires_at: expires_at.micros(),
        };
        row.into_active_model().insert(&self.transaction).await.map_err(refuse)?;
        Ok(())
    }

    pub(crate) async fn spend_recovery_token(
        &mut self,
        token: TokenHash,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let found =
            recovery::Entity::find().filter(recovery::Column::TokenHash.eq(token.0.to_vec()));
        let found = found
            .filter(recovery::Column::ExpiresAt.gt(now.micros()))
            .one(&self.transaction)
            .await
            .map_err(refuse)?;
        let Some(found) = found else { return Ok(None) };
        recovery::Entity::delete_by_id(found.user_id)
            .exec(&self.transaction)
            .await
            .map_err(refuse)?;
        let user = user_id(found.user_id)?;
        self.update_user(
            user,
            UserChange { password_hash: Some(password_hash), ..UserChange::default() },
            now,
        )
        .await?;
        Ok(Some(user))
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// A photo's two columns.
pub(super) fn columns(photo: Option<PhotoKey>) -> (Option<String>, Option<String>) {
    photo.map(|photo| (photo.key, photo.media_type)).unzip()
}
