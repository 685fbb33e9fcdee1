//! Flows and their members.

use super::rows::at_most_one;
use crate::entities::{flow, member, user};
use crate::error::store_error;
use crate::rows::{flow as to_flow, flow_version, user as to_user, user_id};
use crate::sql::{self, get};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Value};
use std::collections::{HashMap, HashSet};
use tolmach_domain::{Flow, FlowId, User, UserId, Version};
use tolmach_engine::ports::StoreError;
use tolmach_engine::user_size;

/// The number of members read at once.
const MEMBERS_PAGE: i64 = 256;

pub(crate) async fn flow<C: ConnectionTrait>(
    database: &C,
    id: FlowId,
) -> Result<Option<Flow>, StoreError> {
    let found = flow::Entity::find_by_id(id.get()).filter(flow::Column::DeletedAt.is_null());
    at_most_one(found.all(database).await)?.map(to_flow).transpose()
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
    let mut found = HashSet::new();
    for list in sql::padded_lists(users) {
        let ids = std::iter::once(viewer).chain(list.iter().copied());
        let values = ids.map(|user| user.get().into()).collect();
        for row in sql::ACQUAINTANCES.rows(database, list.len(), values).await? {
            found.insert(user_id(get(&row, "user_id")?)?);
        }
    }
    Ok(found)
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

/// The members of flows.
pub(super) struct Members {
    /// By flow, each list ordered by id.
    pub(super) by_flow: HashMap<i64, Vec<User>>,
    /// False if the reading ended because they exceeded the budget.
    pub(super) is_complete: bool,
}

/// Reads the members of flows, page by page, until they exceed a budget.
pub(super) async fn members<C: ConnectionTrait>(
    database: &C,
    flows: &[i64],
    max_bytes: usize,
) -> Result<Members, StoreError> {
    let mut flows = flows.to_vec();
    flows.sort_unstable();
    let mut by_flow: HashMap<i64, Vec<User>> = HashMap::with_capacity(flows.len());
    let mut bytes = 0;
    for list in sql::padded_lists(&flows) {
        let (mut list, mut after) = (list, (0, 0));
        loop {
            let values = list.iter().copied().chain([after.0, after.1, MEMBERS_PAGE]);
            let values = values.map(Value::from).collect();
            let rows = sql::MEMBERS.rows(database, list.len(), values).await?;
            let is_last = rows.len() < MEMBERS_PAGE as usize;
            for row in rows {
                let member = user::Model::from_query_result(&row, "").map_err(store_error)?;
                after = (get(&row, "in_flow")?, member.id);
                let member = to_user(member)?;
                bytes += user_size(&member);
                by_flow.entry(after.0).or_default().push(member);
                if bytes > max_bytes {
                    return Ok(Members { by_flow, is_complete: false });
                }
            }
            if is_last {
                break;
            }
            // The flows before that of the last member are complete.
            let rest: Vec<i64> = list.into_iter().filter(|flow| *flow >= after.0).collect();
            list = sql::padded_lists(&rest).next().unwrap_or_default();
        }
    }
    Ok(Members { by_flow, is_complete: true })
}
