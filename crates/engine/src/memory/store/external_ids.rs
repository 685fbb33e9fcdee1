//! External ids.

use super::memory_store::MemoryStore;
use super::namespace_rows::NamespaceRows;
use super::state::State;
use crate::ports::{ExternalIdBounds, ExternalIdRow, ExternalIdStore, StoreError};
use async_trait::async_trait;
use tolmach_domain::{ExternalId, IdNamespace, ObjectId, ObjectKind};

#[async_trait]
impl ExternalIdStore for MemoryStore {
    async fn add_external_ids(
        &self,
        namespace: &IdNamespace,
        rows: &[ExternalIdRow],
    ) -> Result<(), StoreError> {
        self.change(|state| {
            let mut changed = state.external_ids.get(namespace).cloned().unwrap_or_default();
            for row in rows {
                changed.add(*row)?;
            }
            changed.additions += 1;
            state.external_ids.insert(namespace.clone(), changed);
            for row in rows {
                let last = match row.object.kind() {
                    ObjectKind::User => &mut state.last_user,
                    ObjectKind::Flow => &mut state.last_flow,
                    ObjectKind::Message => &mut state.last_message,
                };
                *last = (*last).max(row.external.wire_number().unwrap_or_default());
            }
            Ok(())
        })
        .await
    }

    async fn objects_of_external_ids(
        &self,
        namespace: &IdNamespace,
        ids: &[(ObjectKind, ExternalId)],
    ) -> Result<Vec<ExternalIdRow>, StoreError> {
        self.read(|state| {
            let rows = rows_of(state, namespace);
            let found = ids.iter().filter_map(|key| {
                let object = *rows?.by_external.get(key)?;
                Some(ExternalIdRow { object, external: key.1 })
            });
            found.collect()
        })
        .await
    }

    async fn external_ids_of_objects(
        &self,
        namespace: &IdNamespace,
        objects: &[ObjectId],
    ) -> Result<Vec<ExternalIdRow>, StoreError> {
        self.read(|state| {
            if state.external_ids_fail {
                return Err(StoreError::unavailable("external ids cannot be read"));
            }
            let rows = rows_of(state, namespace);
            let found = objects.iter().filter_map(|object| {
                let external = *rows?.by_object.get(object)?;
                Some(ExternalIdRow { object: *object, external })
            });
            Ok(found.collect())
        })
        .await?
    }

    async fn external_id_bounds(
        &self,
        namespace: &IdNamespace,
    ) -> Result<ExternalIdBounds, StoreError> {
        self.read(|state| {
            let mut bounds = ExternalIdBounds::default();
            let Some(rows) = rows_of(state, namespace) else { return bounds };
            bounds.additions = rows.additions;
            for (object, external) in &rows.by_object {
                let bounds = bounds.of_mut(object.kind());
                bounds.highest_object = bounds.highest_object.max(object.get());
                let number = external.number().unwrap_or_default();
                bounds.highest_number = bounds.highest_number.max(number);
                let number = external.group_number().unwrap_or_default();
                bounds.highest_group_number = bounds.highest_group_number.max(number);
            }
            bounds
        })
        .await
    }
}

fn rows_of<'a>(state: &'a State, namespace: &IdNamespace) -> Option<&'a NamespaceRows> {
    state.external_ids.get(namespace)
}
