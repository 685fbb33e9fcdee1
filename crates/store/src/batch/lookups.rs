//! Rows that the rules are checked with.

use super::transaction::Batch;
use crate::rows::message as to_message;
use crate::sql::{self, get};
use sea_orm::{QueryResult, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use tolmach_domain::Message;
use tolmach_engine::ports::StoreError;

impl Batch {
    /// The rows of a statement for these ids.
    pub(super) async fn by_id(
        &self,
        statement: &sql::ListStatement,
        ids: impl Iterator<Item = i64>,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let mut rows = Vec::new();
        for list in sql::padded_lists(&distinct(ids)) {
            let values = list.iter().copied().map(Value::from).collect();
            rows.extend(statement.rows(&self.transaction, list.len(), values).await?);
        }
        Ok(rows)
    }

    /// Those of these pairs of flow and user that are memberships.
    pub(super) async fn memberships(
        &self,
        pairs: &[(i64, i64)],
    ) -> Result<HashSet<(i64, i64)>, StoreError> {
        let mut found = HashSet::new();
        for list in sql::padded_lists(pairs) {
            for row in
                sql::MEMBERSHIPS.rows(&self.transaction, list.len(), pair_values(&list)).await?
            {
                found.insert((get(&row, "flow_id")?, get(&row, "user_id")?));
            }
        }
        Ok(found)
    }

    /// Messages by id.
    pub(super) async fn messages(&self, ids: &[i64]) -> Result<HashMap<i64, Message>, StoreError> {
        let rows = self.by_id(&sql::MESSAGES, ids.iter().copied()).await?;
        rows.iter()
            .map(to_message)
            .map(|message| message.map(|message| (message.id.get(), message)))
            .collect()
    }
}

/// Each value once, in the order of its first mention.
pub(super) fn distinct<T: Copy + Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    values.into_iter().filter(|value| seen.insert(*value)).collect()
}

/// The parameters for a list of pairs.
pub(super) fn pair_values(list: &[(i64, i64)]) -> Vec<Value> {
    list.iter().flat_map(|(one, other)| [Value::from(*one), Value::from(*other)]).collect()
}
