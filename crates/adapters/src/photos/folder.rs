//! Photos in a local folder.

use super::error::PhotoError;
use super::key::check_key;
use crate::clock::timestamp;
use crate::private_file::{
    CreateFolderError, create_folder, create_private_folder, write_atomically,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use tolmach_engine::ports::{Blobs, PortError, StoredBlob};

/// A local folder with one file per photo. Several processes may share it.
///
/// ```
/// use tolmach_adapters::PhotoFolder;
/// use tolmach_engine::ports::Blobs;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// let photos = PhotoFolder::open(data.path().join("photos"))?;
/// photos.put("ab/abcd", "content".into()).await?;
/// assert_eq!(photos.get("ab/abcd").await?, Some("content".into()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PhotoFolder {
    folder: PathBuf,
}

impl PhotoFolder {
    /// Creates the folder unless it exists.
    pub fn open(folder: PathBuf) -> Result<Self, CreateFolderError> {
        create_private_folder(&folder)?;
        Ok(Self { folder })
    }

    /// Does file I/O off the async threads.
    async fn run<T: Send + 'static>(
        &self,
        key: &str,
        action: &'static str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PhotoError> {
        let path = self.folder.join(check_key(key)?);
        let done = tokio::task::spawn_blocking(move || {
            work(&path).map_err(|source| PhotoError::File { action, path, source })
        });
        done.await.map_err(|source| PhotoError::Cancelled { action, source })?
    }
}

#[async_trait]
impl Blobs for PhotoFolder {
    async fn put(&self, key: &str, content: Bytes) -> Result<(), PortError> {
        let put = move |file: &Path| {
            file.parent().map_or(Ok(()), create_folder)?;
            write_atomically(file, &content)
        };
        Ok(self.run(key, "writing", put).await?)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, PortError> {
        let get = |file: &Path| match std::fs::read(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Bytes::from).map(Some),
        };
        Ok(self.run(key, "reading", get).await?)
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        let delete = |file: &Path| match std::fs::remove_file(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        Ok(self.run(key, "deleting", delete).await?)
    }

    fn list(&self) -> BoxStream<'_, Result<StoredBlob, PortError>> {
        // One folder after the other, each with its folders.
        let folders = stream::try_unfold(vec![String::new()], async |mut prefixes| {
            let Some(prefix) = prefixes.pop() else { return Ok(None) };
            let path = self.folder.join(&prefix);
            let reading = tokio::task::spawn_blocking(move || read_folder(&path, &prefix));
            let action = "listing";
            let contents =
                reading.await.map_err(|source| PhotoError::Cancelled { action, source })?;
            let (photos, mut below) = contents?;
            prefixes.append(&mut below);
            Ok::<_, PortError>(Some((stream::iter(photos.into_iter().map(Ok)), prefixes)))
        });
        folders.try_flatten().boxed()
    }
}

/// The photos of a folder, and its folders as prefixes of keys. What has the name of no photo is
/// left out, and so is what is removed meanwhile.
fn read_folder(path: &Path, prefix: &str) -> Result<(Vec<StoredBlob>, Vec<String>), PhotoError> {
    let failed = |source| PhotoError::File { action: "listing", path: path.to_owned(), source };
    let (mut photos, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(key) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
            continue;
        };
        if check_key(&key).is_err() {
            continue;
        }
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            read => read.map_err(failed)?,
        };
        if metadata.is_dir() {
            folders.push(format!("{key}/"));
        } else if metadata.is_file() {
            let stored_at = timestamp(metadata.modified().map_err(failed)?);
            photos.push(StoredBlob { key, bytes: metadata.len(), stored_at });
        }
    }
    Ok((photos, folders))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    tolmach_engine::blobs_suite!(async || {
        let folder = tempfile::tempdir().unwrap();
        let photos: Arc<dyn Blobs> =
            Arc::new(PhotoFolder::open(folder.path().join("photos")).unwrap());
        (photos, folder)
    });

    #[tokio::test]
    async fn photos_are_there_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let open = || PhotoFolder::open(folder.path().join("photos")).unwrap();
        open().put("ab/abcd", Bytes::from_static(b"content")).await.unwrap();
        assert_eq!(open().get("ab/abcd").await.unwrap(), Some(Bytes::from_static(b"content")));
    }

    #[tokio::test]
    async fn no_key_names_a_file_outside_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("abc"), "outside").unwrap();
        let photos = PhotoFolder::open(folder.path().join("photos")).unwrap();
        crate::photos::key::tests::assert_malformed_keys_are_rejected(&photos).await;
        assert_eq!(std::fs::read_to_string(folder.path().join("abc")).unwrap(), "outside");
    }
}
