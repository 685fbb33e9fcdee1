//! What the engine needs of the world.

use async_trait::async_trait;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tolmach_domain::{
    Changes, Content, Event, Fault, Flow, FlowId, FlowKind, FlowKindFilter, FlowSummary,
    HistoryRange, Message, MessageId, MessagePage, Origin, PhotoKey, Secret, SessionId, Timestamp,
    User, UserId, UserSummary, Version,
};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A rule that only the transaction can decide forbids it.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// The store cannot be reached, is full or did not answer in time. Nothing was changed, as far
    /// as can be known.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// We are wrong: the store holds or answers what it must not.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// The SHA-256 of an opaque token: all of a token that is ever stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// Names what is counted against the guessing of passwords: a SHA-256, so that what people type is
/// not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CounterKey(pub [u8; 32]);

/// How often something happened, for as long as that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// How often.
    pub count: u32,
    /// From then on it counts no more.
    pub expires_at: Timestamp,
}

/// Users, sessions, flows and messages, durably.
///
/// Behaviour that every implementation shares, and that the suite proves:
///
/// - **Acknowledged means committed.** A method that changes something returns after its
///   transaction has committed.
/// - **Committed means published.** The events of a change go to the [`Bus`] that the store was
///   made with: after the commit, before the method returns, and for one flow in the order of its
///   versions.
/// - **One order per flow.** Every posted, edited or deleted message takes the next version of its
///   flow, without gaps.
/// - **Unique moments.** Every change to a message takes a `changed_at` of its own, ascending in
///   commit order, at or after the `now` that was given.
/// - Ids ascend and are never used twice, also when what they named is deleted.
/// - Deleted users are found by id only; deleted flows and their messages are not found at all.
/// - Logins and e-mail addresses are compared without regard to case, over all of Unicode.
/// - Nothing is changed by a method that returns an error.
/// - **Everything published can be read again.** Changes to messages by [`Store::since`],
///   everything else by [`Store::checkpoint`]: what a bus loses is found there, for
///   [`JOURNAL_WINDOW`] at least.
/// - No text has the character NUL, which PostgreSQL cannot keep: a message with it is
///   [`Fault::Invalid`] and disturbs no other, and nothing is found by it. Of other texts the
///   engine sees to it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Whether it can answer now.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Finishes what is under way and closes. Later calls are [`StoreError::Unavailable`].
    async fn close(&self);

    // Users

    /// Makes an account. [`Fault::LoginTaken`] if its login or e-mail is taken (a login also by a
    /// deleted account), or its id is.
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<User, StoreError>;

    /// A user, also a deleted one.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The account with this login or e-mail, unless deleted; the login is preferred.
    async fn account(&self, key: AccountKey<'_>) -> Result<Option<Account>, StoreError>;

    /// Changes what is `Some`. [`Fault::NoSuchUser`], [`Fault::LoginTaken`].
    /// A new password and the loss of the administrator's right end all sessions:
    /// [`tolmach_domain::EventKind::SessionsEnded`].
    async fn update_user(
        &self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError>;

    /// Deletes an account: forgets its password, e-mail and phone, ends its sessions, keeps its
    /// login reserved, its memberships ([`Fault`]s do not apply: flows go on without it) are
    /// removed, its messages stay.
    async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<(), StoreError>;

    /// Users that are not deleted whose login contains `query` without regard to case, sorted by
    /// login.
    async fn search_users(&self, query: &str, limit: u32) -> Result<Vec<User>, StoreError>;

    /// Users that are not deleted with an id above `after`, ordered by id.
    async fn list_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError>;

    // Sessions

    /// Opens a session.
    async fn open_session(&self, session: NewSession) -> Result<SessionId, StoreError>;

    /// The session with this opaque token; ended and expired ones too.
    async fn session_by_token(&self, token: TokenHash) -> Result<Option<Session>, StoreError>;

    /// The session; ended and expired ones too.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// Moves the moment when a session expires.
    async fn renew_session(&self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError>;

    /// Spends a refresh token and puts the next one in its place. Spending a spent one ends its
    /// session.
    async fn rotate_refresh(
        &self,
        spent: TokenHash,
        next: TokenHash,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Rotation, StoreError>;

    /// Ends a session, if it has not ended yet.
    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError>;

    /// Keeps a recovery token of a user. Earlier ones of that user are forgotten.
    async fn put_recovery(
        &self,
        token: TokenHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Spends a recovery token: sets the password and ends all sessions. `None` if it is unknown,
    /// spent or expired.
    async fn recover(
        &self,
        token: TokenHash,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError>;

    /// Whether a recovery token could be spent now.
    async fn recovery(&self, token: TokenHash, now: Timestamp) -> Result<bool, StoreError>;

    // Tallies

    /// What each of these keys has counted, in this order; nothing where it never counted or has
    /// lapsed at `now`.
    async fn tallies(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
    ) -> Result<Vec<Option<Counter>>, StoreError>;

    /// Counts one more by each of these keys, no two of them the same, and returns what they have
    /// then, in this order. A tally that is new or had lapsed at `now` lapses at `expires_at`;
    /// another when it was to.
    async fn count(
        &self,
        keys: &[CounterKey],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Vec<Counter>, StoreError>;

    /// Forgets what these keys have counted.
    async fn clear_tallies(&self, keys: &[CounterKey]) -> Result<(), StoreError>;

    // Flows

    /// The chat of two users and whether it was made just now. `by` becomes the owner of a new one.
    /// [`Fault::NoSuchUser`].
    async fn open_chat(
        &self,
        by: UserId,
        with: UserId,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(Flow, bool), StoreError>;

    /// Makes a group or channel; the owner is a member. [`Fault::NoSuchUser`] if one of the members
    /// is absent or deleted. The flag tells that the owner's key was used within [`KEY_WINDOW`] for
    /// a flow that still is: that one is returned, and nothing is stored or published;
    /// [`Fault::KeyReused`] if the key was used with another fingerprint.
    async fn create_flow(
        &self,
        flow: NewFlow,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(Flow, bool), StoreError>;

    /// A flow.
    async fn flow(&self, id: FlowId) -> Result<Option<Flow>, StoreError>;

    /// Whether the flow exists and the user is in it.
    async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError>;

    /// The members of a flow, ordered by id; nobody if there is no such flow.
    async fn members(&self, flow: FlowId) -> Result<Vec<User>, StoreError>;

    /// One flow as `viewer` sees it, who need not be a member.
    async fn overview(
        &self,
        flow: FlowId,
        viewer: UserId,
        members: bool,
    ) -> Result<Option<FlowSummary>, StoreError>;

    /// Flows with what a list shows of them, newest activity (`changed_at`) first, then higher id
    /// first.
    async fn overviews(&self, query: FlowSummaryQuery) -> Result<Vec<FlowSummary>, StoreError>;

    /// All flows that a user is in, ordered by id, and where each of them stands.
    async fn positions(&self, user: UserId) -> Result<Vec<(FlowId, Version)>, StoreError>;

    /// Adds members, all or nobody. [`Fault::NoSuchFlow`] if `by` is not in it,
    /// [`Fault::WrongKind`] for a chat, [`Fault::NotOwner`], [`Fault::NoSuchUser`],
    /// [`Fault::AlreadyMember`].
    async fn add_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Removes members, all or nobody. [`Fault::NoSuchFlow`] if `by` is not in it,
    /// [`Fault::WrongKind`] for a chat, [`Fault::NotOwner`], [`Fault::NotMember`],
    /// [`Fault::Invalid`] if the owner is among them.
    async fn remove_members(
        &self,
        flow: FlowId,
        by: UserId,
        users: &[UserId],
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Deletes a flow with its messages. [`Fault::NoSuchFlow`] if `by` is not in it,
    /// [`Fault::WrongKind`], [`Fault::NotOwner`].
    async fn delete_flow(
        &self,
        flow: FlowId,
        by: UserId,
        kinds: FlowKindFilter,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    // Messages

    /// Begins to post a message. When this returns, the message stands before whatever is asked for
    /// later; what it returns resolves once it is committed, whether or not it is polled meanwhile.
    /// [`Fault::NoSuchFlow`] if the author is not in the flow (and does not write as
    /// administrator), [`Fault::WrongKind`], [`Fault::NotOwner`] in a channel of somebody else,
    /// [`Fault::NoSuchMessage`] if it replies to a message that is not in the flow. The flag tells
    /// that the author's key was used within [`KEY_WINDOW`]: the first message is returned, and
    /// nothing is stored or published.
    async fn submit_message(
        &self,
        message: PostMessage,
        now: Timestamp,
    ) -> Result<PendingMessage, StoreError>;

    /// Posts a message: see [`submit_message`](Self::submit_message).
    async fn post(
        &self,
        message: PostMessage,
        now: Timestamp,
    ) -> Result<(Message, bool), StoreError> {
        self.submit_message(message, now).await?.await
    }

    /// Replaces a message's text. [`Fault::NoSuchMessage`] if it is absent, deleted, not in `flow`,
    /// or in a flow that `by` is not in (and does not act as administrator); [`Fault::NotAuthor`].
    async fn edit(&self, edit: EditMessage, now: Timestamp) -> Result<Message, StoreError>;

    /// Deletes those of the messages that may be deleted, in one transaction; see [`Deleted`].
    async fn delete(&self, deletion: DeleteMessages, now: Timestamp)
    -> Result<Deleted, StoreError>;

    /// Messages of a flow, oldest first, without the deleted ones, at most `limit` of them (the
    /// newest for [`HistoryRange::All`], the oldest for [`HistoryRange::Unread`]). `Unread` is what `viewer`
    /// has not read: others' messages after the read mark, which then moves to the last one
    /// returned. An absent flow is [`Fault::NoSuchFlow`]; membership is the caller's concern.
    async fn history(
        &self,
        flow: FlowId,
        viewer: UserId,
        window: HistoryRange,
        limit: u32,
    ) -> Result<MessagePage, StoreError>;

    /// What changed strictly after `since` in the flows of `user`, or in one of them; see
    /// [`Changes`].
    async fn changes(
        &self,
        user: UserId,
        since: Timestamp,
        flow: Option<FlowId>,
        limit: u32,
    ) -> Result<Changes, StoreError>;

    /// Messages of a flow changed after `after`, ordered by version, deleted ones too: what repairs
    /// a gap.
    async fn messages_after(
        &self,
        flow: FlowId,
        after: Version,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError>;

    /// The newest moment that was committed.
    async fn last_commit_time(&self) -> Result<Timestamp, StoreError>;

    /// What was committed after a moment, over the whole world: what finds the gaps. At most
    /// `limit` flows and `limit` events at once.
    async fn changes_after(&self, after: Timestamp, limit: u32) -> Result<Checkpoint, StoreError>;
}

/// What was committed after a moment and up to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Flows whose messages or members changed, and where they stand now or stood not before
    /// `until`.
    pub flows: Vec<(FlowId, Version)>,
    /// The events that changed no message, ascending by moment, without what is gone since. Their
    /// origin is not kept.
    pub events: Vec<Event>,
    /// Everything up to this moment is in it: where to go on.
    pub until: Timestamp,
    /// Whether `limit` left something out that is committed already.
    pub more: bool,
}

/// For how long an event that changed no message can be read again.
pub const JOURNAL_WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// For how long a repeated key of the same author stores nothing.
pub const KEY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// Names an account to log in to.
#[derive(Debug, Clone, Copy)]
pub enum AccountKey<'a> {
    /// By login.
    Login(&'a str),
    /// By e-mail address.
    Email(&'a str),
    /// By login, else by e-mail address.
    Either(&'a str),
}

/// A user with what proves a password.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user.
    pub user: User,
    /// A bcrypt hash; `None` for an account whose tokens are minted elsewhere.
    pub password_hash: Option<String>,
}

/// An account to make.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// A chosen id, for a token that was minted elsewhere.
    pub id: Option<UserId>,
    /// See [`User::login`].
    pub login: String,
    /// See [`User::username`].
    pub username: String,
    /// See [`User::name`].
    pub name: String,
    /// See [`User::email`].
    pub email: Option<String>,
    /// See [`User::phone`].
    pub phone: Option<String>,
    /// See [`User::bio`].
    pub bio: String,
    /// See [`User::avatar`].
    pub avatar: Option<String>,
    /// See [`User::photo`].
    pub photo: Option<PhotoKey>,
    /// See [`User::bot`].
    pub bot: bool,
    /// See [`User::admin`].
    pub admin: bool,
    /// See [`User::business`].
    pub business: bool,
    /// See [`User::profile`].
    pub profile: bool,
    /// See [`Account::password_hash`].
    pub password_hash: Option<String>,
}

/// What to change of a user: what is `Some`.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// See [`User::login`].
    pub login: Option<String>,
    /// See [`User::username`].
    pub username: Option<String>,
    /// See [`User::name`].
    pub name: Option<String>,
    /// See [`User::email`].
    pub email: Option<String>,
    /// See [`User::bio`].
    pub bio: Option<String>,
    /// See [`User::photo`].
    pub photo: Option<PhotoKey>,
    /// See [`User::admin`].
    pub admin: Option<bool>,
    /// See [`User::business`].
    pub business: Option<bool>,
    /// See [`User::profile`].
    pub profile: Option<bool>,
    /// See [`Account::password_hash`].
    pub password_hash: Option<String>,
}

/// A session to open.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Whose.
    pub user: UserId,
    /// Its opaque token.
    pub token: Option<TokenHash>,
    /// Its first refresh token.
    pub refresh: Option<TokenHash>,
    /// When it is opened.
    pub now: Timestamp,
    /// When it expires unless renewed.
    pub expires_at: Timestamp,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was ended before that.
    pub ended_at: Option<Timestamp>,
}

/// What spending a refresh token came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It was spent; the session goes on.
    Rotated {
        /// Whose.
        user: UserId,
        /// Which.
        session: SessionId,
    },
    /// It had been spent before: somebody copied it, and its session was ended.
    Reused,
    /// It is unknown, expired, or its session has ended.
    Unknown,
}

/// A group or channel to make.
#[derive(Debug, Clone)]
pub struct NewFlow {
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
    /// Its members; the owner is added, repetitions are not.
    pub members: Vec<UserId>,
    /// See [`tolmach_domain::NewFlow::key`].
    pub key: Option<RequestKey>,
}

/// What makes a retry harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Chosen by whoever asks; the same key of two users is two keys.
    pub key: String,
    /// The SHA-256 of what was asked with it.
    pub fingerprint: [u8; 32],
}

/// Which flows to list.
#[derive(Debug, Clone)]
pub struct FlowSummaryQuery {
    /// Who looks: decides the read mark.
    pub viewer: UserId,
    /// Every flow, not only the viewer's.
    pub all: bool,
    /// At most this many.
    pub limit: Option<u32>,
    /// Skip this many.
    pub offset: u32,
    /// Whether the members of groups and channels are wanted too.
    pub members: bool,
    /// Only flows changed strictly after this moment.
    pub changed_after: Option<Timestamp>,
}

/// A message that is being posted: resolves to it once it is committed, and to whether that was so
/// before.
pub type PendingMessage = Pin<Box<dyn Future<Output = Result<(Message, bool), StoreError>> + Send>>;

/// A message to post.
#[derive(Debug, Clone)]
pub struct PostMessage {
    /// Where.
    pub flow: FlowId,
    /// The kinds of flow that may be meant.
    pub kinds: FlowKindFilter,
    /// By whom.
    pub author: UserSummary,
    /// Written as administrator: membership is not needed.
    pub administrator: bool,
    /// What it says.
    pub content: Content,
    /// See [`tolmach_domain::NewMessage::key`].
    pub key: Option<String>,
    /// Which request.
    pub origin: Option<Origin>,
}

/// A message's new text.
#[derive(Debug, Clone)]
pub struct EditMessage {
    /// Which.
    pub message: MessageId,
    /// Where it must be.
    pub flow: Option<FlowId>,
    /// By whom.
    pub by: UserId,
    /// Acting as administrator: membership is not needed, authorship is.
    pub administrator: bool,
    /// The new text.
    pub text: String,
    /// Which request.
    pub origin: Option<Origin>,
}

/// Messages to delete.
#[derive(Debug, Clone)]
pub struct DeleteMessages {
    /// Which, in this order; naming one twice changes nothing.
    pub messages: Vec<MessageId>,
    /// Where they must be.
    pub flow: Option<FlowId>,
    /// By whom.
    pub by: UserId,
    /// Acting as administrator: neither membership nor authorship is needed.
    pub administrator: bool,
    /// Which request.
    pub origin: Option<Origin>,
}

/// What became of [`DeleteMessages`]. One event a flow is published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deleted {
    /// Deleted, in the order asked.
    pub deleted: Vec<MessageId>,
    /// Left because it is somebody else's, in a flow that the caller is in.
    pub not_author: Vec<MessageId>,
    /// Left because it is absent, deleted before, elsewhere, or in a flow that the caller is not
    /// in.
    pub absent: Vec<MessageId>,
}

/// Carries events to every node.
///
/// - What this node publishes arrives on each of its subscriptions, the events of one flow in the
///   order in which they were published. Publishing waits for room when listeners lag: nothing is
///   dropped within a node.
/// - What other nodes publish arrives as far as this node listens to its topics, at most once, and
///   may be lost or come out of order: its listeners find out by versions, moments and
///   [`Signal::Missed`], and ask the [`Store`].
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes what one commit brought, in this order. Other nodes are not waited for.
    async fn publish(&self, events: &[Arc<Event>]);

    /// Hears everything from now on, split in `shards` parts: the events of a flow always come on
    /// the same part, those of no flow on the first.
    fn receivers(&self, shards: usize) -> Vec<Box<dyn BusReceiver>>;

    /// What other nodes say of these topics is wanted from now on; [`Signal::Missed`] tells when it
    /// will be heard. Never waits.
    fn subscribe(&self, topics: &[Topic]);

    /// What other nodes say of these topics is no longer wanted. Never waits.
    fn unsubscribe(&self, topics: &[Topic]);

    /// Why other nodes cannot be heard at present, if they cannot; for operators.
    fn last_error(&self) -> Option<String>;

    /// Hands on what was published, as far as that can be done soon, and closes.
    async fn close(&self);
}

/// What a node may be interested in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// What happens in a flow.
    Flow(FlowId),
    /// What happens to a user: their sessions end, they come into flows and leave them.
    User(UserId),
}

/// What a subscription hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Events, in order; at least one.
    Events(Vec<Arc<Event>>),
    /// Something may not have been heard: whoever must not miss anything asks the store.
    Missed,
}

/// One part of a subscription to a [`Bus`].
#[async_trait]
pub trait BusReceiver: Send {
    /// What comes next; `None` when the bus is gone. Safe to cancel.
    async fn next(&mut self) -> Option<Signal>;
}

/// Tells the time.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Returns when this much time has passed.
    async fn sleep(&self, duration: Duration);
}

/// Gives randomness fit for secrets.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// Something outside did not work; the text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

/// A message to a person's mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// Sends mail.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Hands the mail on; returns once it has been accepted.
    async fn send(&self, mail: Mail) -> Result<(), PortError>;
}

/// Keeps photos.
///
/// - Keys are of lower-case letters, digits, `/` and `.`.
/// - What was put can be got until it is deleted; putting again replaces; deleting what is absent
///   is fine.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Keeps a blob.
    async fn put(&self, key: &str, content: Bytes) -> Result<(), PortError>;
    /// A blob, if there is one.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, PortError>;
    /// Forgets a blob.
    async fn delete(&self, key: &str) -> Result<(), PortError>;
}

/// Why a password was not hashed or verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many are waiting already.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash is not one, or hashing failed; the text is for the log.
    #[error("{0}")]
    Failed(String),
}

/// Hashes passwords, slowly on purpose, without blocking anybody.
#[async_trait]
pub trait Passwords: Send + Sync + 'static {
    /// A salted hash.
    async fn hash(&self, password: &Secret) -> Result<String, PasswordError>;
    /// Whether the password is the one that was hashed. With `None` it takes as long and is false.
    async fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool, PasswordError>;
}

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// Whose.
    pub user: UserId,
    /// The session that it belongs to; `None` when it was minted elsewhere.
    pub session: Option<SessionId>,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Signs and verifies access tokens.
pub trait Signer: Send + Sync + 'static {
    /// A signed token, unique by `nonce`.
    fn sign(&self, claims: &AccessClaims, nonce: [u8; 16]) -> Result<Secret, PortError>;
    /// What a token says, if its signature is good and it has not expired at `now`.
    fn verify(&self, token: &Secret, now: Timestamp) -> Option<AccessClaims>;
}
