//! Databases of other servers, read as records.

mod database;
mod django;
mod error;
mod morelia;
mod names;
mod scope;
mod source;
mod swiftly;
mod table;
mod uchat;
mod values;

pub use error::SourceError;
pub use scope::Scope;
pub use source::{OpenSource, Source};
