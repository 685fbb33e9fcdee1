//! Refusals: every fault to its `status` and `error_msg`, and back. protocols/mode/SPEC.md, section
//! "Errors".

use crate::wire::Operation;
use std::borrow::Cow;
use std::time::Duration;
use tolmach_domain::Fault;

/// A refusal as the wire says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// As in RFC 9110.
    pub(crate) status: u16,
    /// The `error_msg`.
    pub(crate) text: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    /// A field that is not acceptable: 422.
    pub(crate) fn field(field: &str, reason: &str) -> Self {
        Self::new(422, format!("{field}: {reason}"))
    }
}

/// The fields that the engine and this wire call by different names: first the engine's name, then
/// the wire's. Of several engine's names for one, reading takes the first.
const FIELDS: [(&str, &str); 10] = [
    ("login", "username"),
    ("username", "username"),
    ("identifier", "username"),
    ("password", "password"),
    ("email", "email"),
    ("flow", "chat_id"),
    ("text", "content"),
    ("content", "content"),
    ("content_type", "content_type"),
    ("token", "token"),
];

/// A field that the wire has no name for.
const REQUEST: &str = "request";

/// How a fault is said.
pub(crate) fn lower(fault: &Fault) -> Refusal {
    match fault {
        Fault::Unauthenticated => Refusal::new(401, "the token is missing, unknown or expired"),
        Fault::WrongCredentials { login_exists: _ } => {
            Refusal::new(401, "wrong username or password")
        }
        Fault::LoginTaken => Refusal::new(409, "this username or e-mail is taken"),
        Fault::NoProfile => Refusal::new(403, "this account has no profile yet"),
        Fault::ProfileExists => Refusal::new(409, "this account has a profile already"),
        Fault::NoSuchUser => Refusal::new(404, "no such user"),
        Fault::NoSuchFlow => Refusal::new(404, "no such chat"),
        Fault::NoSuchMessage => Refusal::new(404, "no such message"),
        Fault::NoPhoto => Refusal::new(404, "no such photo"),
        Fault::WrongKind => Refusal::new(400, "this chat is of another type"),
        Fault::NotOwner => Refusal::new(403, "only the owner of the chat may do this"),
        Fault::NotAuthor => Refusal::new(403, "only the author of the message may do this"),
        Fault::NotAdministrator => Refusal::new(403, "only an administrator may do this"),
        Fault::NoBusiness => Refusal::new(403, "no member of this chat has the business tariff"),
        Fault::AlreadyMember => Refusal::new(409, "a user is in this chat already"),
        Fault::NotMember => Refusal::new(404, "a user is not in this chat"),
        Fault::KeyReused => Refusal::new(409, "this key was used for another request"),
        Fault::Invalid { field, reason } => match FIELDS.iter().find(|(name, _)| name == field) {
            Some((_, name)) => Refusal::field(name, reason),
            None if *field == REQUEST => Refusal::new(422, reason.clone()),
            None => Refusal::field(field, reason),
        },
        Fault::TooMany { retry_after: _ } => {
            Refusal::new(429, "too many requests, try again later")
        }
        Fault::Unavailable => Refusal::new(503, "the service is unavailable for the moment"),
        Fault::Internal => Refusal::new(500, "internal error"),
    }
}

/// The faults whose status and text tell them apart, with what the wire does not carry at its
/// least.
const TOLD_APART: [Fault; 20] = [
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
    TOO_MANY,
    Fault::Unavailable,
    Fault::Internal,
];

/// The wire does not say when to try again: a second later does no harm.
const TOO_MANY: Fault = Fault::TooMany { retry_after: Duration::from_secs(1) };

/// What a refusal means: exactly where the text is ours, by the status and the operation otherwise.
pub(crate) fn lift(operation: Operation, status: u16, text: &str) -> Fault {
    if let Some(fault) =
        TOLD_APART.into_iter().find(|fault| lower(fault) == Refusal::new(status, text.to_owned()))
    {
        return fault;
    }
    let about_chat = matches!(
        operation,
        Operation::GetMessages
            | Operation::SendMessage
            | Operation::SendGroupMessage
            | Operation::GetChats
    );
    match status {
        400 if operation == Operation::SendGroupMessage => Fault::WrongKind,
        401 if operation.hands_out_token() => Fault::WrongCredentials { login_exists: false },
        401 => Fault::Unauthenticated,
        403 => Fault::NotOwner,
        404 if about_chat => Fault::NoSuchFlow,
        404 => Fault::NoSuchUser,
        409 => Fault::LoginTaken,
        429 => TOO_MANY,
        502..=504 => Fault::Unavailable,
        400..=499 => invalid(text),
        _ => Fault::Internal,
    }
}

fn invalid(text: &str) -> Fault {
    let named = text.split_once(": ").and_then(|(name, reason)| {
        let (field, _) = FIELDS.iter().find(|(_, wire)| *wire == name)?;
        Some(Fault::invalid(field, reason))
    });
    named.unwrap_or_else(|| {
        Fault::invalid(REQUEST, if text.is_empty() { "not acceptable" } else { text })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_status_and_is_read_back() {
        let table = [
            (Fault::Unauthenticated, 401),
            (Fault::WrongCredentials { login_exists: false }, 401),
            (Fault::LoginTaken, 409),
            (Fault::NoProfile, 403),
            (Fault::ProfileExists, 409),
            (Fault::NoSuchUser, 404),
            (Fault::NoSuchFlow, 404),
            (Fault::NoSuchMessage, 404),
            (Fault::NoPhoto, 404),
            (Fault::WrongKind, 400),
            (Fault::NotOwner, 403),
            (Fault::NotAuthor, 403),
            (Fault::NotAdministrator, 403),
            (Fault::NoBusiness, 403),
            (Fault::AlreadyMember, 409),
            (Fault::NotMember, 404),
            (Fault::KeyReused, 409),
            (Fault::invalid("login", "at most 64 characters"), 422),
            (Fault::invalid("flow", "too old"), 422),
            (Fault::invalid("request", "a: b: c"), 422),
            (Fault::TooMany { retry_after: Duration::from_secs(1) }, 429),
            (Fault::Unavailable, 503),
            (Fault::Internal, 500),
        ];
        for (fault, status) in table {
            let refusal = lower(&fault);
            assert_eq!(refusal.status, status, "{fault:?}");
            assert!((1..=64).contains(&refusal.text.len()), "{refusal:?}");
            assert_eq!(lift(Operation::GetMessages, refusal.status, &refusal.text), fault);
        }
    }

    #[test]
    fn a_fault_does_not_tell_whether_a_login_exists() {
        assert_eq!(
            lower(&Fault::WrongCredentials { login_exists: true }),
            lower(&Fault::WrongCredentials { login_exists: false })
        );
    }

    #[test]
    fn fields_are_named_in_the_words_of_the_wire() {
        for (field, text) in [
            ("login", "username: too long"),
            ("username", "username: too long"),
            ("identifier", "username: too long"),
            ("flow", "chat_id: too long"),
            ("text", "content: too long"),
            ("password", "password: too long"),
            ("title", "title: too long"),
        ] {
            let refusal = lower(&Fault::invalid(field, "too long"));
            assert_eq!(refusal.text, text);
            assert_eq!(
                lower(&lift(Operation::Register, 422, &refusal.text)),
                refusal,
                "said again it is the same"
            );
        }
    }

    #[test]
    fn the_words_of_other_servers_are_read_by_status_and_operation() {
        use Operation::*;
        for (operation, status, fault) in [
            (Auth, 401, Fault::WrongCredentials { login_exists: false }),
            (GetChats, 401, Fault::Unauthenticated),
            (GetMessages, 403, Fault::NotOwner),
            (GetMessages, 404, Fault::NoSuchFlow),
            (Auth, 404, Fault::NoSuchUser),
            (Register, 409, Fault::LoginTaken),
            (SendGroupMessage, 400, Fault::WrongKind),
            (SendMessage, 400, Fault::invalid("request", "not acceptable")),
            (SendMessage, 429, TOO_MANY),
            (SendMessage, 500, Fault::Internal),
            (SendMessage, 501, Fault::Internal),
            (SendMessage, 502, Fault::Unavailable),
            (SendMessage, 302, Fault::Internal),
            (SendMessage, 65535, Fault::Internal),
        ] {
            assert_eq!(lift(operation, status, ""), fault, "{operation:?} {status}");
        }
    }
}
