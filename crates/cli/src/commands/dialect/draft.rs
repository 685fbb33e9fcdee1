//! `tolmach dialect new --from`

use crate::error::{CliError, UsageError};
use std::path::Path;

/// The draft of a file that matches the frames of a capture.
pub(super) fn run(id: &str, capture: &Path) -> Result<String, CliError> {
    let path = || capture.to_owned();
    let text = std::fs::read_to_string(capture)
        .map_err(|source| UsageError::File { path: path(), source })?;
    let draft = tolmach_dialect_declared::draft(id, &text);
    Ok(draft.map_err(|source| UsageError::Capture { path: path(), source })?)
}
