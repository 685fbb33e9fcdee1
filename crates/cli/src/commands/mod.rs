//! The commands: one file each. The text that a command returns belongs to standard output.

pub(crate) mod bridge;
pub(crate) mod check;
pub(crate) mod copy;
pub(crate) mod demo;
pub(crate) mod dialect;
mod dialect_list;
pub(crate) mod dialects;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod flow;
pub(crate) mod import;
pub(crate) mod ledger;
pub(crate) mod lifecycle;
pub(crate) mod migrate;
mod operator;
pub(crate) mod prune;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod route;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod translate;
pub(crate) mod user;
mod user_export;
mod world_file;
