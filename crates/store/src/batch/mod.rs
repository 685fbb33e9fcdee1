//! One transaction and the events that it will publish. Every rule is checked here, before the
//! transaction writes.

mod blocks;
mod erasure;
mod external_ids;
mod flows;
mod housekeeping;
mod identifiers;
mod login_counters;
mod lookups;
mod messages;
mod posting;
mod quotas;
mod sessions;
mod transaction;
mod users;
mod world;

#[cfg(test)]
pub(crate) use housekeeping::STATEMENTS as HOUSEKEEPING;
pub(crate) use posting::PostOutcome;
pub(crate) use transaction::{Batch, Committed};
