//! The trials of a [`Store`](crate::ports::Store): its promises, and every fault that its methods
//! name.

mod acquaintances;
mod answer_sizes;
mod blocks;
mod departures;
mod event_log;
mod external_ids;
mod fixture;
mod flows;
mod history;
mod ledger;
mod login_counters;
mod messages;
mod quotas;
mod retention;
mod rules;
mod sessions;
mod summaries;
mod users;
mod whole;
mod world;

pub use acquaintances::*;
pub use answer_sizes::*;
pub use blocks::*;
pub use departures::*;
pub use event_log::*;
pub use external_ids::*;
pub use fixture::Fixture;
pub use flows::*;
pub use history::*;
pub use ledger::*;
pub use login_counters::*;
pub use messages::*;
pub use quotas::*;
pub use retention::*;
pub use rules::*;
pub use sessions::*;
pub use summaries::*;
pub use users::*;
pub use whole::*;
pub use world::*;
