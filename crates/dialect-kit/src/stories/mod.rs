//! The canonical stories, as data: every command, every fault and every event at least once.
//!
//! A dialect plays what its wire has of them. Ids, times and tokens are those of
//! [`crate::fixtures`].

mod account;
mod administrator;
mod chat;
mod collection;
mod commands;
mod every_fault;
mod faults;
mod group;
mod story;

pub use collection::stories;
pub use faults::all_faults;
pub use story::{ADMINISTRATOR, Exchange, Step, Story};
