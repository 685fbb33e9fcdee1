//! The files of a SQLite database: only the owner of the process may read them. SQLite gives the
//! write-ahead log and the shared memory the mode of the database.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a database file and its folder, unless they exist. On Unix new ones have the modes 0600
/// and 0700.
pub(super) fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes the rights of others from the files of a database, as far as they exist.
#[cfg(unix)]
pub(super) fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let Ok(metadata) = std::fs::metadata(&file) else { continue };
        let mut permissions = metadata.permissions();
        if !metadata.is_file() || permissions.mode() & 0o077 == 0 {
            continue;
        }
        permissions.set_mode(0o600);
        let path = Path::new(&file).display();
        match std::fs::set_permissions(&file, permissions) {
            Ok(()) => tracing::info!(%path, "others could read a database file; its mode is 600"),
            Err(error) => tracing::warn!(%path, %error, "others can read a database file"),
        }
    }
}

/// Windows has no modes; the folder's access list decides.
#[cfg(not(unix))]
pub(super) fn restrict(_: &Path) {}
