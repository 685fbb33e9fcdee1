//! The binary `tolmach`: arguments, configuration and commands over the libraries of this
//! repository; and the list of [`dialects`], which tests and benches share.

mod arguments;
mod backend;
mod bus_metrics;
mod commands;
mod config;
mod configured_dialects;
mod dialect_folder;
mod dialect_reload;
pub mod dialects;
mod error;
mod file_retention;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gateway_recording;
mod ledger_arguments;
mod lifecycle_arguments;
mod logging;
mod named_dialects;
mod progress;
mod record_arguments;
mod replay_arguments;
mod route_arguments;
mod run;
mod serving;
mod signals;
mod table;
mod translate_arguments;
mod upstreams;

pub use run::main;
