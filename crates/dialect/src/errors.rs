//! Faults on the wire, in both directions.

use crate::field::FieldError;
use std::borrow::Cow;
use std::time::Duration;
use tolmach_domain::Fault;

/// The field of [`Fault::Invalid`] that stands for the whole request.
pub const REQUEST: &str = "request";

/// The text of a request that is refused without any reason.
const NOT_ACCEPTABLE: &str = "not acceptable";

/// A wire without a time to try again: a second later does no harm.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Every fault without a variable part, with what a wire does not carry at its least.
pub const FAULTS: [Fault; 20] = [
    Fault::Unauthenticated,
    Fault::WrongCredentials { login_exists: false },
    Fault::LoginTaken,
    Fault::NoProfile,
    Fault::ProfileExists,
    Fault::NoSuchUser,
    Fault::NoSuchFlow,
    Fault::NoSuchMessage,
    Fault::NoPhoto,
    Fault::WrongKind,
    Fault::NotOwner,
    Fault::NotAuthor,
    Fault::NotAdministrator,
    Fault::NoBusiness,
    Fault::AlreadyMember,
    Fault::NotMember,
    Fault::KeyReused,
    Fault::TooMany { retry_after: RETRY_AFTER },
    Fault::Unavailable,
    Fault::Internal,
];

/// A fault as a wire writes it: a code and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody<C> {
    /// The code: an HTTP status, a word, …
    pub code: C,
    /// The text for people.
    pub text: Cow<'static, str>,
}

impl<C> ErrorBody<C> {
    /// A code with a text.
    pub fn new(code: C, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }
}

/// A request that a dialect refuses by itself, before the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A field is not acceptable.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The engine would refuse it with this: an id that is none exists nowhere.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The code and the text of every fault: the struct has a field for each, so that none is
/// forgotten.
///
/// A code that depends on the request (an operation with a code of its own) is chosen by the
/// dialect before it looks into the table.
#[derive(Debug, Clone, Copy)]
pub struct ErrorTable<C: 'static> {
    /// [`Fault::Unauthenticated`].
    pub unauthenticated: (C, &'static str),
    /// [`Fault::WrongCredentials`]; the same whether the login exists.
    pub wrong_credentials: (C, &'static str),
    /// [`Fault::LoginTaken`].
    pub login_taken: (C, &'static str),
    /// [`Fault::NoProfile`].
    pub no_profile: (C, &'static str),
    /// [`Fault::ProfileExists`].
    pub profile_exists: (C, &'static str),
    /// [`Fault::NoSuchUser`].
    pub no_such_user: (C, &'static str),
    /// [`Fault::NoSuchFlow`].
    pub no_such_flow: (C, &'static str),
    /// [`Fault::NoSuchMessage`].
    pub no_such_message: (C, &'static str),
    /// [`Fault::NoPhoto`].
    pub no_photo: (C, &'static str),
    /// [`Fault::WrongKind`].
    pub wrong_kind: (C, &'static str),
    /// [`Fault::NotOwner`].
    pub not_owner: (C, &'static str),
    /// [`Fault::NotAuthor`].
    pub not_author: (C, &'static str),
    /// [`Fault::NotAdministrator`].
    pub not_administrator: (C, &'static str),
    /// [`Fault::NoBusiness`].
    pub no_business: (C, &'static str),
    /// [`Fault::AlreadyMember`].
    pub already_member: (C, &'static str),
    /// [`Fault::NotMember`].
    pub not_member: (C, &'static str),
    /// [`Fault::KeyReused`].
    pub key_reused: (C, &'static str),
    /// [`Fault::TooMany`]; the time to try again is not part of the text.
    pub too_many: (C, &'static str),
    /// [`Fault::Unavailable`].
    pub unavailable: (C, &'static str),
    /// [`Fault::Internal`].
    pub internal: (C, &'static str),
    /// The code of [`Fault::Invalid`], whose text is `field: reason`.
    pub invalid: C,
    /// The fields that the engine and the wire call by different names.
    pub fields: FieldNames,
}

impl<C: Copy + PartialEq> ErrorTable<C> {
    /// A fault on the wire.
    pub fn encode(&self, fault: &Fault) -> ErrorBody<C> {
        let (code, text) = match fault {
            Fault::Unauthenticated => self.unauthenticated,
            Fault::WrongCredentials { login_exists: _ } => self.wrong_credentials,
            Fault::LoginTaken => self.login_taken,
            Fault::NoProfile => self.no_profile,
            Fault::ProfileExists => self.profile_exists,
            Fault::NoSuchUser => self.no_such_user,
            Fault::NoSuchFlow => self.no_such_flow,
            Fault::NoSuchMessage => self.no_such_message,
            Fault::NoPhoto => self.no_photo,
            Fault::WrongKind => self.wrong_kind,
            Fault::NotOwner => self.not_owner,
            Fault::NotAuthor => self.not_author,
            Fault::NotAdministrator => self.not_administrator,
            Fault::NoBusiness => self.no_business,
            Fault::AlreadyMember => self.already_member,
            Fault::NotMember => self.not_member,
            Fault::KeyReused => self.key_reused,
            Fault::TooMany { retry_after: _ } => self.too_many,
            Fault::Unavailable => self.unavailable,
            Fault::Internal => self.internal,
            Fault::Invalid { field, reason } => {
                return ErrorBody::new(self.invalid, self.fields.describe(field, reason));
            }
        };
        ErrorBody::new(code, text)
    }

    /// A refused request on the wire. A field keeps its name.
    pub fn encode_request_error(&self, error: &RequestError) -> ErrorBody<C> {
        match error {
            RequestError::Field(error) => ErrorBody::new(self.invalid, error.to_string()),
            RequestError::Fault(fault) => self.encode(fault),
        }
    }

    /// The fault whose code and text these are, but for [`Fault::Invalid`]: the words of other
    /// servers are the dialect's to interpret.
    pub fn decode(&self, code: C, text: &str) -> Option<Fault> {
        FAULTS.into_iter().find(|fault| {
            let body = self.encode(fault);
            body.code == code && body.text == text
        })
    }
}

/// The fields that the engine and a wire call by different names: first the engine's name, then the
/// wire's. Of several engine's names for one of the wire, the first is read.
#[derive(Debug, Clone, Copy)]
pub struct FieldNames(pub &'static [(&'static str, &'static str)]);

impl FieldNames {
    /// The wire's name of an engine's field.
    pub fn to_wire<'a>(&self, field: &'a str) -> &'a str {
        self.0.iter().find(|(name, _)| *name == field).map_or(field, |(_, wire)| wire)
    }

    /// The engine's name of a wire's field.
    pub fn to_engine(&self, name: &str) -> Option<&'static str> {
        self.0.iter().find(|(_, wire)| *wire == name).map(|(field, _)| *field)
    }

    /// The text of [`Fault::Invalid`]: the reason, after the field's name on the wire where the
    /// fault is about one field.
    pub fn describe(&self, field: &str, reason: &str) -> String {
        if field == REQUEST {
            reason.to_owned()
        } else {
            format!("{}: {reason}", self.to_wire(field))
        }
    }

    /// The [`Fault::Invalid`] that a text means.
    pub fn invalid(&self, text: &str) -> Fault {
        let named = text
            .split_once(": ")
            .and_then(|(name, reason)| Some(Fault::invalid(self.to_engine(name)?, reason)));
        let whole = || Fault::invalid(REQUEST, if text.is_empty() { NOT_ACCEPTABLE } else { text });
        named.unwrap_or_else(whole)
    }
}

/// The [`Fault::TooMany`] of a wire that does not say when to try again.
pub const fn too_many() -> Fault {
    Fault::TooMany { retry_after: RETRY_AFTER }
}
