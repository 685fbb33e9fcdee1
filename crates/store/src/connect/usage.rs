//! The uses of a connection.

/// Capacity of the cache of prepared statements: larger than the number of different statements, so
/// that none is prepared twice on a connection.
pub(super) const STATEMENT_CACHE: usize = 256;

/// The reads of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reads {
    /// Pages, whose records are found by keys however many there are.
    Pages,
    /// Others too.
    Any,
}

/// The use of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    /// One connection that writes, with time limits.
    Write,
    /// The same for an import: see [`Options::is_import`](crate::Options::is_import).
    Import,
    /// One connection that cannot write.
    Read,
    /// One connection for long work without time limits: migrations, copying.
    Maintain,
}
