//! Files and folders, with errors that name them.

use crate::error::{TaskError, TaskResult};
use std::path::{Path, PathBuf};

/// The text of a file.
pub(crate) fn read(file: &Path) -> TaskResult<String> {
    std::fs::read_to_string(file).map_err(|error| named(file, error))
}

/// The text of a file that may hold bytes which are no UTF-8.
pub(crate) fn read_lossy(file: &Path) -> TaskResult<String> {
    let bytes = std::fs::read(file).map_err(|error| named(file, error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Replaces the text of a file.
pub(crate) fn write(file: &Path, text: &str) -> TaskResult<()> {
    std::fs::write(file, text).map_err(|error| named(file, error))
}

/// The paths in a folder, in order; none if the folder does not exist.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// True if the name of a file ends with `.` and this extension.
pub(crate) fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

/// An error that names the file.
pub(crate) fn named(file: &Path, error: std::io::Error) -> TaskError {
    TaskError::caused_by(file.display().to_string(), error)
}
