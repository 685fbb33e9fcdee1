//! Copies all data from one database to another, of any kind.
//!
//! The source is locked against writers meanwhile: their changes fail as unavailable, and the copy
//! reads one snapshot. The target must be new, or hold an earlier attempt. Rows are copied table by
//! table, ascending by their keys, some thousand in a transaction, so that the last key in the
//! target says where to resume. Until all rows have been read back from both sides and compared,
//! the target has no newest commit time, and no store opens it.

mod report;
mod run;
mod schema;
mod table;

pub use report::{CopiedTable, CopyError, Progress};
pub use run::copy;
