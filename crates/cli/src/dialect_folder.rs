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
    read_files(&dialect_files(folder).map_err(fail)?)
}

/// The dialect files of a folder: their names and texts. Nothing is compiled.
pub(crate) fn read_texts(folder: &Path) -> Result<Vec<(String, String)>, DialectFilesError> {
    let fail = |source| DialectFilesError::Read { path: folder.to_owned(), source };
    dialect_files(folder).map_err(fail)?.iter().map(|path| read(path)).collect()
}

/// Compiles files, each by itself: it may extend those beside it and those of the program. The
/// error has the problems of all.
pub(crate) fn read_files(paths: &[PathBuf]) -> Result<Vec<Declared>, DialectFilesError> {
    let (mut compiled, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let (name, text) = read(path)?;
        let beside = beside(path).into_iter().filter_map(|path| read(&path).ok());
        let beside: Vec<(String, String)> = beside.collect();
        let files = beside.iter().map(|(name, text)| DialectFile { name, text });
        let others: Vec<DialectFile<'_>> = files.chain(BUILT_IN.iter().copied()).collect();
        match Declared::compile(DialectFile { name: &name, text: &text }, &others) {
            Ok(dialect) => compiled.push(dialect),
            Err(FileError(found)) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(compiled) } else { Err(FileError(problems).into()) }
}

/// The name of a file, and its text.
fn read(path: &Path) -> Result<(String, String), DialectFilesError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| DialectFilesError::Read { path: path.to_owned(), source })?;
    Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text))
}

/// The other dialect files of a file's folder.
fn beside(path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let paths = dialect_files(folder.unwrap_or(Path::new("."))).unwrap_or_default();
    paths.into_iter().filter(|other| other.file_name() != path.file_name()).collect()
}

/// The dialect files of a folder, by their names.
fn dialect_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Ok(paths)
}
