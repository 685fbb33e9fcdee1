//! Photos in a local folder.

use super::private_file::{create_private_folder, write_whole};
use async_trait::async_trait;
use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use tolmach_engine::ports::{Blobs, PortError};

/// A folder with one file a photo.
#[derive(Debug)]
pub(crate) struct LocalBlobs {
    folder: PathBuf,
}

impl LocalBlobs {
    /// Makes the folder unless it exists.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        create_private_folder(&folder)?;
        Ok(Self { folder })
    }

    /// The file of a key; an error if the key could lead out of the folder.
    fn file(&self, key: &str) -> Result<PathBuf, PortError> {
        let plain = |part: &str| {
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'.'))
        };
        if key.len() <= 255 && key.split('/').all(plain) {
            return Ok(self.folder.join(key));
        }
        Err(PortError(format!("{key:?} is not the key of a blob")))
    }

    /// Does file work off the async threads.
    async fn work<T: Send + 'static>(
        &self,
        key: &str,
        doing: &'static str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        let file = self.file(key)?;
        let done = tokio::task::spawn_blocking(move || work(&file).map_err(|error| format!("{doing} {}: {error}", file.display()))).await;
        done.map_err(|error| PortError(format!("{doing} a blob: {error}")))?.map_err(PortError)
    }
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn put(&self, key: &str, content: Bytes) -> Result<(), PortError> {
        let put = move |file: &Path| {
            file.parent().map_or(Ok(()), create_private_folder)?;
            write_whole(file, &content)
        };
        self.work(key, "writing", put).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, PortError> {
        let get = |file: &Path| match std::fs::read(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Bytes::from).map(Some),
        };
        self.work(key, "reading", get).await
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        let delete = |file: &Path| match std::fs::remove_file(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        self.work(key, "deleting", delete).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    tolmach_engine::blobs_suite!(async || {
        let folder = tempfile::tempdir().unwrap();
        let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::open(folder.path().join("photos")).unwrap());
        (blobs, folder)
    });

    #[tokio::test]
    async fn what_was_put_is_there_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let open = || LocalBlobs::open(folder.path().join("photos")).unwrap();
        open().put("ab/abcd", Bytes::from_static(b"content")).await.unwrap();
        assert_eq!(open().get("ab/abcd").await, Ok(Some(Bytes::from_static(b"content"))));
    }

    #[tokio::test]
    async fn no_key_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("abc"), "outside").unwrap();
        let blobs = LocalBlobs::open(folder.path().join("photos")).unwrap();
        let long = "a".repeat(256);
        for key in ["", "/", "..", ".", "../abc", "ab/../../abc", "/etc/passwd", "ab//cd", "ab/", "ab\\cd", "AB", "ab\0", ".draft", &long] {
            assert!(blobs.get(key).await.is_err(), "{key:?}");
            assert!(blobs.put(key, Bytes::new()).await.is_err(), "{key:?}");
            assert!(blobs.delete(key).await.is_err(), "{key:?}");
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("abc")).unwrap(), "outside");
    }
}
