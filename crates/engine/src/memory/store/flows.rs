//! Flows and their members.

use super::memory_store::MemoryStore;
use super::state::{FlowKey, FlowRecord, State, distinct, next};
use crate::answer_budget::{cut_members, cut_to_listed, cut_to_preview, fitting_flows};
use crate::ports::{
    CreateFlow, FlowCreation, FlowLimits, FlowStore, FlowSummaryQuery, IDEMPOTENCY_WINDOW,
    IdempotencyKey, Quota, StoreError,
};
use async_trait::async_trait;
use std::collections::{BTreeSet, HashSet};
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
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        self.change(|state| state.open_chat(by, with, &limits, origin, now)).await
    }

    async fn create_flow(
        &self,
        flow: CreateFlow,
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        self.change(|state| state.create_flow(flow, &limits, origin, now)).await
    }

    async fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError> {
        self.read(|state| state.flows.get(&id).map(|record| record.flow.clone())).await
    }

    async fn flow_and_membership(
        &self,
        flow: FlowId,
        user: UserId,
    ) -> Result<Option<(Flow, Option<Version>)>, StoreError> {
        self.read(|state| {
            let record = state.flows.get(&flow)?;
            Some((record.flow.clone(), record.members.get(&user).copied()))
        })
        .await
    }

    async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError> {
        self.read(|state| state.is_member(flow, user)).await
    }

    async fn acquaintances(
        &self,
        viewer: UserId,
        users: &[UserId],
    ) -> Result<HashSet<UserId>, StoreError> {
        self.read(|state| {
            let shared: Vec<&FlowRecord> =
                state.flows.values().filter(|record| record.acted.contains(&viewer)).collect();
            let is_acquaintance =
                |user: &&UserId| shared.iter().any(|record| record.acted.contains(user));
            users.iter().filter(is_acquaintance).copied().collect()
        })
        .await
    }

    async fn has_business_member(&self, flow: FlowId) -> Result<Option<bool>, StoreError> {
        self.read(|state| {
            let record = state.flows.get(&flow)?;
            Some(state.members_of(record).any(|member| member.business))
        })
        .await
    }

    async fn flow_summary(
        &self,
        flow: FlowId,
        viewer: Option<UserId>,
        members: bool,
        max_bytes: usize,
    ) -> Result<Option<FlowSummary>, StoreError> {
        self.read(|state| {
            let mut summary = state.flow_summary(state.flows.get(&flow)?, viewer, members);
            cut_members(&mut summary, max_bytes);
            Some(summary)
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
            let page = page.map(|record| {
                let mut summary = state.flow_summary(record, Some(query.viewer), query.members);
                cut_to_listed(&mut summary.members);
                summary
            });
            fitting_flows(page, query.max_bytes)
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
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            let record = state.owned(flow, by, FlowKindFilter::Shared)?;
            let users = distinct(users);
            let added = state.check_quota(by, Quota::Members, users.len(), &limits, now)?;
            let mut summaries = Vec::with_capacity(users.len());
            for user in &users {
                summaries.push(state.active_user(*user)?.summary());
            }
            if state.is_blocked_by(by, users.iter()) {
                return Err(Fault::NoSuchUser.into());
            }
            if users.iter().any(|user| record.members.contains_key(user)) {
                return Err(Fault::AlreadyMember.into());
            }
            limits.check_members(record.members.len() + users.len())?;
            if summaries.is_empty() {
                return Ok(());
            }
            state.spend(added);
            let changed_at = state.next_commit_time(now);
            let mut version = Version(0);
            if let Some(record) = state.flows.get_mut(&flow) {
                let mut joined = users.clone();
                joined.sort_unstable();
                record.joined.extend(joined);
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
                record.acted.retain(|member| !users.contains(member));
                record.joined.retain(|member| !users.contains(member));
                record.flow.changed_at = changed_at;
            }
            state.publish(now, origin, EventKind::MembersRemoved { flow, users });
            Ok(())
        })
        .await
    }

    async fn leave(
        &self,
        flow: FlowId,
        user: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<Option<Flow>, StoreError> {
        self.change(|state| {
            let record = state.joined(flow, user, FlowKindFilter::Shared)?;
            let Some(heir) = record.joined.iter().copied().find(|member| *member != user) else {
                let left = record.flow.clone();
                state.remove_flow(flow, user, origin, now);
                return Ok(Some(left));
            };
            let changed_at = state.next_commit_time(now);
            if let Some(record) = state.flows.get_mut(&flow) {
                if record.flow.owner == Some(user) {
                    record.flow.owner = Some(heir);
                }
                record.members.remove(&user);
                record.acted.remove(&user);
                record.joined.retain(|member| *member != user);
                record.flow.changed_at = changed_at;
            }
            state.publish(now, origin, EventKind::MembersRemoved { flow, users: vec![user] });
            Ok(None)
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
            state.remove_flow(flow, by, origin, now);
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
        limits: &FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError> {
        if by == with {
            return Err(Fault::invalid("user", "a chat needs another user").into());
        }
        let members = vec![self.active_user(by)?.summary(), self.active_user(with)?.summary()];
        let pair = (by.min(with), by.max(with));
        if let Some(record) = self.flows.values_mut().find(|record| record.pair == Some(pair)) {
            if record.members.contains_key(&by) {
                record.acted.insert(by);
            }
            return Ok(FlowCreation::Existing(record.flow.clone()));
        }
        if self.is_blocked_by(by, [with].iter()) {
            return Err(Fault::NoSuchUser.into());
        }
        if !self.are_acquainted(by, with) {
            let opened = self.check_quota(by, Quota::Strangers, 1, limits, now)?;
            self.spend(opened);
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
        limits: &FlowLimits,
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
        let mut members = distinct(&members);
        members.retain(|member| *member != owner);
        let created = self.check_quota(owner, Quota::Groups, 1, limits, now)?;
        let added = self.check_quota(owner, Quota::Members, members.len(), limits, now)?;
        let mut summaries = vec![self.active_user(owner)?.summary()];
        for member in &members {
            summaries.push(self.active_user(*member)?.summary());
        }
        if self.is_blocked_by(owner, members.iter()) {
            return Err(Fault::NoSuchUser.into());
        }
        self.spend(created);
        self.spend(added);
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
            joined: members.iter().map(|member| member.id).collect(),
            acted: flow.owner.into_iter().collect::<BTreeSet<_>>(),
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

    fn members_of(&self, record: &FlowRecord) -> impl Iterator<Item = &User> {
        let members = record.members.keys().filter_map(|member| self.users.get(member));
        members.map(|member| &member.user)
    }

    /// Deletes a flow with its messages.
    fn remove_flow(&mut self, flow: FlowId, by: UserId, origin: Option<Origin>, now: Timestamp) {
        self.flows.remove(&flow);
        self.messages.retain(|_, message| message.flow != flow);
        let messages = &self.messages;
        self.keys.retain(|_, (message, _)| messages.contains_key(message));
        self.flow_keys.retain(|_, key| key.flow != flow);
        self.publish(now, origin, EventKind::FlowDeleted { flow, by });
    }

    /// True if the users share a flow in which both have acted.
    fn are_acquainted(&self, one: UserId, other: UserId) -> bool {
        self.flows
            .values()
            .any(|record| record.acted.contains(&one) && record.acted.contains(&other))
    }

    /// A flow of these kinds that `by` is a member and the owner of.
    fn owned(
        &self,
        flow: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
    ) -> Result<&FlowRecord, StoreError> {
        let record = self.joined(flow, by, kinds)?;
        if record.flow.owner != Some(by) {
            return Err(Fault::NotOwner.into());
        }
        Ok(record)
    }

    /// A flow of these kinds that `by` is a member of.
    fn joined(
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
        Ok(record)
    }

    pub(super) fn flow_summary(
        &self,
        record: &FlowRecord,
        viewer: Option<UserId>,
        members: bool,
    ) -> FlowSummary {
        let visible = self.in_flow(record.flow.id).filter(|message| message.deleted_at.is_none());
        let last = visible.clone().next_back().map(|message| {
            let mut last = self.shown(message);
            cut_to_preview(&mut last);
            last
        });
        FlowSummary {
            flow: record.flow.clone(),
            members: if members || record.flow.kind == FlowKind::Chat {
                self.members_of(record).cloned().collect()
            } else {
                Vec::new()
            },
            last,
            first: visible.clone().next().map(|message| message.id),
            read: viewer
                .and_then(|viewer| record.members.get(&viewer).copied())
                .unwrap_or_default(),
        }
    }
}
