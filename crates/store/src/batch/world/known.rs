//! The objects that records refer to, and the ids of new ones.

use crate::batch::lookups::distinct;
use crate::batch::transaction::Batch;
use crate::read;
use crate::sql::{self, get};
use std::collections::{HashMap, HashSet};
use tolmach_domain::{ExternalId, IdNamespace, ObjectId, ObjectKind};
use tolmach_engine::ports::{ExternalIdRow, StoreError};

impl Batch {
    /// The objects of a kind that have rows with these external ids.
    pub(super) async fn known(
        &self,
        source: &IdNamespace,
        kind: ObjectKind,
        ids: impl Iterator<Item = ExternalId>,
    ) -> Result<HashMap<ExternalId, i64>, StoreError> {
        let keys: Vec<_> = distinct(ids).into_iter().map(|id| (kind, id)).collect();
        let rows = read::objects_of_external_ids(&self.transaction, source, &keys).await?;
        Ok(rows.into_iter().map(|row| (row.external, row.object.get())).collect())
    }

    /// Remembers new objects by their ids at the source.
    pub(super) async fn remember(
        &mut self,
        source: &IdNamespace,
        kind: ObjectKind,
        objects: impl Iterator<Item = (ExternalId, i64)>,
    ) -> Result<(), StoreError> {
        let row = |(external, id)| {
            ObjectId::new(kind, id).map(|object| ExternalIdRow { object, external })
        };
        let rows: Vec<ExternalIdRow> = objects.filter_map(row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.add_external_ids(source, &rows).await
    }

    /// The ids of new objects: the numbers that they have at the source, as far as those are free,
    /// and else the next ones. `before` is the last id given out before the first import.
    pub(super) async fn new_ids(
        &mut self,
        kind: ObjectKind,
        before: i64,
        source_ids: &[ExternalId],
    ) -> Result<Vec<i64>, StoreError> {
        let free = |id: &ExternalId| id.number().filter(|number| *number > before);
        let wanted: Vec<i64> = source_ids.iter().filter_map(free).collect();
        let taken = self.taken_ids(kind, &wanted).await?;
        let kept = |id: &ExternalId| free(id).filter(|number| !taken.contains(number));
        let highest = source_ids.iter().filter_map(kept).max().unwrap_or_default();
        sql::skip_ids(&self.transaction, kind.name(), highest).await?;
        let missing = source_ids.iter().filter(|id| kept(id).is_none()).count();
        let mut next = sql::take_ids(&self.transaction, kind.name(), missing).await?.into_iter();
        let missing = || StoreError::failed("the database gave fewer ids than it was asked for");
        source_ids.iter().map(|id| kept(id).or_else(|| next.next()).ok_or_else(missing)).collect()
    }

    /// Those of these ids that objects of a kind have.
    async fn taken_ids(&self, kind: ObjectKind, ids: &[i64]) -> Result<HashSet<i64>, StoreError> {
        let statement = match kind {
            ObjectKind::User => &sql::EXISTING_USERS,
            ObjectKind::Flow => &sql::EXISTING_FLOWS,
            ObjectKind::Message => &sql::FLOWS_OF_MESSAGES,
        };
        let rows = self.by_id(statement, ids.iter().copied()).await?;
        rows.iter().map(|row| get(row, "id")).collect()
    }
}
