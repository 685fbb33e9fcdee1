//! The uses of a connection.

/// Capacity of the cache of prepared statements: larger than the number of different statements, so
/// that none is prepared twice on a connection.
pub(super) const STATEMENT_CACHE: usize = 256;

/// The use of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    /// One connection that writes, with time limits.
    Write,
    /// The same for an import: see [`Options::is_import`](crate::Options::is_import).
    Import,
    /// Several connections that cannot write; each transaction reads one snapshot.
    Read {
        /// The number of connections.
        connections: u32,
    },
    /// One connection for long work without time limits: migrations, copying.
    Maintain,
}
