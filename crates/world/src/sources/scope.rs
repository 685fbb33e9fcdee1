//! The part of databases that is read.

/// The part of the databases of a server that is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything after the cursor.
    Whole,
    /// The same of a server that still runs, without users whose sign-up has not ended.
    Running,
    /// The same as [`Self::Running`], after a reading that came to its end. A table whose rows
    /// have no places that ascend is read only if a table before it has a new row.
    RunningNext,
}
