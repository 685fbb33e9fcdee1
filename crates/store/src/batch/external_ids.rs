//! External ids.

use super::transaction::Batch;
use crate::read::{self, external_id_bytes, kind_number};
use crate::sql;
use std::collections::HashMap;
use tolmach_domain::{Fault, IdNamespace, ObjectKind};
use tolmach_engine::ports::{ExternalIdRow, StoreError};

impl Batch {
    pub(crate) async fn add_external_ids(
        &mut self,
        namespace: &IdNamespace,
        rows: &[ExternalIdRow],
    ) -> Result<(), StoreError> {
        for row in rows {
            row.check()?;
        }
        let values = rows.iter().map(|row| {
            [
                namespace.as_str().into(),
                kind_number(row.object.kind()).into(),
                external_id_bytes(row.external),
                row.object.get().into(),
            ]
        });
        let added = sql::ADD_EXTERNAL_IDS.execute(&self.transaction, values.collect()).await?;
        // A row that is there, or conflicts with another, was not inserted.
        if added != rows.len() as u64 {
            self.check_external_ids(namespace, rows).await?;
        }
        let counted = vec![namespace.as_str().into()];
        sql::execute(&self.transaction, sql::COUNT_ADDITION, counted).await?;
        for kind in ObjectKind::ALL {
            let of_kind = rows.iter().filter(|row| row.object.kind() == kind);
            let highest = of_kind.filter_map(|row| row.external.wire_number()).max();
            sql::skip_ids(&self.transaction, kind.name(), highest.unwrap_or_default()).await?;
        }
        Ok(())
    }

    /// Refuses rows that are not stored, because they conflict with others.
    async fn check_external_ids(
        &self,
        namespace: &IdNamespace,
        rows: &[ExternalIdRow],
    ) -> Result<(), StoreError> {
        let keys: Vec<_> = rows.iter().map(|row| (row.object.kind(), row.external)).collect();
        let found = read::objects_of_external_ids(&self.transaction, namespace, &keys).await?;
        let stored: HashMap<_, _> =
            found.iter().map(|row| ((row.object.kind(), row.external), row.object)).collect();
        let is_stored = |row: &ExternalIdRow| {
            stored.get(&(row.object.kind(), row.external)) == Some(&row.object)
        };
        if let Some(row) = rows.iter().find(|row| !is_stored(row)) {
            let (kind, object) = (row.object.kind().name(), row.object.get());
            let reason = format!("{kind} {object}, or its external id, has another one");
            return Err(Fault::invalid("external_id", reason).into());
        }
        Ok(())
    }
}
