//! Flows and their members.

use super::rows::at_most_one;
use crate::entities::{flow, member, user};
use crate::error::store_error;
use crate::rows::{flow as to_flow, flow_version, user as to_user};
use crate::sql::{self, get};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, Value};
use std::collections::HashMap;
use tolmach_domain::{Flow, FlowId, User, UserId, Version};
use tolmach_engine::ports::StoreError;

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

/// The members of flows, each list ordered by id.
pub(crate) async fn members<C: ConnectionTrait>(
    database: &C,
    flows: &[i64],
) -> Result<HashMap<i64, Vec<User>>, StoreError> {
    let mut members: HashMap<i64, Vec<User>> = HashMap::new();
    for list in sql::padded_lists(flows) {
        for row in sql::MEMBERS
            .rows(database, list.len(), list.into_iter().map(Value::from).collect())
            .await?
        {
            let user = user::Model::from_query_result(&row, "").map_err(store_error)?;
            members.entry(get(&row, "in_flow")?).or_default().push(to_user(user)?);
        }
    }
    Ok(members)
}
