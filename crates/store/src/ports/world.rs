//! A whole world, moved in or out.

use crate::read;
use crate::scope::Scope;
use crate::store::SqlStore;
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend};
use tolmach_domain::{
    ExternalId, FlowId, IdNamespace, Message, MessageId, Timestamp, UserId, Version,
};
use tolmach_engine::ErrorChain;
use tolmach_engine::ports::{
    IdentifierOwner, ImportChunk, ImportOutcomes, ImportState, LastIds, StoreError, StoredContent,
    StoredFlow, StoredMember, StoredUser, WorldStore,
};

/// The approximate size of a record without its texts, in bytes.
const RECORD_SIZE: usize = 256;

#[async_trait]
impl WorldStore for SqlStore {
    async fn begin_import(&self, source: &IdNamespace) -> Result<ImportState, StoreError> {
        let source = source.clone();
        self.write(0, move |batch| Box::pin(async move { batch.begin_import(&source).await })).await
    }

    async fn import_state(&self, source: &IdNamespace) -> Result<Option<ImportState>, StoreError> {
        self.read(|| read::import_state(&self.readers, source)).await
    }

    async fn import(
        &self,
        chunk: ImportChunk,
        now: Timestamp,
    ) -> Result<ImportOutcomes, StoreError> {
        let size = chunk.messages.iter().map(|message| message.content.size()).sum::<usize>();
        let size = size + chunk.len() * RECORD_SIZE;
        if let Some(indexes) = &self.message_indexes {
            indexes.before_import(&chunk).await?;
        }
        self.count_grown_tables().await;
        let (source, known) = (chunk.source.clone(), self.known_objects.clone());
        let importing = self.write(size, move |batch| Box::pin(batch.import(chunk, known, now)));
        let (outcomes, met) = importing.await?;
        self.known_objects.add(&source, met);
        Ok(outcomes)
    }

    async fn end_import(&self, source: &IdNamespace) -> Result<(), StoreError> {
        if let Some(indexes) = &self.message_indexes {
            indexes.after_import().await?;
        }
        let source = source.clone();
        self.write(0, move |batch| Box::pin(async move { batch.end_import(&source).await })).await
    }

    async fn imported_users(
        &self,
        source: &IdNamespace,
        users: &[ExternalId],
    ) -> Result<Vec<ExternalId>, StoreError> {
        self.read(|| read::imported_users(&self.readers, source, users)).await
    }

    async fn identifier_owners(
        &self,
        identifiers: &[String],
    ) -> Result<Vec<IdentifierOwner>, StoreError> {
        self.read(|| read::identifier_owners(&self.readers, identifiers)).await
    }

    async fn stored_messages(&self, ids: &[MessageId]) -> Result<Vec<Message>, StoreError> {
        self.read(|| read::stored_messages(&self.readers, ids)).await
    }

    async fn stored_contents(&self, ids: &[MessageId]) -> Result<Vec<StoredContent>, StoreError> {
        self.read(|| read::stored_contents(&self.readers, ids)).await
    }

    async fn last_ids(&self) -> Result<LastIds, StoreError> {
        self.read(|| read::last_ids(&self.readers)).await
    }

    async fn export_users(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredUser>, StoreError> {
        self.read(|| read::export_users(&self.readers, after, limit)).await
    }

    async fn export_flows(
        &self,
        after: Option<FlowId>,
        limit: u32,
    ) -> Result<Vec<StoredFlow>, StoreError> {
        self.read(|| read::export_flows(&self.readers, after, limit)).await
    }

    async fn export_messages(
        &self,
        after: Option<(FlowId, Version)>,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        self.read(|| read::export_messages(&self.readers, after, limit)).await
    }

    async fn export_members(
        &self,
        after: Option<(FlowId, UserId)>,
        limit: u32,
    ) -> Result<Vec<StoredMember>, StoreError> {
        self.read(|| read::export_members(&self.readers, after, limit)).await
    }
}

impl SqlStore {
    /// Has PostgreSQL count the tables that an import fills, in a transaction of its own: a table
    /// that cannot be counted in time makes the import slow and does not end it.
    async fn count_grown_tables(&self) {
        if self.readers.get_database_backend() != DbBackend::Postgres {
            return;
        }
        let counting =
            self.write_in(None, Scope::NoFlow, 0, |batch| Box::pin(batch.count_grown_tables()));
        if let Err(error) = counting.await {
            let error = ErrorChain(&error);
            tracing::warn!(%error, "the tables that an import fills cannot be counted");
        }
    }
}
