//! Flows and their members.

use super::lookups::distinct;
use super::transaction::Batch;
use crate::entities::{flow, member};
use crate::error::{corrupt, store_error};
use crate::read;
use crate::rows::{flow as to_flow, flow_id, photo_columns, user_summary};
use crate::sql::{self, get};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult,
    IntoActiveModel, QueryFilter, Set,
};
use std::collections::{HashMap, HashSet};
use tolmach_domain::{
    EventKind, Fault, Flow, FlowId, FlowKind, FlowKindFilter, Origin, PhotoKey, Timestamp, UserId,
    UserSummary, Version,
};
use tolmach_engine::ports::{
    CreateFlow, FlowCreation, FlowLimits, IDEMPOTENCY_WINDOW, IdempotencyKey, Quota, StoreError,
};

/// A flow to insert.
struct Insert {
    kind: FlowKind,
    title: String,
    info: String,
    owner: UserId,
    photo: Option<PhotoKey>,
    pair: Option<String>,
    members: Vec<UserSummary>,
}

impl Batch {
    pub(crate) async fn open_chat(
        &mut self,
        by: UserId,
        with: UserId,
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        if by == with {
            return Err(Fault::invalid("user", "a chat needs another user").into());
        }
        let members = self.user_summaries(&[by.min(with), by.max(with)]).await?;
        let pair = format!("{}:{}", by.min(with), by.max(with));
        let found = flow::Entity::find()
            .filter(flow::Column::Pair.eq(&pair))
            .one(&self.transaction)
            .await
            .map_err(store_error)?;
        if let Some(found) = found {
            let values = vec![found.id.into(), by.get().into()];
            sql::SET_ACTED.execute(&self.transaction, 1, values).await?;
            return Ok(FlowCreation::Existing(to_flow(found)?));
        }
        self.check_blocks(by, &[with]).await?;
        if read::acquaintances(&self.transaction, by, &[with]).await?.is_empty() {
            self.spend(by, Quota::Strangers, 1, &limits, now).await?;
        }
        let (title, info) = (String::new(), String::new());
        let insert = Insert {
            kind: FlowKind::Chat,
            title,
            info,
            owner: by,
            photo: None,
            pair: Some(pair),
            members,
        };
        Ok(FlowCreation::Created(self.insert_flow(insert, origin, now).await?))
    }

    pub(crate) async fn create_flow(
        &mut self,
        new: CreateFlow,
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        let CreateFlow { kind, title, info, owner, photo, mut members, key } = new;
        if kind == FlowKind::Chat {
            return Err(Fault::WrongKind.into());
        }
        if let Some(key) = &key
            && let Some(first) = self.created_before(owner, key, now).await?
        {
            return Ok(FlowCreation::Existing(first));
        }
        members.push(owner);
        members.sort_unstable();
        members.dedup();
        self.spend(owner, Quota::Groups, 1, &limits, now).await?;
        self.spend(owner, Quota::Members, members.len() - 1, &limits, now).await?;
        self.check_blocks(owner, &members).await?;
        let members = self.user_summaries(&members).await?;
        let flow = self
            .insert_flow(
                Insert { kind, title, info, owner, photo, pair: None, members },
                origin,
                now,
            )
            .await?;
        if let Some(IdempotencyKey { key, fingerprint }) = key {
            let values = vec![
                owner.get().into(),
                key.into(),
                flow.id.get().into(),
                fingerprint.to_vec().into(),
                now.micros().into(),
            ];
            sql::execute(&self.transaction, sql::ADD_FLOW_KEY, values).await?;
        }
        Ok(FlowCreation::Created(flow))
    }

    /// The flow that this key created within the window, if it still exists.
    async fn created_before(
        &self,
        owner: UserId,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Option<Flow>, StoreError> {
        let values = vec![owner.get().into(), key.key.as_str().into()];
        let Some(row) = sql::row(&self.transaction, &sql::FLOW_KEY, values).await? else {
            return Ok(None);
        };
        if now >= Timestamp::from_micros(get(&row, "used_at")?).after(IDEMPOTENCY_WINDOW) {
            return Ok(None);
        }
        if get::<Vec<u8>>(&row, "fingerprint")? != key.fingerprint {
            return Err(Fault::KeyReused.into());
        }
        to_flow(flow::Model::from_query_result(&row, "").map_err(store_error)?).map(Some)
    }

    async fn insert_flow(
        &mut self,
        insert: Insert,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<Flow, StoreError> {
        let Insert { kind, title, info, owner, photo, pair, members } = insert;
        let (photo_key, photo_type) = photo_columns(photo);
        let row = flow::ActiveModel {
            id: ActiveValue::NotSet,
            kind: Set(kind.into()),
            title: Set(title),
            info: Set(info),
            owner_id: Set(owner.get()),
            photo_key: Set(photo_key),
            photo_type: Set(photo_type),
            pair: Set(pair),
            version: Set(0),
            created_at: Set(now.micros()),
            changed_at: Set(self.next_commit_time(now).micros()),
            deleted_at: Set(None),
        };
        let flow = to_flow(row.insert(&self.transaction).await.map_err(store_error)?)?;
        self.insert_members(flow.id, &members, Some(owner), flow.changed_at).await?;
        self.publish(now, origin, EventKind::FlowCreated { flow: flow.clone(), members });
        Ok(flow)
    }

    /// Inserts members, of whom `creator` has acted.
    async fn insert_members(
        &self,
        flow: FlowId,
        members: &[UserSummary],
        creator: Option<UserId>,
        joined_at: Timestamp,
    ) -> Result<(), StoreError> {
        let backend = self.transaction.get_database_backend();
        let values = vec![
            flow.get().into(),
            // No user has the id 0.
            creator.map_or(0, UserId::get).into(),
            joined_at.micros().into(),
            sql::integer_list(backend, members.iter().map(|member| member.id.get()))?,
        ];
        sql::execute(&self.transaction, sql::insert_members(backend), values).await.map(drop)
    }

    /// The summaries of users, in this order. `NoSuchUser` if one of them is absent or deleted.
    async fn user_summaries(&self, users: &[UserId]) -> Result<Vec<UserSummary>, StoreError> {
        let mut found = HashMap::with_capacity(users.len());
        for row in self.by_id(&sql::USER_SUMMARIES, users.iter().map(|user| user.get())).await? {
            if get::<Option<i64>>(&row, "deleted_at")?.is_none() {
                let summary = user_summary(&row)?;
                found.insert(summary.id, summary);
            }
        }
        let summary = |user| Ok(found.get(user).cloned().ok_or(Fault::NoSuchUser)?);
        users.iter().map(summary).collect()
    }

    /// A flow of these kinds that `by` is a member and the owner of.
    async fn owned(
        &self,
        id: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
    ) -> Result<flow::Model, StoreError> {
        let found = self.joined(id, by, kinds).await?;
        if found.owner_id != by.get() {
            return Err(Fault::NotOwner.into());
        }
        Ok(found)
    }

    /// A flow of these kinds that `by` is a member of.
    async fn joined(
        &self,
        id: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
    ) -> Result<flow::Model, StoreError> {
        let values = vec![id.get().into(), by.get().into()];
        let row = sql::row(&self.transaction, &sql::FLOW_AND_MEMBERSHIP, values).await?;
        let row = row.ok_or(Fault::NoSuchFlow)?;
        if get::<Option<i64>>(&row, "read_version")?.is_none() {
            return Err(Fault::NoSuchFlow.into());
        }
        let found = flow::Model::from_query_result(&row, "").map_err(store_error)?;
        if !kinds.include(found.kind.into()) {
            return Err(Fault::WrongKind.into());
        }
        Ok(found)
    }

    /// The number of a flow's members.
    async fn count_members(&self, flow: FlowId) -> Result<usize, StoreError> {
        let values = vec![flow.get().into()];
        let row = sql::row(&self.transaction, sql::COUNT_MEMBERS, values).await?;
        let row = row.ok_or_else(|| corrupt("a count without a row"))?;
        usize::try_from(get::<i64>(&row, "members")?).map_err(corrupt)
    }

    /// The memberships of these users in a flow, as pairs of flow and user.
    async fn members_among(
        &self,
        flow: FlowId,
        users: &[UserId],
    ) -> Result<HashSet<(i64, i64)>, StoreError> {
        let pairs: Vec<(i64, i64)> = users.iter().map(|user| (flow.get(), user.get())).collect();
        self.memberships(&pairs).await
    }

    /// Gives a flow that has fewer members than before a new commit time.
    pub(super) async fn members_removed(
        &mut self,
        flow: FlowId,
        removed: usize,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let changed_at = self.next_commit_time(now);
        let removed = i64::try_from(removed).map_err(corrupt)?;
        let values = vec![changed_at.micros().into(), removed.into(), flow.get().into()];
        sql::execute(&self.transaction, sql::MEMBERS_REMOVED, values).await.map(drop)
    }

    pub(crate) async fn add_members(
        &mut self,
        flow: FlowId,
        by: UserId,
        users: Vec<UserId>,
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let version = Version(self.owned(flow, by, FlowKindFilter::Shared).await?.version);
        let users = distinct(users);
        self.spend(by, Quota::Members, users.len(), &limits, now).await?;
        self.check_blocks(by, &users).await?;
        let added = self.user_summaries(&users).await?;
        if !self.members_among(flow, &users).await?.is_empty() {
            return Err(Fault::AlreadyMember.into());
        }
        let members = self.count_members(flow).await? + users.len();
        limits.check_members(members)?;
        if added.is_empty() {
            return Ok(());
        }
        let joined_at = self.next_commit_time(now);
        let members = i64::try_from(members).map_err(corrupt)?;
        let values = vec![joined_at.micros().into(), members.into(), flow.get().into()];
        sql::execute(&self.transaction, sql::MEMBERS_ADDED, values).await?;
        self.insert_members(flow, &added, None, joined_at).await?;
        self.publish(now, origin, EventKind::MembersAdded { flow, users: added, version });
        Ok(())
    }

    pub(crate) async fn remove_members(
        &mut self,
        flow: FlowId,
        by: UserId,
        users: Vec<UserId>,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.owned(flow, by, FlowKindFilter::Shared).await?;
        let users = distinct(users);
        if self.members_among(flow, &users).await?.len() < users.len() {
            return Err(Fault::NotMember.into());
        }
        if users.contains(&by) {
            return Err(Fault::invalid("users", "the owner cannot be removed").into());
        }
        if users.is_empty() {
            return Ok(());
        }
        for list in sql::padded_lists(&users) {
            let removed =
                member::Entity::delete_many().filter(member::Column::FlowId.eq(flow.get()));
            let removed =
                removed.filter(member::Column::UserId.is_in(list.into_iter().map(UserId::get)));
            removed.exec(&self.transaction).await.map_err(store_error)?;
        }
        self.members_removed(flow, users.len(), now).await?;
        self.publish(now, origin, EventKind::MembersRemoved { flow, users });
        Ok(())
    }

    pub(crate) async fn leave(
        &mut self,
        flow: FlowId,
        user: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<Option<Flow>, StoreError> {
        let row = self.joined(flow, user, FlowKindFilter::Shared).await?;
        let values = vec![flow.get().into(), user.get().into()];
        let Some(next) = sql::row(&self.transaction, sql::NEXT_OWNER, values.clone()).await? else {
            self.remove_flow(row.clone(), user, origin, now).await?;
            return to_flow(row).map(Some);
        };
        if row.owner_id == user.get() {
            let owner: i64 = sql::get(&next, "user_id")?;
            let statement = "UPDATE flow SET owner_id = $1 WHERE id = $2";
            let values = vec![owner.into(), flow.get().into()];
            sql::execute(&self.transaction, statement, values).await?;
        }
        let statement = "DELETE FROM member WHERE flow_id = $1 AND user_id = $2";
        sql::execute(&self.transaction, statement, values).await?;
        self.members_removed(flow, 1, now).await?;
        self.publish(now, origin, EventKind::MembersRemoved { flow, users: vec![user] });
        Ok(None)
    }

    pub(crate) async fn delete_flow(
        &mut self,
        id: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.owned(id, by, kinds).await?;
        self.remove_flow(row, by, origin, now).await
    }

    /// Marks the flow deleted. Housekeeping removes its messages, which may be many.
    async fn remove_flow(
        &mut self,
        row: flow::Model,
        by: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = flow_id(row.id)?;
        let mut row = row.into_active_model();
        row.pair = Set(None);
        row.deleted_at = Set(Some(now.micros()));
        row.update(&self.transaction).await.map_err(store_error)?;
        member::Entity::delete_many()
            .filter(member::Column::FlowId.eq(id.get()))
            .exec(&self.transaction)
            .await
            .map_err(store_error)?;
        self.deleted_flow = true;
        self.publish(now, origin, EventKind::FlowDeleted { flow: id, by });
        Ok(())
    }
}
