//! External ids.

use crate::error::corrupt;
use crate::sql::{self, ListStatement, get};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use tolmach_domain::{EXTERNAL_NUMBER_LIMIT, ExternalId, IdNamespace, ObjectId, ObjectKind};
use tolmach_engine::ports::{ExternalIdBounds, ExternalIdRow, KindBounds, StoreError};

/// The number of a kind in the database.
pub(crate) fn kind_number(kind: ObjectKind) -> i64 {
    match kind {
        ObjectKind::User => 1,
        ObjectKind::Flow => 2,
        ObjectKind::Message => 3,
    }
}

/// An external id in the database.
pub(crate) fn external_id_bytes(id: ExternalId) -> Value {
    id.0.to_be_bytes().to_vec().into()
}

/// The rows with these external ids, those that exist.
pub(crate) async fn objects_of_external_ids<C: ConnectionTrait>(
    database: &C,
    namespace: &IdNamespace,
    ids: &[(ObjectKind, ExternalId)],
) -> Result<Vec<ExternalIdRow>, StoreError> {
    let mut rows = Vec::new();
    for kind in ObjectKind::ALL {
        let ids = ids.iter().filter(|(of, _)| *of == kind).map(|(_, id)| external_id_bytes(*id));
        let ids: Vec<Value> = ids.collect();
        read_rows(database, &sql::OBJECTS_OF_EXTERNAL_IDS, (namespace, kind), &ids, &mut rows)
            .await?;
    }
    Ok(rows)
}

/// The same for any number of external ids of a kind, each with its object.
pub(crate) async fn objects_of_many_external_ids<C: ConnectionTrait>(
    database: &C,
    namespace: &IdNamespace,
    kind: ObjectKind,
    ids: &[ExternalId],
) -> Result<Vec<(ExternalId, i64)>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let of_kind = || vec![Value::from(namespace.as_str()), kind_number(kind).into()];
    // Messages that kept their numbers have no rows.
    if sql::row(database, sql::HIGHEST_EXTERNAL_OBJECT, of_kind()).await?.is_none() {
        return Ok(Vec::new());
    }
    let ids: Vec<Value> = ids.iter().copied().map(external_id_bytes).collect();
    let rows = sql::OBJECTS_OF_MANY_EXTERNAL_IDS.rows(database, of_kind(), &ids).await?;
    rows.iter().map(|row| Ok((external_id(row)?, get(row, "object_id")?))).collect()
}

/// The rows of these objects, those that exist.
pub(crate) async fn external_ids_of_objects<C: ConnectionTrait>(
    database: &C,
    namespace: &IdNamespace,
    objects: &[ObjectId],
) -> Result<Vec<ExternalIdRow>, StoreError> {
    let mut rows = Vec::new();
    for kind in ObjectKind::ALL {
        let objects = objects.iter().filter(|object| object.kind() == kind);
        let ids: Vec<Value> = objects.map(|object| object.get().into()).collect();
        read_rows(database, &sql::EXTERNAL_IDS_OF_OBJECTS, (namespace, kind), &ids, &mut rows)
            .await?;
    }
    Ok(rows)
}

/// The bounds of a namespace.
pub(crate) async fn external_id_bounds<C: ConnectionTrait>(
    database: &C,
    namespace: &IdNamespace,
) -> Result<ExternalIdBounds, StoreError> {
    let mut bounds = ExternalIdBounds::default();
    // Read first: rows that are added meanwhile are then seen as an addition later.
    let additions = sql::row(database, sql::ADDITIONS, vec![namespace.as_str().into()]).await?;
    let Some(additions) = additions else { return Ok(bounds) };
    bounds.additions = get::<i64>(&additions, "additions")?.unsigned_abs();
    let numbers_end = ExternalId(EXTERNAL_NUMBER_LIMIT.unsigned_abs().into());
    let highest_group = ExternalId::of_group(EXTERNAL_NUMBER_LIMIT - 1);
    let groups_end = highest_group.map_or(numbers_end, |highest| ExternalId(highest.0 + 1));
    for kind in ObjectKind::ALL {
        let of_kind = || vec![Value::from(namespace.as_str()), kind_number(kind).into()];
        let highest = sql::row(database, sql::HIGHEST_EXTERNAL_OBJECT, of_kind()).await?;
        let Some(highest) = highest else { continue };
        let number = highest_below(database, of_kind(), numbers_end).await?;
        let number = number.and_then(ExternalId::number);
        let group_number = highest_below(database, of_kind(), groups_end).await?;
        let group_number = group_number.and_then(ExternalId::group_number);
        *bounds.of_mut(kind) = KindBounds {
            highest_object: get(&highest, "object_id")?,
            highest_number: number.unwrap_or_default(),
            highest_group_number: group_number.unwrap_or_default(),
        };
    }
    Ok(bounds)
}

/// The highest external id of a namespace and kind below another one.
async fn highest_below<C: ConnectionTrait>(
    database: &C,
    mut of_kind: Vec<Value>,
    end: ExternalId,
) -> Result<Option<ExternalId>, StoreError> {
    of_kind.push(external_id_bytes(end));
    let found = sql::row(database, sql::HIGHEST_EXTERNAL_ID_BELOW, of_kind).await?;
    found.as_ref().map(external_id).transpose()
}

async fn read_rows<C: ConnectionTrait>(
    database: &C,
    statement: &ListStatement,
    (namespace, kind): (&IdNamespace, ObjectKind),
    ids: &[Value],
    rows: &mut Vec<ExternalIdRow>,
) -> Result<(), StoreError> {
    for list in sql::padded_lists(ids) {
        let length = list.len();
        let of_kind = [Value::from(namespace.as_str()), kind_number(kind).into()];
        let values = of_kind.into_iter().chain(list).collect();
        for row in statement.rows(database, length, values).await? {
            let number: i64 = get(&row, "object_id")?;
            let object = ObjectId::new(kind, number);
            let object = object.ok_or_else(|| corrupt(format!("{number} is no id")))?;
            rows.push(ExternalIdRow { object, external: external_id(&row)? });
        }
    }
    Ok(())
}

fn external_id(row: &QueryResult) -> Result<ExternalId, StoreError> {
    let bytes: Vec<u8> = get(row, "external_id")?;
    let bytes = bytes.try_into().map_err(|_| corrupt("an external id that has not 16 bytes"))?;
    Ok(ExternalId(u128::from_be_bytes(bytes)))
}
