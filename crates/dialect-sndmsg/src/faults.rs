//! Refusals: every fault to its `status` and `detail`, and back. protocols/sndmsg/SPEC.md, section
//! "Errors".

use crate::wire::{Operation, Reply, status};
use std::borrow::Cow;
use std::time::Duration;
use tolmach_domain::Fault;

/// A refusal as the wire says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: &'static str,
    /// `None` where the status says all.
    pub(crate) detail: Option<Cow<'static, str>>,
}

impl Refusal {
    /// `ERROR` with its reason.
    pub(crate) fn error(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status: status::ERROR, detail: Some(detail.into()) }
    }

    /// A field that is not acceptable.
    pub(crate) fn field(field: &str, reason: &str) -> Self {
        Self::error(format!("{field}: {reason}"))
    }

    fn bare(status: &'static str) -> Self {
        Self { status, detail: None }
    }

    fn no_room() -> Self {
        Self { status: status::NO_ROOM, detail: Some("no such room".into()) }
    }

    /// The frame that refuses a request of `operation`: the document gives signing up a failure of
    /// its own.
    pub(crate) fn frame(self, operation: Operation) -> Reply<'static> {
        let status = if operation == Operation::Signup && self.detail.is_some() {
            status::SIGNUP_FAIL
        } else {
            self.status
        };
        Reply {
            kind: operation.reply().into(),
            status: Some(status.into()),
            detail: self.detail,
            ..Reply::default()
        }
    }
}

/// The fields that the engine and this wire call by different names: first the engine's name, then
/// the wire's. Of several engine's names for one, reading takes the first.
const FIELDS: [(&str, &str); 9] = [
    ("login", "login"),
    ("username", "login"),
    ("identifier", "login"),
    ("password", "pass"),
    ("user", "customer"),
    ("flow", "room_id"),
    ("text", "message"),
    ("content", "message"),
    ("content_type", "msg_type"),
];

/// A field that the wire has no name for.
const REQUEST: &str = "request";

/// How a fault in answer to `operation` is said. `reveal`: whether an unknown login is told from a
/// wrong password.
pub(crate) fn lower(operation: Operation, fault: &Fault, reveal: bool) -> Refusal {
    match fault {
        Fault::Unauthenticated => Refusal::error("log in first"),
        Fault::WrongCredentials { login_exists } if operation == Operation::Login => {
            Refusal::bare(if reveal && !login_exists {
                status::WRONG_USER
            } else {
                status::WRONG_PASS
            })
        }
        Fault::WrongCredentials { login_exists: _ } => Refusal::error("wrong login or password"),
        Fault::LoginTaken if operation == Operation::Signup => Refusal::bare(status::USER_EXIST),
        Fault::LoginTaken => Refusal::error("this login is taken"),
        Fault::NoProfile => Refusal::error("this account has no profile yet"),
        Fault::ProfileExists => Refusal::error("this account has a profile already"),
        Fault::NoSuchUser => Refusal::error("no such user"),
        Fault::NoSuchFlow => Refusal::no_room(),
        Fault::NoSuchMessage => Refusal::error("no such message"),
        Fault::NoPhoto => Refusal::error("no such photo"),
        Fault::WrongKind => Refusal::error("this room is of another kind"),
        Fault::NotOwner => Refusal::error("only the creator of the room may do this"),
        Fault::NotAuthor => Refusal::error("only the author of the message may do this"),
        Fault::NotAdministrator => Refusal::error("only an administrator may do this"),
        Fault::NoBusiness => Refusal::error("no member of this room has the business tariff"),
        Fault::AlreadyMember => Refusal::error("a user is in this room already"),
        Fault::NotMember => Refusal::error("a user is not in this room"),
        Fault::KeyReused => Refusal::error("this key was used for another request"),
        Fault::Invalid { field, reason } => match FIELDS.iter().find(|(name, _)| name == field) {
            Some((_, name)) => Refusal::field(name, reason),
            None if *field == REQUEST => Refusal::error(reason.clone()),
            None => Refusal::field(field, reason),
        },
        Fault::TooMany { retry_after: _ } => Refusal::error("too many requests, try again later"),
        Fault::Unavailable => Refusal::error("the service is unavailable for the moment"),
        Fault::Internal => Refusal::error("internal error"),
    }
}

/// The wire does not say when to try again: a second later does no harm.
const TOO_MANY: Fault = Fault::TooMany { retry_after: Duration::from_secs(1) };

/// The faults whose detail tells them apart, with what the wire does not carry at its least.
const TOLD_APART: [Fault; 19] = [
    Fault::Unauthenticated,
    Fault::WrongCredentials { login_exists: false },
    Fault::LoginTaken,
    Fault::NoProfile,
    Fault::ProfileExists,
    Fault::NoSuchUser,
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

/// What a refusal means: by its status where that says all, else exactly where the detail is ours.
/// `None` for what is none.
pub(crate) fn lift(status: &str, detail: Option<&str>) -> Option<Fault> {
    match status {
        status::SUCCESS | status::LOGIN_OK | status::SIGNUP_OK => return None,
        status::WRONG_USER => return Some(Fault::WrongCredentials { login_exists: false }),
        // A server that reveals nothing says the same of both; one that does means this.
        status::WRONG_PASS => return Some(Fault::WrongCredentials { login_exists: true }),
        status::USER_EXIST => return Some(Fault::LoginTaken),
        status::NO_ROOM => return Some(Fault::NoSuchFlow),
        _ => {}
    }
    let detail = detail.unwrap_or_default();
    // No detail depends on the operation.
    let ours = |fault: &Fault| {
        lower(Operation::OldDialogs, fault, false).detail.as_deref() == Some(detail)
    };
    Some(TOLD_APART.into_iter().find(ours).unwrap_or_else(|| invalid(detail)))
}

fn invalid(detail: &str) -> Fault {
    let named = detail.split_once(": ").and_then(|(name, reason)| {
        let (field, _) = FIELDS.iter().find(|(_, wire)| *wire == name)?;
        Some(Fault::invalid(field, reason))
    });
    named.unwrap_or_else(|| {
        Fault::invalid(REQUEST, if detail.is_empty() { "not acceptable" } else { detail })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(operation: Operation, fault: &Fault, reveal: bool) -> (String, Option<String>) {
        let frame = lower(operation, fault, reveal).frame(operation);
        assert_eq!(frame.kind, operation.reply());
        (
            frame.status.expect("a refusal has a status").into_owned(),
            frame.detail.map(Cow::into_owned),
        )
    }

    #[test]
    fn every_fault_has_its_status_and_is_read_back() {
        let mut table: Vec<(Fault, &str)> =
            TOLD_APART.into_iter().map(|fault| (fault, "ERROR")).collect();
        table.extend([
            (Fault::NoSuchFlow, "ROOM_DOES_NOT_EXIST"),
            (Fault::invalid("login", "at most 64 characters"), "ERROR"),
            (Fault::invalid("text", "must not be empty"), "ERROR"),
            (Fault::invalid("request", "a: b: c"), "ERROR"),
        ]);
        for (fault, status) in table {
            let (found, detail) = said(Operation::OldDialogs, &fault, false);
            assert_eq!(found, status, "{fault:?}");
            assert_eq!(lift(&found, detail.as_deref()), Some(fault));
        }
    }

    #[test]
    fn a_login_reveals_an_unknown_user_only_where_the_operator_chose_it() {
        for (login_exists, reveal, status) in [
            (true, false, "LOGIN_WRONG_PASS"),
            (false, false, "LOGIN_WRONG_PASS"),
            (true, true, "LOGIN_WRONG_PASS"),
            (false, true, "LOGIN_WRONG_USER"),
        ] {
            let fault = Fault::WrongCredentials { login_exists };
            assert_eq!(said(Operation::Login, &fault, reveal), (status.to_owned(), None));
            let read = lift(status, None).expect("it is a refusal");
            assert_eq!(
                said(Operation::Login, &read, reveal).0,
                status,
                "said again it is the same"
            );
        }
        assert_eq!(
            said(Operation::OldDialogs, &Fault::WrongCredentials { login_exists: true }, true),
            said(Operation::OldDialogs, &Fault::WrongCredentials { login_exists: false }, true)
        );
    }

    #[test]
    fn signing_up_fails_in_the_words_of_the_document() {
        assert_eq!(
            said(Operation::Signup, &Fault::LoginTaken, false),
            ("SIGNUP_USER_EXIST".to_owned(), None)
        );
        assert_eq!(lift("SIGNUP_USER_EXIST", None), Some(Fault::LoginTaken));
        for (fault, detail) in [
            (Fault::invalid("password", "too short"), "pass: too short"),
            (Fault::invalid("username", "too long"), "login: too long"),
            (Fault::invalid("title", "too long"), "title: too long"),
            (Fault::Unavailable, "the service is unavailable for the moment"),
        ] {
            let refused = said(Operation::Signup, &fault, false);
            assert_eq!(refused, ("SINGUP_FAIL".to_owned(), Some(detail.to_owned())));
            let read = lift(&refused.0, refused.1.as_deref()).expect("it is a refusal");
            assert_eq!(said(Operation::Signup, &read, false), refused, "said again it is the same");
        }
    }

    #[test]
    fn what_is_no_refusal_is_not_read_as_one_and_unknown_words_are() {
        for granted in ["SUCCESS", "LOGIN_OK", "SINGUP_OK"] {
            assert_eq!(lift(granted, None), None);
        }
        assert_eq!(lift("ERROR", None), Some(Fault::invalid("request", "not acceptable")));
        assert_eq!(
            lift("BROKEN", Some("disk: full")),
            Some(Fault::invalid("request", "disk: full"))
        );
    }
}
