//! Flows and their members.

use super::memory_store::MemoryStore;
use super::state::{FlowKey, FlowRecord, State, distinct, next};
use crate::ports::{
    CreateFlow, FlowCreation, FlowStore, FlowSummaryQuery, IDEMPOTENCY_WINDOW, IdempotencyKey,
    StoreError,
};
use async_trait::async_trait;
use tolmach_domain::{
    EventKind, Fault, Flow, FlowId, FlowKind, FlowKindFilter, FlowSummary, Origin, Timestamp, User,
    UserId, UserSummary, Version,
};

#[async_trait]
impl FlowStore for MemoryStore {
    async fn open_chat(
        &self,
        by: UserId,
        with: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        self.change(|state| state.open_chat(by, with, origin, now)).await
    }

    async fn create_flow(
        &self,
        flow: CreateFlow,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        self.change(|state| state.create_flow(flow, origin, now)).await
    }

    async fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError> {
        self.read(|state| state.flows.get(&id).map(|record| record.flow.clone())).await
    }

    async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError> {
        self.read(|state| state.is_member(flow, user)).await
    }

    async fn members(&self, flow: FlowId) -> Result<Vec<User>, StoreError> {
        self.read(|state| {
            state.flows.get(&flow).map_or_else(Vec::new, |record| state.members_of(record))
        })
        .await
    }

    async fn flow_summary(
        &self,
        flow: FlowId,
        viewer: Option<UserId>,
        members: bool,
    ) -> Result<Option<FlowSummary>, StoreError> {
        self.read(|state| {
            state.flows.get(&flow).map(|record| state.flow_summary(record, viewer, members))
        })
        .await
    }

    async fn flow_summaries(
        &self,
        query: FlowSummaryQuery,
    ) -> Result<Vec<FlowSummary>, StoreError> {
        self.read(|state| {
            let seen = |record: &&FlowRecord| {
                (query.all || record.members.contains_key(&query.viewer))
                    && query.changed_after.is_none_or(|after| record.flow.changed_at > after)
            };
            let mut records: Vec<&FlowRecord> = state.flows.values().filter(seen).collect();
            records
                .sort_by_key(|record| std::cmp::Reverse((record.flow.changed_at, record.flow.id)));
            let page = records
                .into_iter()
                .skip(query.offset as usize)
                .take(query.limit.map_or(usize::MAX, |limit| limit as usize));
            page.map(|record| state.flow_summary(record, Some(query.viewer), query.members))
                .collect()
        })
        .await
    }

    async fn flow_versions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, StoreError> {
        self.read(|state| {
            state.flows_of(user).map(|record| (record.flow.id, record.flow.version)).collect()
        })
        .await
    }

    async fn add_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            let record = state.owned(flow, by, FlowKindFilter::Shared)?;
            let users = distinct(users);
            let mut summaries = Vec::with_capacity(users.len());
            for user in &users {
                summaries.push(state.active_user(*user)?.summary());
            }
            if users.iter().any(|user| record.members.contains_key(user)) {
                return Err(Fault::AlreadyMember.into());
            }
            if summaries.is_empty() {
                return Ok(());
            }
            let changed_at = state.next_commit_time(now);
            let mut version = Version(0);
            if let Some(record) = state.flows.get_mut(&flow) {
                record.members.extend(users.into_iter().map(|user| (user, Version(0))));
                record.flow.changed_at = changed_at;
                version = record.flow.version;
            }
            state.publish(now, origin, EventKind::MembersAdded { flow, users: summaries, version });
            Ok(())
        })
        .await
    }

    async fn remove_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            let record = state.owned(flow, by, FlowKindFilter::Shared)?;
            let users = distinct(users);
            if users.iter().any(|user| !record.members.contains_key(user)) {
                return Err(Fault::NotMember.into());
            }
            if users.contains(&by) {
                return Err(Fault::invalid("users", "the owner cannot be removed").into());
            }
            if users.is_empty() {
                return Ok(());
            }
            let changed_at = state.next_commit_time(now);
            if let Some(record) = state.flows.get_mut(&flow) {
                record.members.retain(|member, _| !users.contains(member));
                record.flow.changed_at = changed_at;
            }
            state.publish(now, origin, EventKind::MembersRemoved { flow, users });
            Ok(())
        })
        .await
    }

    async fn delete_flow(
        &self,
        flow: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            state.owned(flow, by, kinds)?;
            state.flows.remove(&flow);
            state.messages.retain(|_, message| message.flow != flow);
            let messages = &state.messages;
            state.keys.retain(|_, (message, _)| messages.contains_key(message));
            state.flow_keys.retain(|_, key| key.flow != flow);
            state.publish(now, origin, EventKind::FlowDeleted { flow, by });
            Ok(())
        })
        .await
    }
}

impl State {
    fn open_chat(
        &mut self,
        by: UserId,
        with: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        if by == with {
            return Err(Fault::invalid("user", "a chat needs another user").into());
        }
        let members = vec![self.active_user(by)?.summary(), self.active_user(with)?.summary()];
        let pair = (by.min(with), by.max(with));
        if let Some(record) = self.flows.values().find(|record| record.pair == Some(pair)) {
            return Ok(FlowCreation::Existing(record.flow.clone()));
        }
        let flow = Flow {
            id: next(&mut self.last_flow, FlowId::new)?,
            kind: FlowKind::Chat,
            title: String::new(),
            info: String::new(),
            owner: Some(by),
            photo: None,
            version: Version(0),
            created_at: now,
            changed_at: self.next_commit_time(now),
        };
        self.insert_flow(flow.clone(), Some(pair), members, origin, now);
        Ok(FlowCreation::Created(flow))
    }

    fn create_flow(
        &mut self,
        flow: CreateFlow,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        let CreateFlow { kind, title, info, owner, photo, members, key } = flow;
        if kind == FlowKind::Chat {
            return Err(Fault::WrongKind.into());
        }
        if let Some(IdempotencyKey { key, fingerprint }) = &key
            && let Some(first) = self
                .flow_keys
                .get(&(owner, key.clone()))
                .filter(|first| now < first.used_at.after(IDEMPOTENCY_WINDOW))
            && let Some(record) = self.flows.get(&first.flow)
        {
            return if first.fingerprint == *fingerprint {
                Ok(FlowCreation::Existing(record.flow.clone()))
            } else {
                Err(Fault::KeyReused.into())
            };
        }
        let mut summaries = vec![self.active_user(owner)?.summary()];
        for member in members {
            summaries.push(self.active_user(member)?.summary());
        }
        let id = next(&mut self.last_flow, FlowId::new)?;
        let changed_at = self.next_commit_time(now);
        let flow = Flow {
            id,
            kind,
            title,
            info,
            owner: Some(owner),
            photo,
            version: Version(0),
            created_at: now,
            changed_at,
        };
        self.insert_flow(flow.clone(), None, summaries, origin, now);
        if let Some(IdempotencyKey { key, fingerprint }) = key {
            self.flow_keys
                .insert((owner, key), FlowKey { flow: flow.id, fingerprint, used_at: now });
        }
        Ok(FlowCreation::Created(flow))
    }

    fn insert_flow(
        &mut self,
        flow: Flow,
        pair: Option<(UserId, UserId)>,
        mut members: Vec<UserSummary>,
        origin: Option<Origin>,
        now: Timestamp,
    ) {
        members.sort_by_key(|member| member.id);
        members.dedup_by_key(|member| member.id);
        let record = FlowRecord {
            flow: flow.clone(),
            pair,
            members: members.iter().map(|member| (member.id, Version(0))).collect(),
        };
        self.flows.insert(flow.id, record);
        self.publish(now, origin, EventKind::FlowCreated { flow, members });
    }

    pub(super) fn is_member(&self, flow: FlowId, user: UserId) -> bool {
        self.flows.get(&flow).is_some_and(|record| record.members.contains_key(&user))
    }

    pub(super) fn flows_of(&self, user: UserId) -> impl Iterator<Item = &FlowRecord> {
        self.flows.values().filter(move |record| record.members.contains_key(&user))
    }

    fn members_of(&self, record: &FlowRecord) -> Vec<User> {
        record
            .members
            .keys()
            .filter_map(|member| self.users.get(member))
            .map(|member| member.user.clone())
            .collect()
    }

    /// A flow of these kinds that `by` is a member and the owner of.
    fn owned(
        &self,
        flow: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
    ) -> Result<&FlowRecord, StoreError> {
        let record = self
            .flows
            .get(&flow)
            .filter(|record| record.members.contains_key(&by))
            .ok_or(Fault::NoSuchFlow)?;
        if !kinds.include(record.flow.kind) {
            return Err(Fault::WrongKind.into());
        }
        if record.flow.owner != Some(by) {
            return Err(Fault::NotOwner.into());
        }
        Ok(record)
    }

    pub(super) fn flow_summary(
        &self,
        record: &FlowRecord,
        viewer: Option<UserId>,
        members: bool,
    ) -> FlowSummary {
        let visible = self.in_flow(record.flow.id).filter(|message| message.deleted_at.is_none());
        FlowSummary {
            flow: record.flow.clone(),
            members: if members || record.flow.kind == FlowKind::Chat {
                self.members_of(record)
            } else {
                Vec::new()
            },
            last: visible.clone().next_back().map(|message| self.shown(message)),
            first: visible.clone().next().map(|message| message.id),
            read: viewer
                .and_then(|viewer| record.members.get(&viewer).copied())
                .unwrap_or_default(),
        }
    }
}
