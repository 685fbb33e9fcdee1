//! Databases of other servers, read as records.

mod error;
mod morelia;
mod source;
mod uchat;

pub use error::SourceError;
pub use source::{OpenSource, Source};
