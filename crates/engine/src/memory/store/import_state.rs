//! The state of the import of a source.

use crate::ports::{ImportPosition, LastIds};

/// The state of the import of a source.
#[derive(Clone, Copy, Default)]
pub(super) struct ImportState {
    /// The ids given out before its first import: numbers up to these are not free.
    pub(super) before: LastIds,
    pub(super) position: Option<ImportPosition>,
}
