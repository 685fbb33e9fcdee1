//! Files and folders that only the gateway's own user reads.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Makes a folder, and those above it, unless it exists. On Unix only the owner enters a new one.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a new file whole or not at all, durably; replaces what was there. On Unix only the owner
/// reads it.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = write_draft(path, content)?;
    std::fs::rename(&draft, path).inspect_err(|_| discard(&draft))?;
    sync_folder(path)
}

/// The content of a file; if there is none it is made with what `make` gives, whole and durably.
/// When several processes make it at once, all get what the first one wrote.
pub(crate) fn keep_once(path: &Path, make: impl FnOnce() -> Vec<u8>) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let draft = write_draft(path, &make())?;
    // A link, unlike a rename, fails where another process was first.
    let linked = std::fs::hard_link(&draft, path);
    discard(&draft);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => sync_folder(path)?,
    }
    std::fs::read(path)
}

/// Writes the content beside its place, under a name that nobody else uses.
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
    file.write_all(content).and_then(|()| file.sync_all()).inspect_err(|_| discard(&draft))?;
    Ok(draft)
}

/// A draft that stays behind is a file too many, no more.
fn discard(draft: &Path) {
    if let Err(error) = std::fs::remove_file(draft) {
        tracing::warn!(%error, draft = %draft.display(), "a draft could not be removed");
    }
}

/// Makes the name of a file as durable as its content.
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
    fn what_is_kept_once_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert_eq!(keep_once(&path, || b"first".into()).unwrap(), b"first");
        assert_eq!(keep_once(&path, || b"second".into()).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["secret"]);
    }

    #[test]
    fn all_who_make_it_at_once_get_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let kept: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8_u8)
                .map(|number| {
                    scope.spawn({
                        let path = &path;
                        move || keep_once(path, || vec![number]).unwrap()
                    })
                })
                .collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(kept.iter().all(|content| *content == kept[0]), "{kept:?}");
        assert_eq!(names(folder.path()), ["secret"]);
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for content in ["first", "second"] {
            write_whole(&path, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn others_cannot_read() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_private_folder(&inner).unwrap();
        create_private_folder(&inner).unwrap();
        write_whole(&inner.join("file"), b"").unwrap();
        keep_once(&inner.join("secret"), Vec::new).unwrap();
        assert_eq!(
            (mode(&inner), mode(&inner.join("file")), mode(&inner.join("secret"))),
            (0o700, 0o600, 0o600)
        );
    }
}
