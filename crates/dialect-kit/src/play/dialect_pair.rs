//! A dialect with its client.

use tolmach_dialect::{Dialect, DialectClient};

/// A dialect with its client.
#[derive(Clone, Copy)]
pub(crate) struct DialectPair<'d> {
    /// The server's side.
    pub(crate) dialect: &'d dyn Dialect,
    /// The client's side.
    pub(crate) client: &'d dyn DialectClient,
}

impl<'d> DialectPair<'d> {
    /// The pair; `None` for a dialect without a client.
    pub(crate) fn of(dialect: &'d dyn Dialect) -> Option<Self> {
        Some(Self { dialect, client: dialect.client()? })
    }

    /// The dialect's id.
    pub(crate) fn id(&self) -> &'static str {
        self.dialect.manifest().id
    }
}
