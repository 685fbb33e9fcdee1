//! Photos of users and flows.

use crate::caller::Caller;
use crate::{Engine, ErrorChain};
use tolmach_domain::{
    Answer, Fault, FlowKindFilter, PHOTO_LIMIT, Photo, PhotoKey, PhotoOf, UserRef,
};

impl Engine {
    pub(crate) async fn get_photo(&self, caller: &Caller, of: PhotoOf) -> Result<Answer, Fault> {
        let photo = match of {
            PhotoOf::User(id) => self.named(caller, UserRef::Id(id)).await?.photo,
            PhotoOf::Flow(id) => self.visible_flow(caller, id, FlowKindFilter::Any).await?.photo,
        };
        Ok(Answer::Photo(self.photo(photo.ok_or(Fault::NoPhoto)?).await?))
    }

    /// A photo by its key: for operators.
    pub async fn photo(&self, photo: PhotoKey) -> Result<Photo, Fault> {
        let PhotoKey { key, media_type } = photo;
        match self.ports.blobs.get(&key).await {
            Ok(Some(content)) => Ok(Photo { media_type, content }),
            Ok(None) => {
                tracing::error!(%key, "a photo is missing from the blob store");
                Err(Fault::NoPhoto)
            }
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), "a photo could not be read");
                Err(Fault::Unavailable)
            }
        }
    }

    /// Stores a photo under a random key. Its media type is detected from the content; the one that
    /// the upload names is not used.
    pub(crate) async fn store_photo(
        &self,
        photo: Option<Photo>,
    ) -> Result<Option<PhotoKey>, Fault> {
        let Some(photo) = photo else { return Ok(None) };
        if photo.content.len() > PHOTO_LIMIT {
            return Err(Fault::invalid("photo", "must have at most 5 MiB"));
        }
        let kind = infer::get(&photo.content)
            .filter(|kind| kind.matcher_type() == infer::MatcherType::Image);
        let media_type =
            kind.ok_or_else(|| Fault::invalid("photo", "is not an image"))?.mime_type().to_owned();
        let name = self.random_hex::<16>();
        let key = format!("{}/{name}", &name[..2]);
        self.ports.blobs.put(&key, photo.content).await.map_err(|error| {
            tracing::error!(error = %ErrorChain(&error), "a photo could not be stored");
            Fault::Unavailable
        })?;
        Ok(Some(PhotoKey { key, media_type }))
    }

    /// Deletes a photo that no record names. A failure leaves an orphaned blob and is logged.
    pub(crate) async fn discard_photo(&self, photo: &PhotoKey) {
        if let Err(error) = self.ports.blobs.delete(&photo.key).await {
            let error = ErrorChain(&error);
            tracing::warn!(%error, key = %photo.key, "a photo could not be deleted");
        }
    }
}
