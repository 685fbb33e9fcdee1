//! Flows and their members.

use crate::Engine;
use crate::caller::Caller;
use crate::faults::store_fault;
use crate::limits::{BATCH_LIMIT, INFO_LIMIT, KEY_LIMIT, NAME_LIMIT, check_name, check_text};
use crate::ports::{CreateFlow, FlowCreation, FlowSummaryQuery, IdempotencyKey};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use tolmach_domain::{
    Answer, Authority, Fault, Flow, FlowId, FlowKind, FlowKindFilter, FlowSummary, Origin,
    Timestamp, UserId, UserRef, Version,
};

impl Engine {
    pub(crate) async fn open_chat(&self, caller: &Caller, with: UserRef) -> Result<Answer, Fault> {
        let other = self.named(caller, with).await?;
        if other.id == caller.user.id {
            return Err(Fault::invalid("user", "a chat needs another user"));
        }
        let limits = self.policy.flow_limits(caller.user.admin);
        let creation = self
            .ports
            .store
            .open_chat(caller.user.id, other.id, limits, caller.origin.clone(), caller.now)
            .await
            .map_err(store_fault)?;
        let created = matches!(creation, FlowCreation::Created(_));
        let flow = creation.into_flow().id;
        Ok(Answer::ChatOpened { flow, with: Some(other.summary()), created })
    }

    pub(crate) async fn create_flow(
        &self,
        caller: &Caller,
        flow: tolmach_domain::NewFlow,
    ) -> Result<Answer, Fault> {
        let fingerprint = fingerprint(&flow);
        let tolmach_domain::NewFlow { kind, title, info, members, photo, key } = flow;
        if kind == FlowKind::Chat {
            return self.create_chat(caller, members).await;
        }
        check_name("name", &title, NAME_LIMIT)?;
        check_text("description", &info, INFO_LIMIT)?;
        if members.len() > self.policy.max_members {
            return Err(Fault::invalid(
                "users",
                format!("must be at most {}", self.policy.max_members),
            ));
        }
        if let Some(key) = &key {
            check_name("key", key, KEY_LIMIT)?;
        }
        let key = key.map(|key| IdempotencyKey { key, fingerprint });
        let photo = self.store_photo(photo).await?;
        let new = CreateFlow {
            kind,
            title,
            info,
            owner: caller.user.id,
            photo: photo.clone(),
            members,
            key,
        };
        let limits = self.policy.flow_limits(caller.user.admin);
        let origin = caller.origin.clone();
        let creation = self.ports.store.create_flow(new, limits, origin, caller.now).await;
        if let (Err(_) | Ok(FlowCreation::Existing(_)), Some(photo)) = (&creation, &photo) {
            self.discard_photo(photo).await;
        }
        let flow = creation.map_err(store_fault)?.into_flow();
        Ok(Answer::FlowCreated { flow: flow.id, title: flow.title })
    }

    /// The chat of the caller and the one other user among its members. A chat has no title.
    async fn create_chat(&self, caller: &Caller, members: Vec<UserId>) -> Result<Answer, Fault> {
        let mut others: BTreeSet<UserId> = members.into_iter().collect();
        others.remove(&caller.user.id);
        let (Some(other), true) = (others.pop_first(), others.is_empty()) else {
            return Err(Fault::invalid("users", "a chat has one other user"));
        };
        match self.open_chat(caller, UserRef::Id(other)).await? {
            Answer::ChatOpened { flow, .. } => {
                Ok(Answer::FlowCreated { flow, title: String::new() })
            }
            answer => Ok(answer),
        }
    }

    pub(crate) async fn delete_flow(
        &self,
        caller: &Caller,
        flow: FlowId,
        kinds: FlowKindFilter,
    ) -> Result<Answer, Fault> {
        let photo =
            self.ports.store.flow(flow).await.map_err(store_fault)?.and_then(|flow| flow.photo);
        self.ports
            .store
            .delete_flow(flow, caller.user.id, kinds, caller.origin.clone(), caller.now)
            .await
            .map_err(store_fault)?;
        if let Some(photo) = photo {
            self.discard_photo(&photo).await;
        }
        Ok(Answer::FlowDeleted { flow })
    }

    pub(crate) async fn get_flow(
        &self,
        caller: &Caller,
        flow: FlowId,
        kinds: FlowKindFilter,
        members: bool,
    ) -> Result<Answer, Fault> {
        let (visible, read) = self.visible_flow_with_mark(caller, flow, kinds).await?;
        if members && let (Some(read), Some(summary)) = (read, self.openings.summary(&visible)) {
            return Ok(Answer::Flow(Box::new(FlowSummary { read, ..summary })));
        }
        let users = self.openings.users();
        let (viewer, max_bytes) = (Some(caller.user.id), self.policy.max_answer_bytes);
        let summary = self.ports.store.flow_summary(flow, viewer, members, max_bytes);
        let summary = summary.await.map_err(store_fault)?.ok_or(Fault::NoSuchFlow)?;
        if members {
            self.openings.keep_summary(&summary, users);
        }
        Ok(Answer::Flow(Box::new(summary)))
    }

    /// A flow that the caller may read; see [`Engine::may_read`].
    pub(crate) async fn visible_flow(
        &self,
        caller: &Caller,
        flow: FlowId,
        kinds: FlowKindFilter,
    ) -> Result<Flow, Fault> {
        Ok(self.visible_flow_with_mark(caller, flow, kinds).await?.0)
    }

    /// The same with the version up to which the caller has read it, where that was read too.
    async fn visible_flow_with_mark(
        &self,
        caller: &Caller,
        flow: FlowId,
        kinds: FlowKindFilter,
    ) -> Result<(Flow, Option<Version>), Fault> {
        let (user, authority) = (caller.user.id, caller.authority());
        let known = caller.readable.as_deref();
        let known = known.and_then(|readable| readable.of(user, authority, flow));
        let found = match (known, authority) {
            (Some(known), _) => Some((known.clone(), None)),
            (None, Authority::Member) => {
                let found = self.ports.store.flow_and_membership(flow, user).await;
                found.map_err(store_fault)?.filter(|(_, read)| read.is_some())
            }
            (None, Authority::Administrator) => {
                let found = self.ports.store.flow(flow).await.map_err(store_fault)?;
                found.map(|flow| (flow, None))
            }
        };
        let (flow, read) = found.ok_or(Fault::NoSuchFlow)?;
        if kinds.include(flow.kind) { Ok((flow, read)) } else { Err(Fault::WrongKind) }
    }

    pub(crate) async fn add_members(
        &self,
        caller: &Caller,
        flow: FlowId,
        users: Vec<UserId>,
    ) -> Result<Answer, Fault> {
        let users = distinct(users)?;
        let limits = self.policy.flow_limits(caller.user.admin);
        self.ports
            .store
            .add_members(flow, caller.user.id, &users, limits, caller.origin.clone(), caller.now)
            .await
            .map_err(store_fault)?;
        Ok(Answer::MembersAdded { flow, users })
    }

    pub(crate) async fn remove_members(
        &self,
        caller: &Caller,
        flow: FlowId,
        users: Vec<UserId>,
    ) -> Result<Answer, Fault> {
        let users = distinct(users)?;
        if users == [caller.user.id] {
            self.leave(caller.user.id, flow, caller.origin.clone(), caller.now).await?;
            return Ok(Answer::MembersRemoved { flow, users });
        }
        self.ports
            .store
            .remove_members(flow, caller.user.id, &users, caller.origin.clone(), caller.now)
            .await
            .map_err(store_fault)?;
        Ok(Answer::MembersRemoved { flow, users })
    }

    /// Removes a user from a group or channel at their own wish; see
    /// [`FlowStore::leave`](crate::ports::FlowStore::leave).
    pub async fn leave(
        &self,
        user: UserId,
        flow: FlowId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let deleted = self.ports.store.leave(flow, user, origin, now).await.map_err(store_fault)?;
        if let Some(photo) = deleted.and_then(|flow| flow.photo) {
            self.discard_photo(&photo).await;
        }
        Ok(())
    }

    pub(crate) async fn list_flows(
        &self,
        caller: &Caller,
        limit: Option<u32>,
        offset: u32,
        members: bool,
    ) -> Result<Answer, Fault> {
        let query = FlowSummaryQuery {
            viewer: caller.user.id,
            all: caller.administrator,
            limit,
            offset,
            members,
            max_bytes: self.policy.max_answer_bytes,
            changed_after: None,
        };
        self.ports.store.flow_summaries(query).await.map(Answer::Flows).map_err(store_fault)
    }
}

/// SHA-256 of a request for a flow without its key. Each part is preceded by its length.
fn fingerprint(flow: &tolmach_domain::NewFlow) -> [u8; 32] {
    let tolmach_domain::NewFlow { kind, title, info, members, photo, key: _ } = flow;
    let members: BTreeSet<UserId> = members.iter().copied().collect();
    let members: Vec<u8> =
        members.into_iter().flat_map(|member| member.get().to_be_bytes()).collect();
    let kind: &[u8] = match kind {
        FlowKind::Chat => b"chat",
        FlowKind::Group => b"group",
        FlowKind::Channel => b"channel",
    };
    let photo = photo.as_ref().map_or(&[][..], |photo| &photo.content);
    let mut hash = Sha256::new();
    for part in [kind, title.as_bytes(), info.as_bytes(), &members, photo] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Each user once, ordered. Refuses an empty list and one longer than [`BATCH_LIMIT`].
fn distinct(users: Vec<UserId>) -> Result<Vec<UserId>, Fault> {
    if users.is_empty() || users.len() > BATCH_LIMIT {
        return Err(Fault::invalid("users", format!("must be 1 to {BATCH_LIMIT}")));
    }
    Ok(users.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
}
