//! The objects that records refer to, and the ids of new ones.

use crate::batch::lookups::distinct;
use crate::batch::transaction::Batch;
use crate::known_objects::{KnownObjects, Met};
use crate::read;
use crate::sql::{self, get};
use sea_orm::{QueryResult, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tolmach_domain::{ExternalId, IdNamespace, ObjectId, ObjectKind};
use tolmach_engine::ports::{ExternalIdRow, StoreError};

/// A source whose records a transaction imports.
pub(super) struct Source {
    pub(super) namespace: IdNamespace,
    /// The objects of committed transactions.
    pub(super) known: Arc<KnownObjects>,
    /// Those that this transaction has read or added.
    pub(super) met: Vec<Met>,
}

impl Batch {
    /// The objects of a kind that have rows with these external ids.
    pub(super) async fn known(
        &self,
        source: &mut Source,
        kind: ObjectKind,
        ids: impl Iterator<Item = ExternalId>,
    ) -> Result<HashMap<ExternalId, i64>, StoreError> {
        let Source { namespace, known, met } = source;
        let mut ids = distinct(ids);
        let mut objects = known.take_known(namespace, kind, &mut ids);
        let read = read::objects_of_many_external_ids(&self.transaction, namespace, kind, &ids);
        let read = read.await?;
        met.extend(read.iter().map(|(id, object)| (kind, *id, *object)));
        objects.extend(read);
        Ok(objects)
    }

    /// Remembers new objects by their ids at the source.
    pub(super) async fn remember(
        &mut self,
        source: &mut Source,
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
        self.add_external_ids(&source.namespace, &rows).await?;
        source.met.extend(rows.iter().map(|row| (kind, row.external, row.object.get())));
        Ok(())
    }

    /// The ids of new objects: the numbers that they have at the source, as far as those are free,
    /// and else the next ones. `before` is the last id given out before the first import.
    pub(super) async fn new_ids(
        &mut self,
        kind: ObjectKind,
        before: i64,
        source_ids: &[ExternalId],
        is_taken: impl Fn(i64) -> bool,
    ) -> Result<Vec<i64>, StoreError> {
        let kept =
            |id: &ExternalId| id.number().filter(|number| *number > before && !is_taken(*number));
        let highest = source_ids.iter().filter_map(kept).max().unwrap_or_default();
        sql::skip_ids(&self.transaction, kind.name(), highest).await?;
        let missing = source_ids.iter().filter(|id| kept(id).is_none()).count();
        let mut next = sql::take_ids(&self.transaction, kind.name(), missing).await?.into_iter();
        let missing = || StoreError::failed("the database gave fewer ids than it was asked for");
        source_ids.iter().map(|id| kept(id).or_else(|| next.next()).ok_or_else(missing)).collect()
    }

    /// The numbers among the ids of new objects that others have, by a query for those.
    pub(super) async fn taken_ids(
        &self,
        query: &sql::ListQuery,
        source_ids: &[ExternalId],
    ) -> Result<HashSet<i64>, StoreError> {
        let numbers = source_ids.iter().filter_map(|id| id.number());
        let rows = self.listed(query, numbers).await?;
        rows.iter().map(|row| get(row, "id")).collect()
    }

    /// The rows of a query for these ids.
    pub(super) async fn listed(
        &self,
        query: &sql::ListQuery,
        ids: impl Iterator<Item = i64>,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let ids: Vec<Value> = distinct(ids).into_iter().map(Value::from).collect();
        query.rows(&self.transaction, Vec::new(), &ids).await
    }
}
