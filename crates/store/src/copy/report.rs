//! Progress, results and errors of a copy.

use std::fmt::Write;
use tolmach_engine::ports::StoreError;

/// Progress of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The table.
    pub table: &'a str,
    /// True while its rows are read back and compared, false while they are copied.
    pub verifying: bool,
    /// The number of its rows done, those of an earlier attempt included.
    pub rows: u64,
    /// The number of its rows.
    pub of: u64,
}

/// A table that was copied and found equal on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: String,
    /// The number of its rows.
    pub rows: u64,
    /// SHA-256 of its rows in the order of their keys.
    pub digest: [u8; 32],
}

impl CopiedTable {
    /// The digest in hexadecimal.
    pub fn digest_text(&self) -> String {
        self.digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// Error of a copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error("the source")]
    Source(#[source] StoreError),
    /// The target cannot be written. Rows written so far stay; the next attempt resumes after them.
    #[error("the target")]
    Target(#[source] StoreError),
    /// The URLs name the same database.
    #[error("the source and the target are the same: {0}")]
    Same(String),
    /// The target holds other data.
    #[error("the target is not empty: the table {table} has {rows} rows; a new database is needed")]
    Occupied {
        /// The first table that is not empty.
        table: String,
        /// The number of its rows.
        rows: u64,
    },
    /// The target holds an attempt from another source, or from an earlier state of this one.
    #[error(
        "the target holds part of a copy of another database, or of this one before it changed; \
         a new database is needed"
    )]
    Begun,
    /// The rows read back differ.
    #[error(
        "the table {table} is not the same on both sides: {source_rows} rows in the source, \
         {target_rows} in the target"
    )]
    Unequal {
        /// The table.
        table: String,
        /// The number of its rows in the source.
        source_rows: u64,
        /// The number of its rows in the target.
        target_rows: u64,
    },
}
