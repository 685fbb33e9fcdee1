//! Accounts and profiles.

use crate::read;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_domain::{Timestamp, User, UserId};
use tolmach_engine::ports::{Account, AccountKey, NewUser, StoreError, UserChange, UserStore};

#[async_trait]
impl UserStore for SqlStore {
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<User, StoreError> {
        let size = user.avatar.as_ref().map_or(0, String::len) + user.bio.len();
        self.write(size, move |batch| Box::pin(batch.create_user(user, now))).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.read(|| read::user(&self.readers, id)).await
    }

    async fn avatar(&self, id: UserId) -> Result<Option<String>, StoreError> {
        self.read(|| read::avatar(&self.readers, id)).await
    }

    async fn account(&self, key: AccountKey<'_>) -> Result<Option<Account>, StoreError> {
        self.read(|| read::account(&self.readers, key)).await
    }

    async fn update_user(
        &self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        let size = change.bio.as_ref().map_or(0, String::len);
        self.write_of(id, size, move |batch| Box::pin(batch.update_user(id, change, now))).await
    }

    async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.write_of(id, 0, move |batch| Box::pin(batch.delete_user(id, now))).await
    }

    async fn search_users(&self, query: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        self.read(|| read::search_users(&self.readers, query, limit)).await
    }

    async fn list_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError> {
        self.read(|| read::list_users(&self.readers, after, limit)).await
    }
}
