//! External ids: ids by which the clients of another server know objects of this one.

use super::StoreError;
use async_trait::async_trait;
use tolmach_domain::{ExternalId, Fault, ID_LIMIT, IdNamespace, ObjectId, ObjectKind};

/// The external ids of a [`Store`](super::Store): for each namespace and kind of object, a table of
/// external ids and objects, in which each has one row at most.
///
/// - Rows are added, never changed. They outlive their objects, whose ids are never used again, so
///   that no external id comes to mean another object.
/// - The objects of rows need not exist: an import may add rows before or after them.
#[async_trait]
pub trait ExternalIdStore: Send + Sync + 'static {
    /// Adds all of these rows or none. One that exists already changes nothing.
    ///
    /// - [`Fault::Invalid`] with the field `external_id` if the
    ///   external id is that of another object, the object has another external id, or the row
    ///   [cannot be told apart](ExternalIdRow::check).
    /// - Objects that are created later get ids above every
    ///   [number](tolmach_domain::ExternalId::wire_number) among the rows of their kind, in all
    ///   namespaces.
    async fn add_external_ids(
        &self,
        namespace: &IdNamespace,
        rows: &[ExternalIdRow],
    ) -> Result<(), StoreError>;

    /// The rows with these external ids, those that exist, in any order.
    async fn objects_of_external_ids(
        &self,
        namespace: &IdNamespace,
        ids: &[(ObjectKind, ExternalId)],
    ) -> Result<Vec<ExternalIdRow>, StoreError>;

    /// The rows of these objects, those that exist, in any order.
    async fn external_ids_of_objects(
        &self,
        namespace: &IdNamespace,
        objects: &[ObjectId],
    ) -> Result<Vec<ExternalIdRow>, StoreError>;

    /// The bounds of a namespace's rows. Ids above them need not be looked up.
    async fn external_id_bounds(
        &self,
        namespace: &IdNamespace,
    ) -> Result<ExternalIdBounds, StoreError>;
}

/// An object and its id in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalIdRow {
    /// The object.
    pub object: ObjectId,
    /// Its external id.
    pub external: ExternalId,
}

impl ExternalIdRow {
    /// The refusal of an external id that some wire could not tell from the number of an object: 0,
    /// and those from [`EXTERNAL_NUMBER_LIMIT`](tolmach_domain::EXTERNAL_NUMBER_LIMIT) up to
    /// [`ID_LIMIT`].
    pub fn check(&self) -> Result<(), Fault> {
        let is_wide = self.external.0 >= ID_LIMIT.unsigned_abs().into();
        if is_wide || self.external.number().is_some() {
            return Ok(());
        }
        Err(Fault::invalid("external_id", "an external id is not 0, nor from 2^52 to 2^53 - 1"))
    }
}

/// The bounds of the rows of a namespace, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExternalIdBounds {
    /// The number of times that rows were added: while it is the same, so are the rows.
    pub additions: u64,
    /// Of users.
    pub users: KindBounds,
    /// Of flows.
    pub flows: KindBounds,
    /// Of messages.
    pub messages: KindBounds,
}

impl ExternalIdBounds {
    /// The bounds of a kind.
    pub fn of(&self, kind: ObjectKind) -> KindBounds {
        match kind {
            ObjectKind::User => self.users,
            ObjectKind::Flow => self.flows,
            ObjectKind::Message => self.messages,
        }
    }

    /// The bounds of a kind, to change.
    pub fn of_mut(&mut self, kind: ObjectKind) -> &mut KindBounds {
        match kind {
            ObjectKind::User => &mut self.users,
            ObjectKind::Flow => &mut self.flows,
            ObjectKind::Message => &mut self.messages,
        }
    }
}

/// The bounds of the rows of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindBounds {
    /// The highest id of an object that has a row; 0 without rows.
    pub highest_object: i64,
    /// The highest [number](tolmach_domain::ExternalId::number) of an external id; 0 without one.
    pub highest_number: i64,
    /// The same of the [numbers of groups](tolmach_domain::ExternalId::group_number).
    pub highest_group_number: i64,
}
