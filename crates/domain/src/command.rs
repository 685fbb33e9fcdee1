//! What may be asked ([`Command`]) and what comes back when it is granted ([`Answer`]).

use crate::{
    Content, FlowId, FlowKind, FlowKindFilter, FlowSummary, Grant, GrantKind, Message, MessageId,
    Photo, Secret, Timestamp, User, UserId, UserRef, UserSummary, Version,
};

/// A use case, as any of the dialects may ask for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make an account and log in. Answer: [`Answer::Granted`].
    Register(Box<Registration>),
    /// Log in with a login or an e-mail. Answer: [`Answer::Granted`].
    Login {
        /// A login, or an e-mail address.
        identifier: String,
        /// The password.
        password: Secret,
        /// What to hand out.
        grant: GrantKind,
    },
    /// Trade a refresh token for a new pair. Reusing a spent one revokes its session. Answer:
    /// [`Answer::Granted`].
    Refresh {
        /// The refresh token.
        token: Secret,
    },
    /// End the session that the proof belongs to. Answer: [`Answer::LoggedOut`].
    Logout {
        /// Where given, must name the owner of the session.
        login: Option<String>,
    },
    /// Mail a recovery link, if the account exists. Answer: [`Answer::RecoveryAccepted`], always.
    Recover {
        /// The identifier that the caller knows of the account.
        identifier: RecoveryIdentifier,
    },
    /// Set a password by the token of a recovery link; ends all sessions. Answer:
    /// [`Answer::PasswordReset`].
    ResetPassword {
        /// From the link; single use.
        token: Secret,
        /// The new password.
        password: Secret,
    },
    /// Delete an account for ever; its messages stay. Answer: [`Answer::AccountDeleted`].
    ///
    /// Credentials, where the request has some, must be the same account's.
    DeleteAccount {
        /// The account's id, where the request names it: another one is wrong credentials.
        user: Option<UserId>,
        /// The login.
        login: String,
        /// Its password.
        password: Secret,
    },
    /// Fill in the caller's profile, once; makes the account too when its token was minted
    /// elsewhere. Answer: [`Answer::ProfileCreated`].
    CreateProfile(Box<Profile>),
    /// Read a user. Answer: [`Answer::User`].
    GetUser {
        /// The user.
        user: UserRef,
    },
    /// Users whose login contains `query` without regard to case, sorted by login. Answer:
    /// [`Answer::Users`].
    SearchUsers {
        /// Part of a login; the empty string finds nobody.
        query: String,
        /// At most this many.
        limit: u32,
    },
    /// A photo. Answer: [`Answer::Photo`].
    GetPhoto {
        /// Whose.
        of: PhotoOf,
    },
    /// The chat with a user: always the same one for a pair. Answer: [`Answer::ChatOpened`].
    OpenChat {
        /// The other member.
        with: UserRef,
    },
    /// Make a group or channel that the caller owns. Answer: [`Answer::FlowCreated`].
    CreateFlow(Box<NewFlow>),
    /// Delete a flow with its messages: the owner only. Answer: [`Answer::FlowDeleted`].
    DeleteFlow {
        /// Which.
        flow: FlowId,
        /// The kinds that may be meant.
        kinds: FlowKindFilter,
    },
    /// Read one flow. Answer: [`Answer::Flow`].
    GetFlow {
        /// Which.
        flow: FlowId,
        /// The kinds that may be meant.
        kinds: FlowKindFilter,
        /// Whether the members of a group or channel are wanted too.
        members: bool,
    },
    /// Add members to a group or channel: the owner only, all or nobody. Answer:
    /// [`Answer::MembersAdded`].
    AddMembers {
        /// Where.
        flow: FlowId,
        /// Whom; at least one.
        users: Vec<UserId>,
    },
    /// Remove members from a group or channel: the owner only, never the owner, all or nobody.
    /// Answer: [`Answer::MembersRemoved`].
    RemoveMembers {
        /// Where.
        flow: FlowId,
        /// Whom; at least one.
        users: Vec<UserId>,
    },
    /// The caller's flows, newest activity first; as administrator, all flows. Answer:
    /// [`Answer::Flows`].
    ListFlows {
        /// At most this many; `None` is all.
        limit: Option<u32>,
        /// Skip this many.
        offset: u32,
        /// Whether the members of groups and channels are wanted too.
        members: bool,
    },
    /// Post a message. Answer: [`Answer::Sent`].
    Send(Box<NewMessage>),
    /// Replace the text of one's own message. Answer: [`Answer::Edited`].
    Edit {
        /// Which.
        message: MessageId,
        /// Where it must be, if the wire says.
        flow: Option<FlowId>,
        /// The new text.
        text: String,
    },
    /// Delete one's own messages; as administrator, anybody's. Answer: [`Answer::Deleted`].
    Delete {
        /// Which; at least one.
        messages: Vec<MessageId>,
        /// Where they must be, if the wire says.
        flow: Option<FlowId>,
    },
    /// Read messages of one flow. Answer: [`Answer::History`].
    History {
        /// Which flow.
        flow: FlowId,
        /// The kinds that may be meant.
        kinds: FlowKindFilter,
        /// The part of it.
        range: HistoryRange,
        /// True if reading moves the caller's read mark; [`HistoryRange::Unread`] always does.
        mark_read: bool,
    },
    /// Messages, flows and the caller's record changed after a moment, in all flows or one.
    /// Answer: [`Answer::Changes`].
    GetChanges {
        /// Changes strictly after it.
        since: Timestamp,
        /// Only here.
        flow: Option<FlowId>,
        /// At most this many messages.
        limit: u32,
    },
    /// Show the others that the caller types, or has stopped. Nothing is stored. Answer:
    /// [`Answer::TypingShown`].
    ShowTyping {
        /// Where.
        flow: FlowId,
        /// Whether the caller types.
        active: bool,
    },
}

impl Command {
    /// A short stable name, for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Register(_) => "register",
            Command::Login { .. } => "login",
            Command::Refresh { .. } => "refresh",
            Command::Logout { .. } => "logout",
            Command::Recover { .. } => "recover",
            Command::ResetPassword { .. } => "reset_password",
            Command::DeleteAccount { .. } => "delete_account",
            Command::CreateProfile(_) => "create_profile",
            Command::GetUser { .. } => "get_user",
            Command::SearchUsers { .. } => "search_users",
            Command::GetPhoto { .. } => "get_photo",
            Command::OpenChat { .. } => "open_chat",
            Command::CreateFlow(_) => "create_flow",
            Command::DeleteFlow { .. } => "delete_flow",
            Command::GetFlow { .. } => "get_flow",
            Command::AddMembers { .. } => "add_members",
            Command::RemoveMembers { .. } => "remove_members",
            Command::ListFlows { .. } => "list_flows",
            Command::Send(_) => "send",
            Command::Edit { .. } => "edit",
            Command::Delete { .. } => "delete",
            Command::History { .. } => "history",
            Command::GetChanges { .. } => "get_changes",
            Command::ShowTyping { .. } => "show_typing",
        }
    }
}

/// What is known of an account to recover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryIdentifier {
    /// Its e-mail address.
    Email(String),
    /// Its login.
    Login(String),
}

/// A new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The login; the e-mail stands in where the wire lets it be left out.
    pub login: Option<String>,
    /// The password.
    pub password: Secret,
    /// The name that others see; the login stands in.
    pub username: Option<String>,
    /// Contact address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// A program rather than a person.
    pub bot: bool,
    /// About the user.
    pub bio: Option<String>,
    /// A small picture, encoded by the client.
    pub avatar: Option<String>,
    /// Whether this is the whole profile, or a [`Profile`] follows.
    pub profile: bool,
    /// What to hand out.
    pub grant: GrantKind,
}

impl Registration {
    /// An account with a whole profile of which only the login is known, which is also the name
    /// that others see.
    pub fn new(login: impl Into<String>, password: Secret, grant: GrantKind) -> Self {
        let login = login.into();
        Self {
            login: Some(login.clone()),
            password,
            username: Some(login),
            email: None,
            phone: None,
            bot: false,
            bio: None,
            avatar: None,
            profile: true,
            grant,
        }
    }
}

/// A profile to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name that others see.
    pub username: String,
    /// The full name.
    pub name: String,
    /// About the user.
    pub bio: String,
    /// The photo.
    pub photo: Option<Photo>,
}

/// Whose photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoOf {
    /// A user's.
    User(UserId),
    /// A flow's: its members only.
    Flow(FlowId),
}

/// A group or channel to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFlow {
    /// [`FlowKind::Group`] or [`FlowKind::Channel`].
    pub kind: FlowKind,
    /// Its title.
    pub title: String,
    /// Its description.
    pub info: String,
    /// Its first members beside the caller; naming the caller, or one twice, changes nothing.
    pub members: Vec<UserId>,
    /// Its photo.
    pub photo: Option<Photo>,
    /// Makes a retry harmless: a second request of the same owner with the same key within the
    /// window makes nothing and is answered with the first one's flow. 1 to 255 characters.
    pub key: Option<String>,
}

/// A message to post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Where.
    pub flow: FlowId,
    /// The kinds of flow that may be meant: another is [`crate::Fault::WrongKind`].
    pub kinds: FlowKindFilter,
    /// What it says.
    pub content: Content,
    /// Makes a retry harmless: a second draft of the same author with the same key within the
    /// window stores nothing and is answered with the first one's message.
    pub key: Option<String>,
}

/// Which part of a flow's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRange {
    /// The newest `limit` messages after skipping the newest `offset`.
    Newest {
        /// At most this many.
        limit: u32,
        /// Skip this many.
        offset: u32,
    },
    /// Everything, to a bound that the engine sets.
    All,
    /// What the caller has not read; reading it moves the caller's read mark.
    Unread,
}

impl HistoryRange {
    /// Cuts a whole history, oldest first, to this part of it.
    pub fn cut(self, messages: &mut Vec<Message>) {
        if let HistoryRange::Newest { limit, offset } = self {
            let length = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            messages.truncate(messages.len().saturating_sub(length(offset)));
            messages.drain(..messages.len().saturating_sub(length(limit)));
        }
    }
}

/// What comes back when a [`Command`] is granted.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Logged in.
    Granted(Box<Grant>),
    /// The session has ended.
    LoggedOut,
    /// A link was mailed, if there is such an account.
    RecoveryAccepted,
    /// The password is set, all sessions have ended.
    PasswordReset,
    /// The account is gone.
    AccountDeleted {
        /// Whose.
        user: UserId,
    },
    /// A user.
    User(Box<User>),
    /// Users.
    Users(Vec<User>),
    /// A photo.
    Photo(Photo),
    /// The chat with a user.
    ChatOpened {
        /// The chat.
        flow: FlowId,
        /// The other member; `None` where the wire that this was read from does not say.
        with: Option<UserSummary>,
        /// Whether it was made just now.
        created: bool,
    },
    /// The profile was filled in.
    ProfileCreated,
    /// The new group or channel.
    FlowCreated {
        /// Which.
        flow: FlowId,
        /// Its title.
        title: String,
    },
    /// The flow is gone.
    FlowDeleted {
        /// Which.
        flow: FlowId,
    },
    /// A flow.
    Flow(Box<FlowSummary>),
    /// They are members now.
    MembersAdded {
        /// Where.
        flow: FlowId,
        /// Who.
        users: Vec<UserId>,
    },
    /// They are no longer members.
    MembersRemoved {
        /// Where.
        flow: FlowId,
        /// Who.
        users: Vec<UserId>,
    },
    /// Flows, newest activity first.
    Flows(Vec<FlowSummary>),
    /// The message as committed.
    Sent {
        /// The message; `None` where the wire that this was read from does not say.
        message: Option<Box<Message>>,
        /// Whether a draft with the same key had been stored before, so that this one stored
        /// nothing.
        repeated: bool,
    },
    /// The message as edited.
    Edited(Box<Message>),
    /// What was deleted.
    Deleted {
        /// These, in the order asked.
        deleted: Vec<MessageId>,
        /// These were left: absent, elsewhere or not the caller's.
        left: Vec<MessageId>,
    },
    /// Messages of a flow, oldest first.
    History(Box<MessagePage>),
    /// What changed.
    Changes(Box<Changes>),
    /// The others were told.
    TypingShown,
}

/// Messages of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct MessagePage {
    /// Which flow.
    pub flow: FlowId,
    /// Oldest first; deleted messages are left out.
    pub messages: Vec<Message>,
    /// Every change up to this version is reflected: events up to it are old news.
    pub version: Version,
}

impl MessagePage {
    /// Messages of a flow whose version is not known.
    pub fn new(flow: FlowId, messages: Vec<Message>) -> Self {
        Self { flow, messages, version: Version::default() }
    }
}

/// What changed after a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// Changed messages, oldest change first; deleted ones carry `deleted_at`.
    pub messages: Vec<Message>,
    /// Changed flows.
    pub flows: Vec<FlowSummary>,
    /// The caller's record, if it changed.
    pub user: Option<Box<User>>,
    /// Ask again with it to go on without gap or repeat.
    pub until: Timestamp,
    /// Whether more waits now.
    pub more: bool,
}
