//! A store as a model: plain maps under one lock.

mod blocks;
mod event_log;
mod flows;
mod login_counters;
mod memory_store;
mod messages;
mod quotas;
mod sessions;
mod state;
mod users;

pub use memory_store::MemoryStore;
