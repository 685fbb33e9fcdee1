//! The configuration: the documented defaults, a file, the environment and the command line, each
//! stronger than the one before.
//!
//! `config/tolmach.toml` is compiled in and gives every default, so that it cannot disagree with
//! them. A key that is not in it is refused, whatever its source.

mod error;
mod keys;
mod load;
mod origin;
mod pins;
mod schema;
mod sections;
mod sources;
mod values;

pub(crate) use error::ConfigError;
pub(crate) use sections::{
    Auth, Blobs, Config, Http, HttpTls, LedgerAddresses, Log, LogFormat, NamedUpstream, Record,
    TcpListener, Throttle,
};
pub(crate) use sources::Sources;
pub(crate) use values::parse_duration;

#[cfg(test)]
mod tests;
