//! Requests to the engine.

use crate::{
    FlowId, FlowKindFilter, GrantKind, HistoryRange, LoginIdentifier, MessageId, NewFlow,
    NewMessage, PhotoOf, Profile, RecoveryIdentifier, Registration, Secret, Timestamp, UserId,
    UserRef,
};

/// A request to the engine, in the terms that all dialects share. Each variant names its answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Create an account and log in. Answer: [`Granted`](crate::Answer::Granted).
    Register(Box<Registration>),
    /// Log in with a login or an e-mail. Answer: [`Granted`](crate::Answer::Granted).
    Login {
        /// The account.
        identifier: LoginIdentifier,
        /// The password.
        password: Secret,
        /// The kind of tokens to issue.
        grant: GrantKind,
    },
    /// Exchange a refresh token for a new pair. A second use of a token ends its session. Answer:
    /// [`Granted`](crate::Answer::Granted).
    Refresh {
        /// The refresh token.
        token: Secret,
    },
    /// End the session of the credentials. Answer: [`LoggedOut`](crate::Answer::LoggedOut).
    Logout {
        /// The login of the session's owner, if the request names one; another one is refused.
        login: Option<String>,
    },
    /// Mail a recovery link, if the account exists. Answer:
    /// [`RecoveryAccepted`](crate::Answer::RecoveryAccepted), always.
    Recover {
        /// The identifier that the caller knows of the account.
        identifier: RecoveryIdentifier,
    },
    /// Set a password by the token of a recovery link; ends all sessions. Answer:
    /// [`PasswordReset`](crate::Answer::PasswordReset).
    ResetPassword {
        /// The token of the link; single use.
        token: Secret,
        /// The new password.
        password: Secret,
    },
    /// Delete an account permanently; its messages stay. Answer:
    /// [`AccountDeleted`](crate::Answer::AccountDeleted).
    ///
    /// If the request has credentials, they must be of the same account.
    DeleteAccount {
        /// The account's id, if the request names one; another one is refused as wrong credentials.
        user: Option<UserId>,
        /// The login.
        login: String,
        /// The password.
        password: Secret,
    },
    /// Fill in the caller's profile, once. Creates the account too if another issuer signed the
    /// token. Answer: [`ProfileCreated`](crate::Answer::ProfileCreated).
    CreateProfile(Box<Profile>),
    /// Read a user. Answer: [`User`](crate::Answer::User).
    GetUser {
        /// The user.
        user: UserRef,
    },
    /// Search users whose login contains `query` without regard to case, ordered by login. Answer:
    /// [`Users`](crate::Answer::Users).
    SearchUsers {
        /// A part of a login; the empty string finds nothing.
        query: String,
        /// The largest number of users.
        limit: u32,
    },
    /// Read a photo. Answer: [`Photo`](crate::Answer::Photo).
    GetPhoto {
        /// The user or flow that it belongs to.
        of: PhotoOf,
    },
    /// Open the chat with a user: the same one for a pair of users always. Answer:
    /// [`ChatOpened`](crate::Answer::ChatOpened).
    OpenChat {
        /// The other member.
        with: UserRef,
    },
    /// Create a group or channel that the caller owns. Answer:
    /// [`FlowCreated`](crate::Answer::FlowCreated).
    CreateFlow(Box<NewFlow>),
    /// Delete a flow with its messages; the owner only. Answer:
    /// [`FlowDeleted`](crate::Answer::FlowDeleted).
    DeleteFlow {
        /// The flow.
        flow: FlowId,
        /// The kinds that the request accepts.
        kinds: FlowKindFilter,
    },
    /// Read one flow. Answer: [`Flow`](crate::Answer::Flow).
    GetFlow {
        /// The flow.
        flow: FlowId,
        /// The kinds that the request accepts.
        kinds: FlowKindFilter,
        /// True if the members of a group or channel are wanted too.
        members: bool,
    },
    /// Add members to a group or channel, all or none; the owner only. Answer:
    /// [`MembersAdded`](crate::Answer::MembersAdded).
    AddMembers {
        /// The flow.
        flow: FlowId,
        /// The users; at least one.
        users: Vec<UserId>,
    },
    /// Remove members other than the owner from a group or channel, all or none; the owner only.
    /// Answer: [`MembersRemoved`](crate::Answer::MembersRemoved).
    ///
    /// Each member may leave, the owner too: the request then names the caller alone. When the
    /// owner leaves, the flow passes to the member who has been there longest; when the last member
    /// leaves, it is deleted.
    RemoveMembers {
        /// The flow.
        flow: FlowId,
        /// The users; at least one.
        users: Vec<UserId>,
    },
    /// List the caller's flows, newest activity first; as administrator, all flows. Answer:
    /// [`Flows`](crate::Answer::Flows).
    ListFlows {
        /// The largest number of flows; `None` is all.
        limit: Option<u32>,
        /// The number of flows to skip.
        offset: u32,
        /// True if the members of groups and channels are wanted too.
        members: bool,
    },
    /// Post a message. Answer: [`Sent`](crate::Answer::Sent).
    Send(Box<NewMessage>),
    /// Replace the text of one's own message. Answer: [`Edited`](crate::Answer::Edited).
    Edit {
        /// The message.
        message: MessageId,
        /// The flow that it must be in, if the request names one.
        flow: Option<FlowId>,
        /// The new text.
        text: String,
    },
    /// Delete one's own messages; as administrator, messages of all authors. Answer:
    /// [`Deleted`](crate::Answer::Deleted).
    Delete {
        /// The messages; at least one.
        messages: Vec<MessageId>,
        /// The flow that they must be in, if the request names one.
        flow: Option<FlowId>,
        /// True if nothing is deleted unless all of them can be; otherwise those that can be are,
        /// and the answer names the others.
        all_or_none: bool,
    },
    /// Read messages of one flow. Answer: [`History`](crate::Answer::History).
    History {
        /// The flow.
        flow: FlowId,
        /// The kinds that the request accepts.
        kinds: FlowKindFilter,
        /// The part of the history.
        range: HistoryRange,
        /// True if reading moves the caller's read mark forward to the last message of the answer:
        /// once the connection's socket has taken the answer, and over HTTP once it is encoded.
        /// [`HistoryRange::Unread`] always does.
        mark_read: bool,
    },
    /// Read the messages, the flows and the caller's record changed after a time, in all flows or
    /// one. Answer: [`Changes`](crate::Answer::Changes).
    GetChanges {
        /// The commit time; changes strictly after it are read.
        since: Timestamp,
        /// The only flow to read; `None` is all of the caller's.
        flow: Option<FlowId>,
        /// The largest number of messages.
        limit: u32,
    },
    /// Show the other members that the caller types, or has stopped. Nothing is stored. Answer:
    /// [`TypingShown`](crate::Answer::TypingShown).
    ShowTyping {
        /// The flow.
        flow: FlowId,
        /// True if the caller types, false if they stopped.
        active: bool,
    },
    /// Block a user: that user can no longer open a chat with the caller, write or show typing in
    /// the chat that exists, or add the caller to a group or channel. Groups and channels that both
    /// are in stay as they are. Answer: [`Blocked`](crate::Answer::Blocked).
    Block {
        /// The user.
        user: UserRef,
    },
    /// End the block of a user. Answer: [`Unblocked`](crate::Answer::Unblocked).
    Unblock {
        /// The user.
        user: UserRef,
    },
    /// List the users whom the caller blocks, ordered by id. Answer:
    /// [`Users`](crate::Answer::Users).
    ListBlocked,
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
            Command::Block { .. } => "block",
            Command::Unblock { .. } => "unblock",
            Command::ListBlocked => "list_blocked",
        }
    }
}
