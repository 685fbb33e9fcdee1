//! Removal of flows that were deleted, with their messages.

use super::transaction::Batch;
use crate::sql;
use tolmach_engine::ports::StoreError;

/// Messages of a flow: flow, limit.
const MESSAGES: &str =
    "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE flow_id = $1 LIMIT $2)";

/// A deleted flow, by the index that has no others.
const DELETED_FLOW: &str = "SELECT id FROM flow WHERE deleted_at IS NOT NULL LIMIT 1";

/// The statements of housekeeping over whole tables, with their names. None may read one from its
/// beginning.
#[cfg(test)]
pub(crate) fn statements() -> Vec<(String, &'static str)> {
    let mut statements: Vec<(String, &'static str)> = vec![
        ("messages of a deleted flow".into(), MESSAGES),
        ("next old messages".into(), sql::NEXT_OLD_MESSAGES),
        ("remove old messages".into(), &sql::REMOVE_OLD_MESSAGES),
        ("count old messages".into(), &sql::COUNT_OLD_MESSAGES),
        ("remove deleted messages".into(), &sql::REMOVE_DELETED_MESSAGES),
        ("count deleted messages".into(), sql::COUNT_DELETED_MESSAGES),
        ("flows by age".into(), &sql::FLOWS_BY_AGE),
        ("own flows by age".into(), &sql::OWN_FLOWS_BY_AGE),
        ("count old ledger uses".into(), sql::COUNT_OLD_LEDGER_USES),
        ("count old ledger clients".into(), sql::COUNT_OLD_LEDGER_CLIENTS),
        ("remove old ledger uses".into(), sql::REMOVE_OLD_LEDGER_USES),
        ("remove old ledger clients".into(), sql::REMOVE_OLD_LEDGER_CLIENTS),
    ];
    for expiring in sql::EXPIRING.iter() {
        statements.push((format!("count {}", expiring.kind), &expiring.count));
        statements.push((format!("remove {}", expiring.kind), &expiring.remove));
    }
    statements
}

impl Batch {
    /// Removes messages of a deleted flow, at most so many, and the flow with the last of them.
    /// Returns true if there may be more.
    pub(crate) async fn remove_deleted_flow(&mut self, limit: u64) -> Result<bool, StoreError> {
        let Some(flow) = sql::row(&self.transaction, DELETED_FLOW, Vec::new()).await? else {
            return Ok(false);
        };
        let flow: i64 = sql::get(&flow, "id")?;
        let values = vec![flow.into(), limit.cast_signed().into()];
        let removed = sql::execute(&self.transaction, MESSAGES, values).await?;
        if removed < limit {
            let flows = "DELETE FROM flow WHERE id = $1";
            sql::execute(&self.transaction, flows, vec![flow.into()]).await?;
        }
        Ok(true)
    }
}
