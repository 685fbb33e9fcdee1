//! Faults: the errors of requests.

use std::time::Duration;

/// The reason why the engine refused a command. Each dialect maps every variant to its wire,
/// without a catch-all.
///
/// No variant reveals that a login exists, or that a flow exists to a user who is not a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Credentials are missing or not valid: an unknown, spent, expired or revoked token.
    #[error("log in first: the token is missing, unknown or expired")]
    Unauthenticated,
    /// The login or the password is wrong.
    #[error("wrong login or password")]
    WrongCredentials {
        /// True if the login exists. Only for a wire whose operator chose to reveal it.
        login_exists: bool,
    },
    /// The login or the e-mail address belongs to another user.
    #[error("this login or e-mail is taken")]
    LoginTaken,
    /// The account has no profile yet, and may only create one.
    #[error("this account has no profile yet")]
    NoProfile,
    /// The account has a profile already.
    #[error("this account has a profile already")]
    ProfileExists,
    /// There is no such user.
    #[error("no such user")]
    NoSuchUser,
    /// There is no such flow, or the caller is not a member: both look the same.
    #[error("no such conversation")]
    NoSuchFlow,
    /// There is no such message, or it is in a flow that the caller is not a member of.
    #[error("no such message")]
    NoSuchMessage,
    /// There is no photo.
    #[error("there is no photo")]
    NoPhoto,
    /// The flow is of a kind that the request does not apply to.
    #[error("this conversation is of another kind")]
    WrongKind,
    /// Only the owner of the flow may do this.
    #[error("only the owner may do this")]
    NotOwner,
    /// Only the author of the message may do this.
    #[error("only the author may do this")]
    NotAuthor,
    /// Only an administrator may do this.
    #[error("only an administrator may do this")]
    NotAdministrator,
    /// The flow has no member with the business tariff, which an administrator needs to write
    /// there.
    #[error("no member of this conversation has the business tariff")]
    NoBusiness,
    /// One of the users is a member already.
    #[error("a user is a member already")]
    AlreadyMember,
    /// One of the users is not a member.
    #[error("a user is not a member")]
    NotMember,
    /// The key of this request was used for another one before.
    #[error("this key was used for another request")]
    KeyReused,
    /// A value is not acceptable.
    #[error("{field}: {reason}")]
    Invalid {
        /// The name of the value.
        field: &'static str,
        /// The problem, and the expectation.
        reason: String,
    },
    /// Too many requests of a costly kind.
    #[error("too many requests")]
    TooMany {
        /// The time to wait before the next attempt.
        retry_after: Duration,
    },
    /// The store or another part cannot be reached now.
    #[error("the service is unavailable for the moment")]
    Unavailable,
    /// A defect of the gateway. The cause is in the log.
    #[error("internal error")]
    Internal,
}

impl Fault {
    /// A [`Fault::Invalid`].
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Fault::Invalid { field, reason: reason.into() }
    }

    /// A short stable name, for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Unauthenticated => "unauthenticated",
            Fault::WrongCredentials { .. } => "wrong_credentials",
            Fault::LoginTaken => "login_taken",
            Fault::NoProfile => "no_profile",
            Fault::ProfileExists => "profile_exists",
            Fault::NoSuchUser => "no_such_user",
            Fault::NoSuchFlow => "no_such_flow",
            Fault::NoSuchMessage => "no_such_message",
            Fault::NoPhoto => "no_photo",
            Fault::WrongKind => "wrong_kind",
            Fault::NotOwner => "not_owner",
            Fault::NotAuthor => "not_author",
            Fault::NotAdministrator => "not_administrator",
            Fault::NoBusiness => "no_business",
            Fault::AlreadyMember => "already_member",
            Fault::NotMember => "not_member",
            Fault::KeyReused => "key_reused",
            Fault::Invalid { .. } => "invalid",
            Fault::TooMany { .. } => "too_many",
            Fault::Unavailable => "unavailable",
            Fault::Internal => "internal",
        }
    }
}
