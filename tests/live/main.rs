//! The real binary over real sockets.
//!
//! Every test starts a gateway of its own, on a free port and with a temporary folder. The tests
//! use the command line, the configuration and the wires; of the gateway's code only the list of
//! dialects.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod action;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod bearer;
#[cfg(test)]
mod bridge;
#[cfg(test)]
#[path = "../../crates/migration/tests/captures/mod.rs"]
mod captures;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod content;
#[cfg(test)]
mod cross_dialect;
#[cfg(test)]
mod dialect_files;
#[cfg(test)]
mod drafts;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod dual_running;
#[cfg(test)]
mod external_ids;
#[cfg(test)]
mod field_clients;
#[cfg(test)]
mod following;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http_bodies;
#[cfg(test)]
mod import;
#[cfg(test)]
mod import_options;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod merging;
#[cfg(test)]
mod mode;
#[cfg(test)]
mod morelia;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod passwords;
#[cfg(test)]
mod photos;
#[cfg(test)]
mod pins;
#[cfg(test)]
mod pipelines;
#[cfg(test)]
mod proxy_protocol;
#[cfg(test)]
mod raw_tcp;
#[cfg(test)]
mod recording;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod revisions;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod sndmsg;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod translate;
#[cfg(test)]
mod unfair_users;
#[cfg(test)]
mod waiting;
