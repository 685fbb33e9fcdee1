//! Flows and their members.

use super::{FlowLimits, IdempotencyKey, StoreError};
use async_trait::async_trait;
use std::collections::HashSet;
use tolmach_domain::{
    Flow, FlowId, FlowKind, FlowKindFilter, FlowSummary, Origin, PhotoKey, Timestamp, UserId,
    Version,
};

/// The flows of a [`Store`](super::Store). The faults named here are variants of
/// [`Fault`](tolmach_domain::Fault).
#[async_trait]
pub trait FlowStore: Send + Sync + 'static {
    /// The chat of two users, created if there is none. `by` becomes the owner of a new one.
    /// `NoSuchUser`, also if there is none yet and `with` blocks `by`; `TooMany` beyond the quota
    /// of strangers.
    async fn open_chat(
        &self,
        by: UserId,
        with: UserId,
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError>;

    /// Creates a group or channel; the owner is a member.
    ///
    /// - `NoSuchUser` if one of the members is absent, deleted, or blocks the owner.
    /// - `TooMany` beyond the quotas of groups and members.
    /// - [`FlowCreation::Existing`] if the owner used the key within
    ///   [`IDEMPOTENCY_WINDOW`](super::IDEMPOTENCY_WINDOW) for a flow that still exists: nothing is
    ///   stored or published. `KeyReused` if the key was used with another fingerprint.
    async fn create_flow(
        &self,
        flow: CreateFlow,
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError>;

    /// The flow with this id.
    async fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError>;

    /// The flow with this id, and the version up to which the user has read it; `None` for that if
    /// they are not a member.
    async fn flow_and_membership(
        &self,
        flow: FlowId,
        user: UserId,
    ) -> Result<Option<(Flow, Option<Version>)>, StoreError>;

    /// True if the flow exists and the user is a member.
    async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError>;

    /// Those of these users who share a flow with `viewer` in which both have acted: a member acts
    /// by creating the flow, by opening the chat and by posting, not by being added.
    async fn acquaintances(
        &self,
        viewer: UserId,
        users: &[UserId],
    ) -> Result<HashSet<UserId>, StoreError>;

    /// True if a member of the flow has the business tariff; `None` if there is no such flow.
    async fn has_business_member(&self, flow: FlowId) -> Result<Option<bool>, StoreError>;

    /// One flow with its first and last message. `viewer`, who need not be a member, decides
    /// [`FlowSummary::read`]. `members` adds all members of a group or channel up to `max_bytes`,
    /// counted as in [`AnswerBudget`](crate::AnswerBudget): those with the lower ids.
    async fn flow_summary(
        &self,
        flow: FlowId,
        viewer: Option<UserId>,
        members: bool,
        max_bytes: usize,
    ) -> Result<Option<FlowSummary>, StoreError>;

    /// Flows with their first and last messages, newest activity (`changed_at`) first, then higher
    /// id first.
    async fn flow_summaries(&self, query: FlowSummaryQuery)
    -> Result<Vec<FlowSummary>, StoreError>;

    /// All flows of a user with their versions, ordered by id.
    async fn flow_versions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, StoreError>;

    /// Adds all of these members or none. In this order: `NoSuchFlow` if `by` is not a member,
    /// `WrongKind` for a chat, `NotOwner`, `TooMany` beyond the quota of members, `NoSuchUser`
    /// (also if one of them blocks `by`), `AlreadyMember`, `Invalid` if there would be more members
    /// than [`FlowLimits::max_members`].
    async fn add_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        limits: FlowLimits,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Removes all of these members or none. `NoSuchFlow` if `by` is not a member, `WrongKind` for
    /// a chat, `NotOwner`, `NotMember`, `Invalid` if the owner is among them.
    async fn remove_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Removes a member at their own wish. `NoSuchFlow` if `user` is not a member, `WrongKind` for
    /// a chat.
    ///
    /// - When the owner leaves, the member who joined first of the others becomes the owner; of
    ///   several who joined at once, the one with the lowest id.
    /// - When the last member leaves, the flow is deleted with its messages, as by
    ///   [`delete_flow`](Self::delete_flow), and returned.
    async fn leave(
        &self,
        flow: FlowId,
        user: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<Option<Flow>, StoreError>;

    /// Deletes a flow with its messages. `NoSuchFlow` if `by` is not a member, `WrongKind`,
    /// `NotOwner`.
    async fn delete_flow(
        &self,
        flow: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}

/// A group or channel to create.
#[derive(Debug, Clone)]
pub struct CreateFlow {
    /// Its kind, not [`FlowKind::Chat`].
    pub kind: FlowKind,
    /// Its title.
    pub title: String,
    /// Its description.
    pub info: String,
    /// Its owner.
    pub owner: UserId,
    /// Its photo.
    pub photo: Option<PhotoKey>,
    /// Its members; the owner is added, repetitions are removed.
    pub members: Vec<UserId>,
    /// See [`tolmach_domain::NewFlow::key`].
    pub key: Option<IdempotencyKey>,
}

/// Result of a request to create a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlowCreation {
    /// The flow was created.
    Created(Flow),
    /// The flow had been created before; nothing was stored or published.
    Existing(Flow),
}

impl FlowCreation {
    /// The flow.
    pub fn into_flow(self) -> Flow {
        match self {
            Self::Created(flow) | Self::Existing(flow) => flow,
        }
    }
}

/// Selection of flows for a list.
#[derive(Debug, Clone)]
pub struct FlowSummaryQuery {
    /// The user whose flows are listed, and whose read mark is [`FlowSummary::read`].
    pub viewer: UserId,
    /// True for every flow, false for the viewer's.
    pub all: bool,
    /// The largest number of flows.
    pub limit: Option<u32>,
    /// The number of flows to skip.
    pub offset: u32,
    /// True if the members of groups and channels are wanted too, at most
    /// [`LISTED_MEMBERS`](crate::LISTED_MEMBERS) of each flow: those with the lower ids, and one
    /// with the business tariff if the flow has one. Those of chats always are.
    pub members: bool,
    /// The largest size of the list, counted as in [`AnswerBudget`](crate::AnswerBudget): the first
    /// flows that fit are returned.
    pub max_bytes: usize,
    /// Only flows changed strictly after this time.
    pub changed_after: Option<Timestamp>,
}
