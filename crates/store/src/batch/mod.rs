//! One transaction and the events that it will publish. Every rule is checked here, before the
//! transaction writes.

mod blocks;
mod erasure;
mod external_ids;
mod flows;
mod history_blocks;
mod housekeeping;
mod identifiers;
mod ledger;
mod login_counters;
mod lookups;
mod messages;
mod posting;
mod quotas;
mod retention;
mod rules;
mod sessions;
mod transaction;
mod users;
mod world;

#[cfg(test)]
pub(crate) use housekeeping::statements as housekeeping_statements;
pub(crate) use posting::PostOutcome;
pub(crate) use retention::{PRUNE_STEP, PruneExtent};
pub(crate) use transaction::{Batch, Committed};
