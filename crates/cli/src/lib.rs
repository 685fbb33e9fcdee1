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
mod logging;
mod progress;
mod run;
mod serving;
mod signals;
mod table;

pub use run::main;
