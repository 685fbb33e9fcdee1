//! The engine said no.

use std::time::Duration;

/// Why the engine refused a command. Each dialect maps every one of them to its wire, without a
/// catch-all.
///
/// None of them reveals whether a login exists, or whether a flow exists to somebody who is not in
/// it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No proof, or one that is not valid (any more): an unknown, spent, expired or revoked token.
    #[error("log in first: the token is missing, unknown or expired")]
    Unauthenticated,
    /// The login or the password is wrong.
    #[error("wrong login or password")]
    WrongCredentials {
        /// Whether the login exists. Only for a wire whose operator chose to reveal it.
        login_exists: bool,
    },
    /// The login, or the e-mail address, belongs to somebody else.
    #[error("this login or e-mail is taken")]
    LoginTaken,
    /// The account has no profile yet, and only making one is allowed.
    #[error("this account has no profile yet")]
    NoProfile,
    /// The account has a profile already.
    #[error("this account has a profile already")]
    ProfileExists,
    /// There is no such user.
    #[error("no such user")]
    NoSuchUser,
    /// There is no such flow, or the caller is not in it: the two are not told apart.
    #[error("no such conversation")]
    NoSuchFlow,
    /// There is no such message, or it is in a flow that the caller is not in.
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
        /// Which value, in the words of the domain.
        field: &'static str,
        /// What is wrong with it and what is expected.
        reason: String,
    },
    /// Too many requests of a costly kind.
    #[error("too many requests")]
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store or another part cannot be reached now.
    #[error("the service is unavailable for the moment")]
    Unavailable,
    /// We are wrong. The cause is in the log.
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
