//! The methods of [`Store`](tolmach_engine::ports::Store), by aggregate: reads by the pool of
//! readers, changes as jobs of the writer.

mod blocks;
mod event_log;
mod external_ids;
mod flows;
mod ledger;
mod login_counters;
mod messages;
mod retention;
mod rules;
mod sessions;
mod users;
mod world;
