//! Flows and their members.

use super::rows::at_most_one;
use super::users::user_of_row;
use crate::entities::{flow, member};
use crate::error::store_error;
use crate::rows::{flow as to_flow, flow_version, user_id};
use crate::sql::{self, get};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Value};
use std::collections::{HashMap, HashSet};
use tolmach_domain::{Flow, FlowId, User, UserId, Version};
use tolmach_engine::ports::StoreError;
use tolmach_engine::{LISTED_MEMBERS, user_size};

/// The number of members read at once.
const MEMBERS_PAGE: i64 = 256;

/// The number of users read at once.
const USERS_PAGE: usize = 512;

pub(crate) async fn flow<C: ConnectionTrait>(
    database: &C,
    id: FlowId,
) -> Result<Option<Flow>, StoreError> {
    let found = flow::Entity::find_by_id(id.get()).filter(flow::Column::DeletedAt.is_null());
    at_most_one(found.all(database).await)?.map(to_flow).transpose()
}

/// The flow with this id, and the version up to which the user, if they are a member, has read it.
pub(crate) async fn flow_and_membership<C: ConnectionTrait>(
    database: &C,
    id: FlowId,
    user: UserId,
) -> Result<Option<(Flow, Option<Version>)>, StoreError> {
    let values = vec![id.get().into(), user.get().into()];
    let Some(row) = sql::row(database, &sql::FLOW_AND_MEMBERSHIP, values).await? else {
        return Ok(None);
    };
    let read: Option<i64> = get(&row, "read_version")?;
    let flow = to_flow(flow::Model::from_query_result(&row, "").map_err(store_error)?)?;
    Ok(Some((flow, read.map(Version))))
}

/// True if the user is a member. Deleting a flow deletes its members, so the flow is not read.
pub(crate) async fn is_member<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    user: UserId,
) -> Result<bool, StoreError> {
    Ok(membership(database, flow, user).await?.is_some())
}

/// Those of these users who share a flow with `viewer` in which both have acted.
pub(crate) async fn acquaintances<C: ConnectionTrait>(
    database: &C,
    viewer: UserId,
    users: &[UserId],
) -> Result<HashSet<UserId>, StoreError> {
    let users: Vec<Value> = users.iter().map(|user| user.get().into()).collect();
    let rows = sql::ACQUAINTANCES.rows(database, vec![viewer.get().into()], &users).await?;
    rows.iter().map(|row| user_id(get(row, "user_id")?)).collect()
}

/// The membership of a user.
pub(super) async fn membership<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    user: UserId,
) -> Result<Option<member::Model>, StoreError> {
    at_most_one(member::Entity::find_by_id((flow.get(), user.get())).all(database).await)
}

pub(crate) async fn flow_versions<C: ConnectionTrait>(
    database: &C,
    user: UserId,
) -> Result<Vec<(FlowId, Version)>, StoreError> {
    let rows = sql::rows(database, sql::FLOW_VERSIONS, vec![user.get().into()]).await?;
    rows.iter().map(flow_version).collect()
}

/// True if a member of the flow has the business tariff; `None` if there is no such flow.
pub(crate) async fn has_business_member<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
) -> Result<Option<bool>, StoreError> {
    let row = sql::row(database, sql::HAS_BUSINESS_MEMBER, vec![flow.get().into()]).await?;
    row.map(|row| get(&row, "business")).transpose()
}

/// The members of a flow by id, up to the first one beyond a budget.
pub(super) async fn members<C: ConnectionTrait>(
    database: &C,
    flow: FlowId,
    max_bytes: usize,
) -> Result<Vec<User>, StoreError> {
    let (mut members, mut bytes, mut after) = (Vec::new(), 0, 0);
    while bytes <= max_bytes {
        let values = vec![flow.get().into(), after.into(), MEMBERS_PAGE.into()];
        let rows = sql::rows(database, &sql::MEMBERS, values).await?;
        let is_last = rows.len() < MEMBERS_PAGE as usize;
        for row in &rows {
            let member = user_of_row(row)?;
            after = member.id.get();
            bytes += user_size(&member);
            members.push(member);
        }
        if is_last {
            break;
        }
    }
    Ok(members)
}

/// The first members of flows by id, at most [`LISTED_MEMBERS`] of each, by flow. A member with the
/// business tariff is among them if the flow has one.
pub(super) async fn first_members<C: ConnectionTrait>(
    database: &C,
    flows: &[i64],
) -> Result<HashMap<i64, Vec<i64>>, StoreError> {
    let mut by_flow: HashMap<i64, Vec<i64>> = HashMap::with_capacity(flows.len());
    let flows: Vec<Value> = flows.iter().copied().map(Value::from).collect();
    let others = vec![(LISTED_MEMBERS as i64 - 1).into()];
    for row in sql::FIRST_MEMBERS.rows(database, others, &flows).await? {
        by_flow.entry(get(&row, "flow_id")?).or_default().push(get(&row, "user_id")?);
    }
    by_flow.values_mut().for_each(|members| members.sort_unstable());
    let cut = by_flow.iter().filter(|(_, members)| members.len() == LISTED_MEMBERS);
    let cut: Vec<Value> = cut.map(|(flow, _)| (*flow).into()).collect();
    for row in sql::FIRST_BUSINESS_MEMBERS.rows(database, Vec::new(), &cut).await? {
        let (flow, business): (i64, i64) = (get(&row, "flow_id")?, get(&row, "user_id")?);
        if let Some(last) = by_flow.get_mut(&flow).and_then(|members| members.last_mut()) {
            *last = business.max(*last);
        }
    }
    Ok(by_flow)
}

/// The first of these users, by id: as many as a budget has room for, and the next ones.
pub(super) async fn users<C: ConnectionTrait>(
    database: &C,
    ids: &[i64],
    max_bytes: usize,
) -> Result<HashMap<i64, User>, StoreError> {
    let (mut users, mut bytes) = (HashMap::with_capacity(ids.len()), 0);
    for ids in ids.chunks(USERS_PAGE) {
        if bytes > max_bytes {
            break;
        }
        let ids: Vec<Value> = ids.iter().copied().map(Value::from).collect();
        for row in sql::USERS.rows(database, Vec::new(), &ids).await? {
            let user = user_of_row(&row)?;
            bytes += user_size(&user);
            users.insert(user.id.get(), user);
        }
    }
    Ok(users)
}
