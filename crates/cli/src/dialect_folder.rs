//! Dialect files of the operator.

use std::io;
use std::path::{Path, PathBuf};
use tolmach_dialect_declared::{BUILT_IN, Declared, DialectFile, FileError};

/// Dialect files that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum DialectFilesError {
    /// The folder or a file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file has problems; each has its place.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Compiles every `.toml` file of a folder, in the order of their names. Files may extend each
/// other and those of the program.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<Declared>, DialectFilesError> {
    let fail = |source| DialectFilesError::Read { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(fail)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(fail))
        .collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    read_files(&paths)
}

/// Compiles files. Each may extend the others and those of the program.
pub(crate) fn read_files(paths: &[PathBuf]) -> Result<Vec<Declared>, DialectFilesError> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path)
            .map_err(|source| DialectFilesError::Read { path: path.clone(), source })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, text))
    };
    let texts = paths.iter().map(read).collect::<Result<Vec<_>, DialectFilesError>>()?;
    let files = texts.iter().map(|(name, text)| DialectFile { name, text });
    let others: Vec<DialectFile<'_>> = files.clone().chain(BUILT_IN.iter().copied()).collect();
    let compiled: Result<Vec<Declared>, FileError> =
        files.map(|file| Declared::compile(file, &others)).collect();
    Ok(compiled?)
}
