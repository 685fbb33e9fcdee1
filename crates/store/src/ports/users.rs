//! Accounts and profiles.

use crate::read;
use crate::read_turns::ReadClass;
use crate::scope::Scope;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_domain::{Timestamp, User, UserId};
use tolmach_engine::ports::{Account, AccountKey, NewUser, StoreError, UserChange, UserStore};

#[async_trait]
impl UserStore for SqlStore {
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<User, StoreError> {
        let size = user.avatar.as_ref().map_or(0, String::len) + user.bio.len();
        self.write_in(None, Scope::NoFlow, size, move |batch| {
            Box::pin(batch.create_user(user, now))
        })
        .await
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
        let changes_keys = change.login.is_some() || change.email.is_some();
        let scope =
            if changes_keys || change.business.is_some() { Scope::All } else { Scope::NoFlow };
        self.write_in(Some(id), scope, size, move |batch| {
            Box::pin(batch.update_user(id, change, now))
        })
        .await
    }

    async fn replace_password_hash(
        &self,
        id: UserId,
        hash: &str,
        replacement: &str,
    ) -> Result<bool, StoreError> {
        let (hash, replacement) = (hash.to_owned(), replacement.to_owned());
        self.write_of(id, 0, move |batch| {
            Box::pin(batch.replace_password_hash(id, hash, replacement))
        })
        .await
    }

    async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.write_of(id, 0, move |batch| Box::pin(batch.delete_user(id, now))).await
    }

    async fn erase_profile(&self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.write_in(Some(id), Scope::NoFlow, 0, move |batch| {
            Box::pin(batch.erase_profile(id, now))
        })
        .await
    }

    async fn search_users(&self, query: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        self.read_in_turn(|| async {
            let snapshot = self.snapshot_for(ReadClass::Scan, None).await?;
            read::search_users(&snapshot.transaction, query, limit).await
        })
        .await
    }

    async fn list_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError> {
        self.read(|| read::list_users(&self.readers, after, limit)).await
    }
}
