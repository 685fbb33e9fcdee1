//! A whole world, moved in from another server or out to a file.

use super::{NewUser, StoreError};
use async_trait::async_trait;
use tolmach_domain::{
    Content, ExternalId, Fault, Flow, FlowId, FlowKind, IdNamespace, Message, MessageId, PhotoKey,
    Timestamp, User, UserId, Version,
};

/// The bulk side of a [`Store`](super::Store): many records at once, with the times that they have
/// elsewhere, and without events.
///
/// A *source* is another server, and the namespace of the ids that it gave:
///
/// - An object keeps its number where that is free: no object has it, and none could have had it
///   before the first import of the source.
/// - Users and flows are remembered by rows of [`ExternalIdStore`](super::ExternalIdStore), and so
///   is a message that has another number. One that keeps its number is recognised by its number,
///   flow, author and time; it has a row too if the source
///   [numbered groups apart](ImportChunk::groups_apart).
#[async_trait]
pub trait WorldStore: Send + Sync + 'static {
    /// Begins to import a source, or continues, and returns the state of its import.
    async fn begin_import(&self, source: &IdNamespace) -> Result<ImportState, StoreError>;

    /// The state of the import of a source; `None` if it was never begun.
    async fn import_state(&self, source: &IdNamespace) -> Result<Option<ImportState>, StoreError>;

    /// Imports records, and returns what became of each, all in one transaction with the position.
    ///
    /// - Users come first, then flows, messages and members: a record may refer to one before it,
    ///   and to those of earlier calls.
    /// - A record that was imported before is [`Imported::Existing`], and nothing is changed.
    /// - A record that breaks a rule is [`Imported::Refused`], and the others are imported.
    /// - A chat of two users who have one becomes a group of the two: the messages of two sources
    ///   never come into one flow.
    /// - The messages of a flow take its next versions. Their commit times are those at which they
    ///   were posted, so that a client that asks for what is new does not get the past.
    /// - Nothing is published.
    async fn import(
        &self,
        chunk: ImportChunk,
        now: Timestamp,
    ) -> Result<ImportOutcomes, StoreError>;

    /// Forgets the position: the import of a source is complete. The cursor stays.
    async fn end_import(&self, source: &IdNamespace) -> Result<(), StoreError>;

    /// Those of these users of a source that were imported, by their ids there.
    async fn imported_users(
        &self,
        source: &IdNamespace,
        users: &[ExternalId],
    ) -> Result<Vec<ExternalId>, StoreError>;

    /// The users to whom these logins and e-mail addresses belong, deleted ones too, and those
    /// whose logins look like one of them, in any order.
    async fn identifier_owners(
        &self,
        identifiers: &[String],
    ) -> Result<Vec<IdentifierOwner>, StoreError>;

    /// Messages by id, deleted ones too, in the order of their ids; none of a deleted flow.
    async fn stored_messages(&self, ids: &[MessageId]) -> Result<Vec<Message>, StoreError>;

    /// The contents of these messages, deleted ones too, in any order; none of a deleted flow.
    async fn stored_contents(&self, ids: &[MessageId]) -> Result<Vec<StoredContent>, StoreError>;

    /// The highest ids given out, by which an export is bounded: what is created later may refer to
    /// objects that were passed over.
    async fn last_ids(&self) -> Result<LastIds, StoreError>;

    /// Users with an id above `after`, deleted ones too, ordered by id.
    async fn export_users(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredUser>, StoreError>;

    /// Flows with an id above `after`, ordered by id.
    async fn export_flows(
        &self,
        after: Option<FlowId>,
        limit: u32,
    ) -> Result<Vec<StoredFlow>, StoreError>;

    /// Messages after a place, without deleted ones, ordered by flow and posting.
    async fn export_messages(
        &self,
        after: Option<(FlowId, Version)>,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError>;

    /// Members after one of them, ordered by flow and user.
    async fn export_members(
        &self,
        after: Option<(FlowId, UserId)>,
        limit: u32,
    ) -> Result<Vec<StoredMember>, StoreError>;
}

/// The place up to which a source is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportPosition {
    /// The number of lines.
    pub lines: u64,
    /// SHA-256 of them, by which a source that has changed is noticed.
    pub digest: [u8; 32],
}

/// The state of the import of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportState {
    /// The ids given out before its first import: numbers up to these are not free.
    pub before: LastIds,
    /// The position of an import that was interrupted.
    pub position: Option<ImportPosition>,
    /// The last [cursor](ImportChunk::cursor).
    pub cursor: Option<String>,
    /// See [`ImportChunk::groups_apart`].
    pub groups_apart: Option<bool>,
}

/// A user who has a login or an e-mail address, or one that looks like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentifierOwner {
    /// The login or address that was asked for.
    pub identifier: String,
    /// The user.
    pub user: UserId,
    /// The login of the user.
    pub login: String,
    /// The e-mail address of the user.
    pub email: Option<String>,
    /// True if the user is deleted.
    pub is_deleted: bool,
    /// True if it belongs to the user, without regard to case; false if it looks like the login.
    pub is_exact: bool,
}

/// Records to import together. Ids are those of the source, unless they are of a domain type.
#[derive(Debug, Clone)]
pub struct ImportChunk {
    /// The source.
    pub source: IdNamespace,
    /// Users.
    pub users: Vec<ImportUser>,
    /// Flows.
    pub flows: Vec<ImportFlow>,
    /// Messages, those of one flow in their order.
    pub messages: Vec<ImportMessage>,
    /// Memberships.
    pub members: Vec<ImportMember>,
    /// The position after these records; `None` leaves it.
    pub position: Option<ImportPosition>,
    /// The rows of the source's database up to which it was read with these records, in a form of
    /// the importer's; `None` leaves it.
    pub cursor: Option<String>,
    /// True if the source [numbers groups apart from chats](ExternalId::of_group): each message has
    /// a row then, or else its number would be that of a message in a group. It has to be known
    /// before the first message is imported. `None` leaves what earlier chunks said.
    pub groups_apart: Option<bool>,
}

impl ImportChunk {
    /// A chunk without records.
    pub fn new(source: IdNamespace) -> Self {
        let (users, flows, messages, members) = Default::default();
        let (position, cursor, groups_apart) = Default::default();
        Self { source, users, flows, messages, members, position, cursor, groups_apart }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.users.len() + self.flows.len() + self.messages.len() + self.members.len()
    }

    /// True if there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A user to import.
#[derive(Debug, Clone)]
pub struct ImportUser {
    /// The id at the source.
    pub source_id: ExternalId,
    /// The account; its `id` is ignored.
    pub account: NewUser,
    /// See [`User::created_at`].
    pub created_at: Timestamp,
    /// See [`User::deleted_at`].
    pub deleted_at: Option<Timestamp>,
}

/// A flow to import.
#[derive(Debug, Clone)]
pub struct ImportFlow {
    /// The id at the source.
    pub source_id: ExternalId,
    /// Its kind.
    pub kind: FlowKind,
    /// Its title.
    pub title: String,
    /// Its description.
    pub info: String,
    /// Its owner.
    pub owner: ExternalId,
    /// The two users of a chat; `None` for a group or channel.
    pub pair: Option<[ExternalId; 2]>,
    /// Its photo.
    pub photo: Option<PhotoKey>,
    /// The time of creation.
    pub created_at: Timestamp,
}

/// A message to import.
#[derive(Debug, Clone)]
pub struct ImportMessage {
    /// The id at the source.
    pub source_id: ExternalId,
    /// Its flow.
    pub flow: ExternalId,
    /// Its author.
    pub author: ExternalId,
    /// Its content; `reply_to` is ignored.
    pub content: Content,
    /// The message that it replies to.
    pub reply_to: Option<ExternalId>,
    /// The time of posting.
    pub posted_at: Timestamp,
    /// The time of the last edit.
    pub edited_at: Option<Timestamp>,
    /// The time of the deletion.
    pub deleted_at: Option<Timestamp>,
}

impl ImportMessage {
    /// The commit time of this message under an id, in a flow whose newest change was committed at
    /// another: the time of posting. What is missing in its precision, which is often that of
    /// seconds, is filled with the end of the id, so that messages of one second differ.
    pub fn commit_time(&self, id: MessageId, newest: Timestamp) -> Timestamp {
        let posted_at = self.posted_at.micros();
        let fill = match posted_at {
            second if second % 1_000_000 == 0 => id.get() % 1_000_000,
            millisecond if millisecond % 1_000 == 0 => id.get() % 1_000,
            _ => 0,
        };
        Timestamp::from_micros((posted_at + fill).max(newest.micros() + 1))
    }
}

/// A membership to import.
#[derive(Debug, Clone)]
pub struct ImportMember {
    /// The flow.
    pub flow: ExternalId,
    /// The user.
    pub user: ExternalId,
    /// The time of joining; `None` for the creation of the flow.
    pub joined_at: Option<Timestamp>,
    /// The last message that the user has read.
    pub read: Option<ExternalId>,
    /// True if that message may be imported later: until it is, the membership is refused. False
    /// leaves out the read mark alone, see [`ImportNote::NoReadMark`].
    pub awaits_read: bool,
}

/// The fate of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported<T> {
    /// It was imported.
    New(T, Option<ImportNote>),
    /// It was there, from an earlier import.
    Existing(T),
    /// It was not imported.
    Refused(Fault),
}

/// A difference between a record and what was imported of it. Of several, the other number is the
/// one that is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImportNote {
    /// It has another number, because its own is taken.
    Renumbered,
    /// The user is shown by the login, because the name is the login of another user or looks like
    /// it.
    Renamed,
    /// The message is no reply, because the one that it replies to is not in the flow.
    NoReply,
    /// The member has read nothing, because the message that was read last is not in the flow.
    NoReadMark,
    /// The chat is a group, because its two users have a chat.
    ChatAsGroup,
}

/// The fates of the records of an [`ImportChunk`], in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOutcomes {
    /// Of the users.
    pub users: Vec<Imported<UserId>>,
    /// Of the flows.
    pub flows: Vec<Imported<FlowId>>,
    /// Of the messages.
    pub messages: Vec<Imported<MessageId>>,
    /// Of the members.
    pub members: Vec<Imported<()>>,
    /// The commit time of the last change before. It is the [`Self::committed_at`] of the chunk
    /// before if nothing else has changed meanwhile.
    pub last_change: Timestamp,
    /// The commit time.
    pub committed_at: Timestamp,
}

/// The highest ids given out, 0 before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastIds {
    /// Of users.
    pub users: i64,
    /// Of flows.
    pub flows: i64,
    /// Of messages.
    pub messages: i64,
}

/// The content of a message, by which an import checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContent {
    /// The message.
    pub id: MessageId,
    /// Its flow.
    pub flow: FlowId,
    /// Its content; `reply_to` is `None`.
    pub content: Content,
    /// The time of posting.
    pub posted_at: Timestamp,
}

/// A user with everything that is stored of them but sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUser {
    /// The user, with the avatar.
    pub user: User,
    /// See [`Account::password_hash`](super::Account::password_hash).
    pub password_hash: Option<String>,
}

/// A flow with the pair of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFlow {
    /// The flow.
    pub flow: Flow,
    /// The two users of a chat.
    pub pair: Option<[UserId; 2]>,
}

/// A membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredMember {
    /// The flow.
    pub flow: FlowId,
    /// The user.
    pub user: UserId,
    /// The time of joining.
    pub joined_at: Timestamp,
    /// The last message that the user has read.
    pub read: Option<MessageId>,
}
