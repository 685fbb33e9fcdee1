//! A dialect with both of its sides.

use tolmach_dialect::{Dialect, DialectClient};

/// A dialect with both of its sides.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'d> {
    /// The server's side.
    pub(crate) dialect: &'d dyn Dialect,
    /// The client's side.
    pub(crate) client: &'d dyn DialectClient,
}

impl<'d> Sides<'d> {
    /// Both sides; `None` for a dialect without a client.
    pub(crate) fn of(dialect: &'d dyn Dialect) -> Option<Self> {
        Some(Self { dialect, client: dialect.client()? })
    }

    /// The dialect's id.
    pub(crate) fn id(&self) -> &'static str {
        self.dialect.manifest().id
    }
}
