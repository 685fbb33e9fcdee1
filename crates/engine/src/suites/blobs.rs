//! The trials of [`Blobs`].

use crate::ports::{Blobs, StoredBlob};
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::sync::Arc;

/// Any bytes, none included, are read as they were put.
pub async fn a_blob_can_be_read_until_it_is_deleted(blobs: Arc<dyn Blobs>) {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    for (key, content) in [
        ("ab/00", Bytes::new()),
        ("ab/01.png", Bytes::from(every_byte)),
        ("cd", Bytes::from(vec![7; 1 << 20])),
    ] {
        assert_eq!(blobs.get(key).await, Ok(None), "{key}");
        assert_eq!(blobs.put(key, content.clone()).await, Ok(()), "{key}");
        assert_eq!(blobs.get(key).await, Ok(Some(content)), "{key}");
        assert_eq!(blobs.delete(key).await, Ok(()), "{key}");
        assert_eq!(blobs.get(key).await, Ok(None), "{key}");
    }
}

/// Also by a shorter one.
pub async fn putting_again_replaces_the_blob(blobs: Arc<dyn Blobs>) {
    for content in ["first and long", "second", ""] {
        assert_eq!(blobs.put("ab/cd", content.into()).await, Ok(()));
        assert_eq!(blobs.get("ab/cd").await, Ok(Some(content.into())));
    }
}

/// One that never existed, and one that was deleted.
pub async fn deleting_an_absent_blob_succeeds(blobs: Arc<dyn Blobs>) {
    assert_eq!(blobs.delete("ab/cd").await, Ok(()));
    assert_eq!(blobs.put("ab/cd", "content".into()).await, Ok(()));
    for _ in 0..2 {
        assert_eq!(blobs.delete("ab/cd").await, Ok(()));
    }
}

/// Deleting one of them leaves the others.
pub async fn similar_keys_are_independent(blobs: Arc<dyn Blobs>) {
    let keys = ["ab/cd", "ab/ce", "ac/cd", "ab/cd.png"];
    for key in keys {
        assert_eq!(blobs.put(key, key.into()).await, Ok(()));
    }
    assert_eq!(blobs.delete(keys[0]).await, Ok(()));
    assert_eq!(blobs.get(keys[0]).await, Ok(None));
    for key in &keys[1..] {
        assert_eq!(blobs.get(key).await, Ok(Some((*key).into())), "{key}");
    }
}

/// With its size, once each; none that was deleted.
pub async fn all_blobs_are_listed(blobs: Arc<dyn Blobs>) {
    let list = async || {
        let mut list: Vec<StoredBlob> = blobs.list().try_collect().await.expect("it can be listed");
        list.sort_by(|one, other| one.key.cmp(&other.key));
        list
    };
    assert_eq!(list().await, []);
    for key in ["ab/cd", "ab/ce", "ac/cd.png", "ef"] {
        assert_eq!(blobs.put(key, key.into()).await, Ok(()));
    }
    assert_eq!(blobs.delete("ab/ce").await, Ok(()));
    let listed = list().await;
    let found: Vec<_> = listed.iter().map(|blob| (blob.key.as_str(), blob.bytes)).collect();
    assert_eq!(found, [("ab/cd", 5), ("ac/cd.png", 9), ("ef", 2)]);
}
