//! The external ids of one namespace.

use crate::ports::ExternalIdRow;
use std::collections::BTreeMap;
use tolmach_domain::{ExternalId, Fault, ObjectId, ObjectKind};

/// The rows of one namespace, both ways.
#[derive(Default, Clone)]
pub(super) struct NamespaceRows {
    pub(super) additions: u64,
    pub(super) by_external: BTreeMap<(ObjectKind, ExternalId), ObjectId>,
    pub(super) by_object: BTreeMap<ObjectId, ExternalId>,
}

impl NamespaceRows {
    pub(super) fn add(&mut self, row: ExternalIdRow) -> Result<(), Fault> {
        row.check()?;
        let ExternalIdRow { object, external } = row;
        let key = (object.kind(), external);
        let is_known = self.by_object.get(&object) == Some(&external);
        if !is_known
            && (self.by_object.contains_key(&object) || self.by_external.contains_key(&key))
        {
            return Err(Fault::invalid("external_id", "an object has one external id"));
        }
        self.by_object.insert(object, external);
        self.by_external.insert(key, object);
        Ok(())
    }
}
