//! The steps of an import.

use super::known::Source;
use crate::batch::transaction::Batch;
use crate::error::corrupt;
use crate::known_objects::{KnownObjects, Met};
use crate::read;
use crate::sql;
use std::sync::Arc;
use tolmach_domain::{IdNamespace, Timestamp};
use tolmach_engine::ports::{ImportChunk, ImportOutcomes, ImportPosition, ImportState, StoreError};

impl Batch {
    pub(crate) async fn begin_import(
        &mut self,
        source: &IdNamespace,
    ) -> Result<ImportState, StoreError> {
        let mut values = vec![source.as_str().into()];
        for table in ["user", "flow", "message"] {
            values.push(sql::last_id(&self.transaction, table).await?.into());
        }
        sql::execute(&self.transaction, sql::BEGIN_IMPORT, values).await?;
        self.begun_import(source).await
    }

    pub(crate) async fn end_import(&mut self, source: &IdNamespace) -> Result<(), StoreError> {
        self.set_import_position(source, None).await
    }

    /// Imports records. Returns the objects that were met as well: they are known once this is
    /// committed.
    pub(crate) async fn import(
        &mut self,
        chunk: ImportChunk,
        known: Arc<KnownObjects>,
        now: Timestamp,
    ) -> Result<(ImportOutcomes, Vec<Met>), StoreError> {
        let groups_apart = chunk.groups_apart;
        let ImportChunk { source, users, flows, messages, members, position, cursor, .. } = chunk;
        let state = self.begun_import(&source).await?;
        let before = state.before;
        if groups_apart.is_some() && groups_apart != state.groups_apart {
            let values = vec![groups_apart.into(), source.as_str().into()];
            sql::execute(&self.transaction, sql::SET_GROUPS_APART, values).await?;
        }
        let apart = groups_apart.or(state.groups_apart).unwrap_or_default();
        // Readers of changes see nothing beyond the newest commit time.
        let (last_change, committed_at) = (self.commit_time(), self.next_commit_time(now));
        let mut of = Source { namespace: source.clone(), known, met: Vec::new() };
        let outcomes = ImportOutcomes {
            users: self.import_users(&mut of, before.users, users).await?,
            flows: self.import_flows(&mut of, before.flows, flows).await?,
            messages: self.import_messages(&mut of, before.messages, apart, messages).await?,
            members: self.import_members(&mut of, members).await?,
            last_change,
            committed_at,
        };
        if position.is_some() {
            self.set_import_position(&source, position).await?;
        }
        if let Some(cursor) = cursor {
            let values = vec![cursor.into(), source.as_str().into()];
            sql::execute(&self.transaction, sql::SET_IMPORT_CURSOR, values).await?;
        }
        Ok((outcomes, of.met))
    }

    async fn begun_import(&self, source: &IdNamespace) -> Result<ImportState, StoreError> {
        let state = read::import_state(&self.transaction, source).await?;
        state.ok_or_else(|| StoreError::failed("the import was not begun"))
    }

    async fn set_import_position(
        &self,
        source: &IdNamespace,
        position: Option<ImportPosition>,
    ) -> Result<(), StoreError> {
        let lines = position.map_or(0, |position| position.lines);
        let lines = i64::try_from(lines).map_err(corrupt)?;
        let digest = position.map(|position| position.digest.to_vec());
        let values = vec![lines.into(), digest.into(), source.as_str().into()];
        sql::execute(&self.transaction, sql::SET_IMPORT_POSITION, values).await.map(drop)
    }
}
