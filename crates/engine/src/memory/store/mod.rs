//! A store as a model: plain maps under one lock.

mod blocks;
mod event_log;
mod external_ids;
mod flows;
mod ledger;
mod ledger_rows;
mod login_counters;
mod memory_store;
mod messages;
mod namespace_rows;
mod quotas;
mod retention;
mod rules;
mod sessions;
mod state;
mod users;
mod world;

pub use memory_store::MemoryStore;
