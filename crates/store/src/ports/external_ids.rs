//! External ids.

use crate::read;
use crate::store::SqlStore;
use async_trait::async_trait;
use tolmach_domain::{ExternalId, IdNamespace, ObjectId, ObjectKind};
use tolmach_engine::ports::{ExternalIdBounds, ExternalIdRow, ExternalIdStore, StoreError};

#[async_trait]
impl ExternalIdStore for SqlStore {
    async fn add_external_ids(
        &self,
        namespace: &IdNamespace,
        rows: &[ExternalIdRow],
    ) -> Result<(), StoreError> {
        let (namespace, rows) = (namespace.clone(), rows.to_vec());
        self.write(size_of_val(rows.as_slice()), move |batch| {
            Box::pin(async move { batch.add_external_ids(&namespace, &rows).await })
        })
        .await
    }

    async fn objects_of_external_ids(
        &self,
        namespace: &IdNamespace,
        ids: &[(ObjectKind, ExternalId)],
    ) -> Result<Vec<ExternalIdRow>, StoreError> {
        self.read(|| read::objects_of_external_ids(&self.readers, namespace, ids)).await
    }

    async fn external_ids_of_objects(
        &self,
        namespace: &IdNamespace,
        objects: &[ObjectId],
    ) -> Result<Vec<ExternalIdRow>, StoreError> {
        self.read(|| read::external_ids_of_objects(&self.readers, namespace, objects)).await
    }

    async fn external_id_bounds(
        &self,
        namespace: &IdNamespace,
    ) -> Result<ExternalIdBounds, StoreError> {
        self.read(|| read::external_id_bounds(&self.readers, namespace)).await
    }
}
