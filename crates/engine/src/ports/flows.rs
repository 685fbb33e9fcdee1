//! Flows and their members.

use super::{IdempotencyKey, StoreError};
use async_trait::async_trait;
use tolmach_domain::{
    Flow, FlowId, FlowKind, FlowKindFilter, FlowSummary, Origin, PhotoKey, Timestamp, User, UserId,
    Version,
};

/// The flows of a [`Store`](super::Store). The faults named here are variants of
/// [`Fault`](tolmach_domain::Fault).
#[async_trait]
pub trait FlowStore: Send + Sync + 'static {
    /// The chat of two users, created if there is none. `by` becomes the owner of a new one.
    /// `NoSuchUser`.
    async fn open_chat(
        &self,
        by: UserId,
        with: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError>;

    /// Creates a group or channel; the owner is a member.
    ///
    /// - `NoSuchUser` if one of the members is absent or deleted.
    /// - [`FlowCreation::Existing`] if the owner used the key within
    ///   [`IDEMPOTENCY_WINDOW`](super::IDEMPOTENCY_WINDOW) for a flow that still exists: nothing is
    ///   stored or published. `KeyReused` if the key was used with another fingerprint.
    async fn create_flow(
        &self,
        flow: CreateFlow,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<FlowCreation, StoreError>;

    /// The flow with this id.
    async fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError>;

    /// True if the flow exists and the user is a member.
    async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError>;

    /// The members of a flow, ordered by id; none if there is no such flow.
    async fn members(&self, flow: FlowId) -> Result<Vec<User>, StoreError>;

    /// One flow with its first and last message. `viewer`, who need not be a member, decides
    /// [`FlowSummary::read`]. `members` adds the members of a group or channel, as
    /// [`FlowSummaryQuery::members`] does.
    async fn flow_summary(
        &self,
        flow: FlowId,
        viewer: Option<UserId>,
        members: bool,
    ) -> Result<Option<FlowSummary>, StoreError>;

    /// Flows with their first and last messages, newest activity (`changed_at`) first, then higher
    /// id first.
    async fn flow_summaries(&self, query: FlowSummaryQuery)
    -> Result<Vec<FlowSummary>, StoreError>;

    /// All flows of a user with their versions, ordered by id.
    async fn flow_versions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, StoreError>;

    /// Adds all of these members or none. `NoSuchFlow` if `by` is not a member, `WrongKind` for a
    /// chat, `NotOwner`, `NoSuchUser`, `AlreadyMember`.
    async fn add_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
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
    /// True if the members of groups and channels are wanted too; those of chats always are.
    pub members: bool,
    /// Only flows changed strictly after this time.
    pub changed_after: Option<Timestamp>,
}
