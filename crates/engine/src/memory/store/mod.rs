//! A store as a model: plain maps under one lock.

mod event_log;
mod flows;
mod login_counters;
mod memory_store;
mod messages;
mod sessions;
mod state;
mod users;

pub use memory_store::MemoryStore;
