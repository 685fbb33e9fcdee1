//! Messages, history and changes.

use super::StoreError;
use async_trait::async_trait;
use std::future::Future;
use std::pin::Pin;
use tolmach_domain::{
    Changes, Content, FlowId, FlowKindFilter, HistoryRange, Message, MessageId, MessagePage,
    Origin, Timestamp, UserId, UserSummary, Version,
};

/// The most flows of a page of changes: reading one takes longer than a message.
pub const MAX_CHANGED_FLOWS: u32 = 512;

/// The messages of a [`Store`](super::Store). The faults named here are variants of
/// [`Fault`](tolmach_domain::Fault).
#[async_trait]
pub trait MessageStore: Send + Sync + 'static {
    /// Submits a message. When this returns, the message is ordered before every later submission
    /// and change of its author; the future that it returns resolves once the message is committed,
    /// which happens whether or not the future is polled.
    ///
    /// - `NoSuchFlow` if the author is not a member (and does not write as administrator),
    ///   `WrongKind`, `NotOwner` in a channel of another owner, `NoSuchMessage` if the message
    ///   replies to one that is not in the flow.
    /// - [`Posted::Repeated`] if the author used the key within
    ///   [`IDEMPOTENCY_WINDOW`](super::IDEMPOTENCY_WINDOW): nothing is stored or published.
    async fn submit_message(
        &self,
        message: PostMessage,
        now: Timestamp,
    ) -> Result<PendingMessage, StoreError>;

    /// Posts a message: [`submit_message`](Self::submit_message) and the wait for its commit.
    async fn post(&self, message: PostMessage, now: Timestamp) -> Result<Posted, StoreError> {
        self.submit_message(message, now).await?.await
    }

    /// Replaces a message's text. `NoSuchMessage` if it is absent, deleted, not in `flow`, or in a
    /// flow that `by` is not a member of (and does not act as administrator); `NotAuthor`.
    async fn edit(&self, edit: EditMessage, now: Timestamp) -> Result<Message, StoreError>;

    /// Deletes those of the messages that may be deleted, in one transaction; see [`Deleted`].
    async fn delete(&self, deletion: DeleteMessages, now: Timestamp)
    -> Result<Deleted, StoreError>;

    /// Messages of a flow, oldest first, without the deleted ones; see [`HistoryQuery`]. An absent
    /// flow is `NoSuchFlow`; the caller checks the membership. Moves no read mark.
    async fn history(&self, query: HistoryQuery) -> Result<MessagePage, StoreError>;

    /// Moves a read mark forward, never back. A user who is not a member has none.
    async fn move_read_mark(&self, mark: ReadMark) -> Result<(), StoreError>;

    /// Changes strictly after `since` in the flows of `user`, or in one of them; see [`Changes`].
    ///
    /// At most `limit` messages, and at most [`MAX_CHANGED_FLOWS`] flows. The messages take at most
    /// half of `max_bytes`, and the flows the other half, counted as in
    /// [`AnswerBudget`](crate::AnswerBudget): what does not fit comes after [`Changes::until`].
    ///
    /// A change committed before the call is in the page, or comes after it: a client that
    /// subscribes first misses nothing.
    async fn changes(
        &self,
        user: UserId,
        since: Timestamp,
        flow: Option<FlowId>,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Changes, StoreError>;

    /// Messages of a flow changed after a version, ordered by version, deleted ones too: what fills
    /// a gap in a stream of events. Imported messages that were not changed since are left out: no
    /// event was published for them.
    async fn messages_after(
        &self,
        flow: FlowId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError>;
}

/// A submitted message: resolves once it is committed.
pub type PendingMessage = Pin<Box<dyn Future<Output = Result<Posted, StoreError>> + Send>>;

/// Result of posting a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// The message was stored.
    New(Message),
    /// The key was used before; this is the message that it stored.
    Repeated(Message),
}

impl Posted {
    /// The message.
    pub fn into_message(self) -> Message {
        match self {
            Self::New(message) | Self::Repeated(message) => message,
        }
    }
}

/// A message to post.
#[derive(Debug, Clone)]
pub struct PostMessage {
    /// The flow.
    pub flow: FlowId,
    /// The kinds of flow that the request accepts.
    pub kinds: FlowKindFilter,
    /// The author.
    pub author: UserSummary,
    /// True if written as administrator: membership is not needed.
    pub administrator: bool,
    /// The content.
    pub content: Content,
    /// See [`tolmach_domain::NewMessage::key`].
    pub key: Option<String>,
    /// The request that the event names.
    pub origin: Option<Origin>,
}

/// A new text of a message.
#[derive(Debug, Clone)]
pub struct EditMessage {
    /// The message.
    pub message: MessageId,
    /// The flow that it must be in.
    pub flow: Option<FlowId>,
    /// The user who edits.
    pub by: UserId,
    /// True if edited as administrator: membership is not needed, authorship is.
    pub administrator: bool,
    /// The new text.
    pub text: String,
    /// The request that the event names.
    pub origin: Option<Origin>,
}

/// Messages to delete.
#[derive(Debug, Clone)]
pub struct DeleteMessages {
    /// The messages, in this order; repetitions change nothing.
    pub messages: Vec<MessageId>,
    /// The flow that they must be in.
    pub flow: Option<FlowId>,
    /// True if nothing is deleted unless all of them can be.
    pub all_or_none: bool,
    /// The user who deletes.
    pub by: UserId,
    /// True if deleted as administrator: neither membership nor authorship is needed.
    pub administrator: bool,
    /// The request that the events name.
    pub origin: Option<Origin>,
}

/// Result of [`DeleteMessages`]. One event is published for each flow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deleted {
    /// Deleted, in the order of the request. None where all or none were to be deleted and the
    /// other two have some.
    pub deleted: Vec<MessageId>,
    /// Left: messages of other authors, in flows that the caller is a member of.
    pub not_author: Vec<MessageId>,
    /// Left: absent, deleted before, in another flow, or in a flow that the caller is not a member
    /// of.
    pub absent: Vec<MessageId>,
}

/// A part of a flow's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The flow.
    pub flow: FlowId,
    /// The user who reads; need not be a member.
    pub viewer: UserId,
    /// The part. [`HistoryRange::Unread`] is the messages of other authors after the viewer's read
    /// mark.
    pub range: HistoryRange,
    /// The largest number of messages: the newest ones of [`HistoryRange::All`], the oldest ones of
    /// [`HistoryRange::Unread`].
    pub limit: u32,
    /// The largest size of the messages, counted as in [`AnswerBudget`](crate::AnswerBudget): those
    /// that do not fit are left out, the oldest ones first, or the newest ones of
    /// [`HistoryRange::Unread`].
    pub max_bytes: usize,
}

/// The place up to which a user has read a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadMark {
    /// The flow.
    pub flow: FlowId,
    /// The user who has read.
    pub viewer: UserId,
    /// The version at which the last message read was posted.
    pub version: Version,
}
