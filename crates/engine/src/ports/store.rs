//! The durable store as one port.

use super::{
    BlockStore, EventLog, ExternalIdStore, FlowStore, LedgerStore, LoginCounterStore, MessageStore,
    RetentionStore, RuleStore, SessionStore, StoreError, UserStore, WorldStore,
};
use async_trait::async_trait;

/// Durable store of users, sessions, flows and messages.
///
/// Behaviour that every implementation shares, and that the suite proves:
///
/// - **Acknowledged means committed.** A method that changes something returns after its
///   transaction has committed.
/// - **Committed means published.** The events of a change go to the [`Bus`](super::Bus) that the
///   store was made with: after the commit, before the method returns, and for one flow in the
///   order of its versions.
/// - **One order per flow.** Every posted, edited or deleted message takes the next version of its
///   flow, without gaps.
/// - **Unique commit times.** Every change to a message takes a `changed_at` of its own, ascending
///   in commit order, at or after the `now` that was given.
/// - Ids ascend and are never used twice, also when their record is deleted.
/// - Deleted users are found by id only; deleted flows and their messages are not found at all.
/// - Logins and e-mail addresses are compared without regard to case, over all of Unicode.
/// - A method that returns an error changes nothing.
/// - **Everything published can be read again.** Changes to messages by
///   [`MessageStore::messages_after`], everything else by [`EventLog::changes_after`]: an event
///   that the bus lost is found there, for [`EVENT_LOG_WINDOW`](super::EVENT_LOG_WINDOW) at least.
/// - No text has the character NUL, which PostgreSQL cannot store: a message with it is
///   [`Fault::Invalid`](tolmach_domain::Fault::Invalid) and disturbs no other, and a search for it
///   finds nothing. The engine checks the other texts.
#[async_trait]
pub trait Store:
    UserStore
    + SessionStore
    + LoginCounterStore
    + FlowStore
    + BlockStore
    + MessageStore
    + EventLog
    + ExternalIdStore
    + WorldStore
    + RetentionStore
    + LedgerStore
    + RuleStore
{
    /// Succeeds if the store can answer now.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Finishes the changes under way and closes. Later calls are [`StoreError::Unavailable`].
    async fn close(&self);
}
