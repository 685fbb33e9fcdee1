//! A whole world, for an export.

use super::objects_of_external_ids;
use crate::entities::{flow, user};
use crate::error::{corrupt, store_error};
use crate::rows::{self, flow_id, message_id, user_id};
use crate::sql::{self, get};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use std::collections::{BTreeMap, HashMap};
use tolmach_domain::{
    ExternalId, FlowId, IdNamespace, Message, MessageId, ObjectKind, Timestamp, User, UserId,
    Version,
};
use tolmach_engine::ports::{
    IdentifierOwner, ImportPosition, ImportState, LastIds, StoreError, StoredContent, StoredFlow,
    StoredMember, StoredUser,
};
use tolmach_engine::{case_folded, look_alikes};

pub(crate) async fn imported_users<C: ConnectionTrait>(
    database: &C,
    source: &IdNamespace,
    users: &[ExternalId],
) -> Result<Vec<ExternalId>, StoreError> {
    let keys: Vec<_> = users.iter().map(|user| (ObjectKind::User, *user)).collect();
    let rows = objects_of_external_ids(database, source, &keys).await?;
    Ok(rows.into_iter().map(|row| row.external).collect())
}

pub(crate) async fn import_state<C: ConnectionTrait>(
    database: &C,
    source: &IdNamespace,
) -> Result<Option<ImportState>, StoreError> {
    let row = sql::row(database, sql::IMPORT_STATE, vec![source.as_str().into()]).await?;
    let Some(row) = row else { return Ok(None) };
    let before = LastIds {
        users: get(&row, "users")?,
        flows: get(&row, "flows")?,
        messages: get(&row, "messages")?,
    };
    let lines: i64 = get(&row, "line_count")?;
    let digest: Option<Vec<u8>> = get(&row, "digest")?;
    let position = digest.map(|digest| {
        let digest = digest.try_into().map_err(|_| corrupt("a digest of another length"))?;
        let lines = u64::try_from(lines).map_err(corrupt)?;
        Ok::<_, StoreError>(ImportPosition { lines, digest })
    });
    let (cursor, groups_apart) = (get(&row, "source_cursor")?, get(&row, "groups_apart")?);
    Ok(Some(ImportState { before, position: position.transpose()?, cursor, groups_apart }))
}

pub(crate) async fn identifier_owners<C: ConnectionTrait>(
    database: &C,
    identifiers: &[String],
) -> Result<Vec<IdentifierOwner>, StoreError> {
    // The keys of each form, with the identifiers that have them.
    let (mut exact, mut looks) = (HashMap::<_, Vec<&str>>::new(), HashMap::<_, Vec<&str>>::new());
    for identifier in identifiers {
        exact.entry(case_folded(identifier)).or_default().push(identifier);
        for look in look_alikes(identifier) {
            looks.entry(look).or_default().push(identifier);
        }
    }
    let mut owners = BTreeMap::new();
    for (form, is_exact, keys) in [(rows::LOOK, false, looks), (rows::EXACT, true, exact)] {
        let list: Vec<&str> = keys.keys().map(String::as_str).collect();
        for list in sql::padded_lists(&list) {
            let values = list.iter().map(|key| Value::from(*key));
            let values = [Value::from(form)].into_iter().chain(values).collect();
            for row in sql::IDENTIFIER_OWNERS.rows(database, list.len(), values).await? {
                let key: String = get(&row, "name_key")?;
                let user = user_id(get(&row, "id")?)?;
                let deleted_at: Option<i64> = get(&row, "deleted_at")?;
                for identifier in keys.get(&key).into_iter().flatten() {
                    let owner = IdentifierOwner {
                        identifier: (*identifier).to_owned(),
                        user,
                        login: get(&row, "login")?,
                        email: get(&row, "email")?,
                        is_deleted: deleted_at.is_some(),
                        is_exact,
                    };
                    owners.insert((*identifier, user), owner);
                }
            }
        }
    }
    Ok(owners.into_values().collect())
}

pub(crate) async fn stored_messages<C: ConnectionTrait>(
    database: &C,
    ids: &[MessageId],
) -> Result<Vec<Message>, StoreError> {
    let mut found = messages(database, ids.iter().map(|id| id.get()).collect()).await?;
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids.into_iter().filter_map(|id| found.remove(&id.get())).collect())
}

pub(crate) async fn stored_contents<C: ConnectionTrait>(
    database: &C,
    ids: &[MessageId],
) -> Result<Vec<StoredContent>, StoreError> {
    let mut ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    ids.sort_unstable();
    ids.dedup();
    let ids: Vec<Value> = ids.into_iter().map(Value::from).collect();
    let found = sql::MESSAGE_CONTENTS.rows(database, Vec::new(), &ids).await?;
    found.iter().map(rows::stored_content).collect()
}

pub(crate) async fn last_ids<C: ConnectionTrait>(database: &C) -> Result<LastIds, StoreError> {
    Ok(LastIds {
        messages: sql::last_id(database, "message").await?,
        flows: sql::last_id(database, "flow").await?,
        users: sql::last_id(database, "user").await?,
    })
}

pub(crate) async fn export_users<C: ConnectionTrait>(
    database: &C,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<StoredUser>, StoreError> {
    let values = vec![after.map_or(0, UserId::get).into(), i64::from(limit).into()];
    let found = sql::rows(database, &sql::EXPORT_USERS, values).await?;
    found
        .iter()
        .map(|row| {
            let mut model = user::Model::from_query_result(row, "").map_err(store_error)?;
            let password_hash = model.password_hash.take();
            let user = User { avatar: get(row, "avatar")?, ..rows::user(model)? };
            Ok(StoredUser { user, password_hash })
        })
        .collect()
}

pub(crate) async fn export_flows<C: ConnectionTrait>(
    database: &C,
    after: Option<FlowId>,
    limit: u32,
) -> Result<Vec<StoredFlow>, StoreError> {
    let values = vec![after.map_or(0, FlowId::get).into(), i64::from(limit).into()];
    let found = sql::rows(database, &sql::EXPORT_FLOWS, values).await?;
    found
        .iter()
        .map(|row| {
            let model = flow::Model::from_query_result(row, "").map_err(store_error)?;
            let pair = model.pair.as_deref().map(pair_of).transpose()?;
            Ok(StoredFlow { flow: rows::flow(model)?, pair })
        })
        .collect()
}

pub(crate) async fn export_messages<C: ConnectionTrait>(
    database: &C,
    after: Option<(FlowId, Version)>,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let (flow, posted) = after.map_or((0, 0), |(flow, posted)| (flow.get(), posted.0));
    let values = vec![flow.into(), posted.into(), i64::from(limit).into()];
    let found = sql::rows(database, sql::EXPORT_MESSAGES, values).await?;
    let ids = found.iter().map(|row| get(row, "id")).collect::<Result<Vec<i64>, _>>()?;
    let mut found = messages(database, ids.clone()).await?;
    Ok(ids.into_iter().filter_map(|id| found.remove(&id)).collect())
}

pub(crate) async fn export_members<C: ConnectionTrait>(
    database: &C,
    after: Option<(FlowId, UserId)>,
    limit: u32,
) -> Result<Vec<StoredMember>, StoreError> {
    let (flow, user) = after.map_or((0, 0), |(flow, user)| (flow.get(), user.get()));
    let values = vec![flow.into(), user.into(), i64::from(limit).into()];
    let found = sql::rows(database, sql::EXPORT_MEMBERS, values).await?;
    found
        .iter()
        .map(|row| {
            let read: Option<i64> = get(row, "last_read")?;
            Ok(StoredMember {
                flow: flow_id(get(row, "flow_id")?)?,
                user: user_id(get(row, "user_id")?)?,
                joined_at: Timestamp::from_micros(get(row, "joined_at")?),
                read: read.map(message_id).transpose()?,
            })
        })
        .collect()
}

/// Messages by id.
async fn messages<C: ConnectionTrait>(
    database: &C,
    ids: Vec<i64>,
) -> Result<HashMap<i64, Message>, StoreError> {
    let mut found = HashMap::with_capacity(ids.len());
    for list in sql::padded_lists(&ids) {
        let values = list.iter().copied().map(Value::from).collect();
        for row in sql::MESSAGES.rows(database, list.len(), values).await? {
            let message = rows::message(&row)?;
            found.insert(message.id.get(), message);
        }
    }
    Ok(found)
}

/// The two users of a chat, from the column `pair`.
fn pair_of(text: &str) -> Result<[UserId; 2], StoreError> {
    let malformed = || corrupt("a pair that is not two ids");
    let (one, other) = text.split_once(':').ok_or_else(malformed)?;
    Ok([one.parse().map_err(corrupt)?, other.parse().map_err(corrupt)?])
}
