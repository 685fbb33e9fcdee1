//! Flows and their members.

use super::lookups::distinct;
use super::transaction::Batch;
use crate::entities::{flow, member};
use crate::error::store_error;
use crate::rows::{flow as to_flow, photo_columns, user as to_user};
use crate::sql::{self, get};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, FromQueryResult, IntoActiveModel,
    PaginatorTrait, QueryFilter, Set,
};
use tolmach_domain::{
    EventKind, Fault, Flow, FlowId, FlowKind, FlowKindFilter, Origin, PhotoKey, Timestamp, UserId,
    UserSummary, Version,
};
use tolmach_engine::ports::{
    CreateFlow, FlowCreation, IDEMPOTENCY_WINDOW, IdempotencyKey, StoreError,
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
            return Ok(FlowCreation::Existing(to_flow(found)?));
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
        let Some(row) = sql::row(&self.transaction, sql::FLOW_KEY, values).await? else {
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
        self.insert_members(flow.id, &members).await?;
        self.publish(now, origin, EventKind::FlowCreated { flow: flow.clone(), members });
        Ok(flow)
    }

    async fn insert_members(
        &self,
        flow: FlowId,
        members: &[UserSummary],
    ) -> Result<(), StoreError> {
        for members in sql::chunks(members) {
            let rows = members.iter().map(|member| {
                let row = member::Model {
                    flow_id: flow.get(),
                    user_id: member.id.get(),
                    read_version: 0,
                };
                row.into_active_model()
            });
            member::Entity::insert_many(rows)
                .exec_without_returning(&self.transaction)
                .await
                .map_err(store_error)?;
        }
        Ok(())
    }

    /// The summaries of users, in this order. `NoSuchUser` if one of them is absent or deleted.
    async fn user_summaries(&self, users: &[UserId]) -> Result<Vec<UserSummary>, StoreError> {
        let mut summaries = Vec::with_capacity(users.len());
        for user in users {
            summaries.push(to_user(self.active_user(*user).await?)?.summary());
        }
        Ok(summaries)
    }

    /// A flow of these kinds that `by` is a member and the owner of.
    async fn owned(
        &self,
        id: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
    ) -> Result<flow::Model, StoreError> {
        let found = flow::Entity::find_by_id(id.get()).filter(flow::Column::DeletedAt.is_null());
        let found =
            found.one(&self.transaction).await.map_err(store_error)?.ok_or(Fault::NoSuchFlow)?;
        if member::Entity::find_by_id((id.get(), by.get()))
            .count(&self.transaction)
            .await
            .map_err(store_error)?
            == 0
        {
            return Err(Fault::NoSuchFlow.into());
        }
        if !kinds.include(found.kind.into()) {
            return Err(Fault::WrongKind.into());
        }
        if found.owner_id != by.get() {
            return Err(Fault::NotOwner.into());
        }
        Ok(found)
    }

    /// The number of these users that are members of the flow.
    async fn count_members(&self, flow: FlowId, users: &[UserId]) -> Result<usize, StoreError> {
        let pairs: Vec<(i64, i64)> = users.iter().map(|user| (flow.get(), user.get())).collect();
        Ok(self.memberships(&pairs).await?.len())
    }

    /// Gives a flow a new commit time.
    pub(super) async fn touch_flow(
        &mut self,
        flow: FlowId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let values = vec![self.next_commit_time(now).micros().into(), flow.get().into()];
        sql::execute(&self.transaction, "UPDATE flow SET changed_at = $1 WHERE id = $2", values)
            .await?;
        Ok(())
    }

    pub(crate) async fn add_members(
        &mut self,
        flow: FlowId,
        by: UserId,
        users: Vec<UserId>,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let version = Version(self.owned(flow, by, FlowKindFilter::Shared).await?.version);
        let users = distinct(users);
        let added = self.user_summaries(&users).await?;
        if self.count_members(flow, &users).await? > 0 {
            return Err(Fault::AlreadyMember.into());
        }
        if added.is_empty() {
            return Ok(());
        }
        self.insert_members(flow, &added).await?;
        self.touch_flow(flow, now).await?;
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
        if self.count_members(flow, &users).await? < users.len() {
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
        self.touch_flow(flow, now).await?;
        self.publish(now, origin, EventKind::MembersRemoved { flow, users });
        Ok(())
    }

    /// Marks the flow deleted. [`Batch::housekeeping`] removes its messages, which may be many.
    pub(crate) async fn delete_flow(
        &mut self,
        id: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut row = self.owned(id, by, kinds).await?.into_active_model();
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
