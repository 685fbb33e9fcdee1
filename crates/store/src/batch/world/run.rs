//! The steps of an import.

use crate::batch::transaction::Batch;
use crate::error::corrupt;
use crate::sql::{self, get};
use tolmach_domain::{IdNamespace, Timestamp};
use tolmach_engine::ports::{ImportChunk, ImportOutcomes, ImportPosition, LastIds, StoreError};

impl Batch {
    pub(crate) async fn begin_import(
        &mut self,
        source: &IdNamespace,
    ) -> Result<Option<ImportPosition>, StoreError> {
        let mut values = vec![source.as_str().into()];
        for table in ["user", "flow", "message"] {
            values.push(sql::last_id(&self.transaction, table).await?.into());
        }
        sql::execute(&self.transaction, sql::BEGIN_IMPORT, values).await?;
        Ok(self.import_state(source).await?.1)
    }

    pub(crate) async fn end_import(&mut self, source: &IdNamespace) -> Result<(), StoreError> {
        self.set_import_position(source, None).await
    }

    pub(crate) async fn import(
        &mut self,
        chunk: ImportChunk,
        now: Timestamp,
    ) -> Result<ImportOutcomes, StoreError> {
        let ImportChunk { source, users, flows, messages, members, position } = chunk;
        let (before, _) = self.import_state(&source).await?;
        // Readers of changes see nothing beyond the newest commit time.
        self.next_commit_time(now);
        let outcomes = ImportOutcomes {
            users: self.import_users(&source, before.users, users).await?,
            flows: self.import_flows(&source, before.flows, flows).await?,
            messages: self.import_messages(&source, before.messages, messages).await?,
            members: self.import_members(&source, members).await?,
        };
        if position.is_some() {
            self.set_import_position(&source, position).await?;
        }
        Ok(outcomes)
    }

    /// The ids given out before the first import of a source, and the position of the last one.
    async fn import_state(
        &self,
        source: &IdNamespace,
    ) -> Result<(LastIds, Option<ImportPosition>), StoreError> {
        let values = vec![source.as_str().into()];
        let row = sql::row(&self.transaction, sql::IMPORT_STATE, values).await?;
        let row = row.ok_or_else(|| StoreError::failed("the import was not begun"))?;
        let before = LastIds {
            users: get(&row, "users")?,
            flows: get(&row, "flows")?,
            messages: get(&row, "messages")?,
        };
        let lines: i64 = get(&row, "line_count")?;
        let digest: Option<Vec<u8>> = get(&row, "digest")?;
        let position = digest.map(|digest| {
            let digest = digest.try_into().map_err(|_| corrupt("a digest of another length"))?;
            Ok::<_, StoreError>(ImportPosition {
                lines: u64::try_from(lines).map_err(corrupt)?,
                digest,
            })
        });
        Ok((before, position.transpose()?))
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
