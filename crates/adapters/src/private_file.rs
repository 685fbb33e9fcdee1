//! Files and folders that only the owner of the process can read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A folder that could not be created.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} cannot be created", path.display())]
pub struct CreateFolderError {
    /// The path of the folder.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// Creates a folder, and those above it, unless it exists. On Unix new ones have the mode 0700.
pub fn create_private_folder(path: &Path) -> Result<(), CreateFolderError> {
    create_folder(path).map_err(|source| CreateFolderError { path: path.to_owned(), source })
}

/// Creates a folder like [`create_private_folder`].
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Creates a file for writing, or empties the one that is there, which keeps its mode. On Unix the
/// mode of a new one is 0600.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a file durably and atomically, replacing an older one. On Unix its mode is 0600.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = write_draft(path, content)?;
    std::fs::rename(&draft, path).inspect_err(|_| remove_draft(&draft))?;
    sync_folder(path)
}

/// The content of a file. A file that is missing is created durably with the content of `make`; of
/// several processes that do so at once, all get the content of the first.
pub fn read_or_create(path: &Path, make: impl FnOnce() -> Vec<u8>) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let draft = write_draft(path, &make())?;
    // A link, unlike a rename, fails if another process was first.
    let linked = std::fs::hard_link(&draft, path);
    remove_draft(&draft);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => sync_folder(path)?,
    }
    std::fs::read(path)
}

/// Writes the content to a file in the same folder, under a random name, and syncs it.
fn write_draft(path: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{:016x}.draft", u64::from_ne_bytes(random)));
    let draft = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(content).and_then(|()| file.sync_all()).inspect_err(|_| remove_draft(&draft))?;
    Ok(draft)
}

/// Removes a draft. Failing to is only logged: a draft that is left over is harmless.
fn remove_draft(draft: &Path) {
    if let Err(error) = std::fs::remove_file(draft) {
        tracing::warn!(%error, draft = %draft.display(), "a temporary file could not be removed");
    }
}

/// Syncs the folder of a file, which makes its name durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => {
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_created_once_and_then_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert_eq!(read_or_create(&path, || b"first".into()).unwrap(), b"first");
        assert_eq!(read_or_create(&path, || b"second".into()).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["secret"]);
    }

    #[test]
    fn all_processes_that_create_it_at_once_get_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let contents: Vec<_> = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..8_u8)
                .map(|number| {
                    scope.spawn({
                        let path = &path;
                        move || read_or_create(path, || vec![number]).unwrap()
                    })
                })
                .collect();
            creators.into_iter().map(|creator| creator.join().unwrap()).collect()
        });
        assert!(contents.iter().all(|content| *content == contents[0]), "{contents:?}");
        assert_eq!(names(folder.path()), ["secret"]);
    }

    #[test]
    fn a_file_is_replaced_and_no_temporary_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for content in ["first", "second"] {
            write_atomically(&path, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_private_folder(&inner).unwrap();
        create_private_folder(&inner).unwrap();
        write_atomically(&inner.join("file"), b"").unwrap();
        read_or_create(&inner.join("secret"), Vec::new).unwrap();
        assert_eq!(
            (mode(&inner), mode(&inner.join("file")), mode(&inner.join("secret"))),
            (0o700, 0o600, 0o600)
        );
        let created = inner.join("created");
        create_private_file(&created).unwrap().write_all(b"before").unwrap();
        create_private_file(&created).unwrap().write_all(b"now").unwrap();
        assert_eq!(mode(&created), 0o600);
        assert_eq!(std::fs::read(&created).unwrap(), b"now");
    }
}
