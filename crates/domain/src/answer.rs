//! Results of requests.

use crate::{
    FlowId, FlowSummary, Grant, Message, MessageId, MessagePage, Photo, Timestamp, User, UserId,
    UserSummary,
};

/// The result of a [`Command`](crate::Command) that was carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The tokens of a login.
    Granted(Box<Grant>),
    /// The session has ended.
    LoggedOut,
    /// A link is mailed if there is such an account.
    RecoveryAccepted,
    /// The password was set and all sessions ended.
    PasswordReset,
    /// The account was deleted.
    AccountDeleted {
        /// The user.
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
        /// The other member; `None` on a client whose wire does not name them.
        with: Option<UserSummary>,
        /// True if the chat was created by this request.
        created: bool,
    },
    /// The profile was filled in.
    ProfileCreated,
    /// The new group or channel.
    FlowCreated {
        /// The flow.
        flow: FlowId,
        /// Its title.
        title: String,
    },
    /// The flow was deleted.
    FlowDeleted {
        /// The flow.
        flow: FlowId,
    },
    /// A flow.
    Flow(Box<FlowSummary>),
    /// The users were added.
    MembersAdded {
        /// The flow.
        flow: FlowId,
        /// The users.
        users: Vec<UserId>,
    },
    /// The users were removed.
    MembersRemoved {
        /// The flow.
        flow: FlowId,
        /// The users.
        users: Vec<UserId>,
    },
    /// Flows, newest activity first.
    Flows(Vec<FlowSummary>),
    /// The message as committed.
    Sent {
        /// The message; `None` on a client whose wire does not return it.
        message: Option<Box<Message>>,
        /// True if a message with the same key was stored before, so that this one was not.
        repeated: bool,
    },
    /// The message as edited.
    Edited(Box<Message>),
    /// The result of a deletion.
    Deleted {
        /// The messages deleted, in the order of the request.
        deleted: Vec<MessageId>,
        /// The messages left: absent, in another flow or of another author.
        left: Vec<MessageId>,
    },
    /// Messages of a flow, oldest first.
    History(Box<MessagePage>),
    /// Changes.
    Changes(Box<Changes>),
    /// The event was published.
    TypingShown,
    /// The user is blocked.
    Blocked {
        /// The user.
        user: UserId,
    },
    /// The user is not blocked.
    Unblocked {
        /// The user.
        user: UserId,
    },
}

/// Changes after a commit time.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// Changed messages, oldest change first; deleted ones have `deleted_at`.
    pub messages: Vec<Message>,
    /// Changed flows.
    pub flows: Vec<FlowSummary>,
    /// The caller's record, if it changed.
    pub user: Option<Box<User>>,
    /// The commit time up to which this is complete: where the next request begins.
    pub until: Timestamp,
    /// True if there may be more changes already.
    pub more: bool,
}
