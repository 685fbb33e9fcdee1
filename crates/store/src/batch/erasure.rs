//! Erasing a user's profile.

use super::transaction::Batch;
use crate::entities::{avatar, user};
use crate::error::store_error;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use tolmach_domain::{Fault, Timestamp, UserId};
use tolmach_engine::ports::StoreError;

impl Batch {
    pub(crate) async fn erase_profile(
        &mut self,
        id: UserId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = user::Entity::find_by_id(id.get()).one(&self.transaction).await;
        let mut row = row.map_err(store_error)?.ok_or(Fault::NoSuchUser)?;
        (row.username, row.name) = (row.login.clone(), row.login.clone());
        (row.bio, row.photo_key, row.photo_type) = (String::new(), None, None);
        row.changed_at = self.next_commit_time(now).micros();
        row.into_active_model().reset_all().update(&self.transaction).await.map_err(store_error)?;
        let avatar = avatar::Entity::delete_by_id(id.get()).exec(&self.transaction).await;
        avatar.map(drop).map_err(store_error)
    }
}
