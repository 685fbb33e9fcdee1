//! Refusals: every fault to its `code`, `status` and `detail`, and back. protocols/morelia/SPEC.md,
//! section "Errors".

use crate::wire::Method;
use std::borrow::Cow;
use std::time::Duration;
use tolmach_domain::Fault;

/// A refusal as the wire says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// As in RFC 9110.
    pub(crate) code: u16,
    /// The `detail`.
    pub(crate) detail: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(code: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// A request that is not acceptable.
    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, detail)
    }

    /// The `status`: the name that RFC 9110 gives the code.
    pub(crate) fn status(&self) -> &'static str {
        match self.code {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            409 => "Conflict",
            429 => "Too Many Requests",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        }
    }
}

/// The fields that the engine and this wire call by different names: first the engine's name, then
/// the wire's, a JSON pointer. Of several engine's names for one, reading takes the first.
const FIELDS: [(&str, &str); 14] = [
    ("login", "/data/user/login"),
    ("identifier", "/data/user/login"),
    ("username", "/data/user/username"),
    ("password", "/data/user/password"),
    ("email", "/data/user/email"),
    ("bio", "/data/user/bio"),
    ("avatar", "/data/user/avatar"),
    ("token", "/data/user/auth_id"),
    ("flow", "/data/flow/id"),
    ("text", "/data/message/text"),
    ("content", "/data/message"),
    ("file", "/data/message/file"),
    ("key", "/data/message/id"),
    ("since", "/data/time"),
];

/// A field that the wire has no name for.
const REQUEST: &str = "request";

/// How a fault is said.
pub(crate) fn lower(fault: &Fault) -> Refusal {
    match fault {
        Fault::Unauthenticated => Refusal::new(401, "the token is missing, unknown or expired"),
        Fault::WrongCredentials { login_exists: _ } => Refusal::new(401, "wrong login or password"),
        Fault::LoginTaken => Refusal::new(409, "this login or e-mail is taken"),
        Fault::NoProfile => Refusal::new(403, "this account has no profile yet"),
        Fault::ProfileExists => Refusal::new(409, "this account has a profile already"),
        Fault::NoSuchUser => Refusal::new(404, "no such user"),
        Fault::NoSuchFlow => Refusal::new(404, "no such flow"),
        Fault::NoSuchMessage => Refusal::new(404, "no such message"),
        Fault::NoPhoto => Refusal::new(404, "no such photo"),
        Fault::WrongKind => Refusal::new(400, "this flow is of another type"),
        Fault::NotOwner => Refusal::new(403, "only the owner of the flow may do this"),
        Fault::NotAuthor => Refusal::new(403, "only the author of the message may do this"),
        Fault::NotAdministrator => Refusal::new(403, "only an administrator may do this"),
        Fault::NoBusiness => Refusal::new(403, "no member of this flow has the business tariff"),
        Fault::AlreadyMember => Refusal::new(409, "a user is in this flow already"),
        Fault::NotMember => Refusal::new(404, "a user is not in this flow"),
        Fault::KeyReused => Refusal::new(409, "this key was used for another request"),
        Fault::Invalid { field, reason } => match FIELDS.iter().find(|(name, _)| name == field) {
            Some((_, name)) => field_refusal(name, reason),
            None if *field == REQUEST => Refusal::bad_request(reason.clone()),
            None => field_refusal(field, reason),
        },
        Fault::TooMany { retry_after: _ } => {
            Refusal::new(429, "too many requests, try again later")
        }
        Fault::Unavailable => Refusal::new(503, "the service is unavailable for the moment"),
        Fault::Internal => Refusal::new(500, "internal error"),
    }
}

/// A field that is not acceptable.
fn field_refusal(field: &str, reason: &str) -> Refusal {
    Refusal::bad_request(format!("{field}: {reason}"))
}

/// The faults whose code and detail tell them apart, with what the wire does not carry at its
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

/// What a refusal means: exactly where the detail is ours, by the code and the method otherwise.
pub(crate) fn lift(method: Method, code: u16, detail: &str) -> Fault {
    if let Some(fault) =
        TOLD_APART.into_iter().find(|fault| lower(fault) == Refusal::new(code, detail.to_owned()))
    {
        return fault;
    }
    let by_password =
        matches!(method, Method::RegisterUser | Method::Authentication | Method::DeleteUser);
    match code {
        401 if by_password => Fault::WrongCredentials { login_exists: false },
        401 => Fault::Unauthenticated,
        403 if matches!(method, Method::DeleteMessage | Method::EditedMessage) => Fault::NotAuthor,
        403 => Fault::NotOwner,
        404 if matches!(method, Method::DeleteMessage | Method::EditedMessage) => {
            Fault::NoSuchMessage
        }
        404 if by_password || method == Method::UserInfo => Fault::NoSuchUser,
        404 => Fault::NoSuchFlow,
        409 => Fault::LoginTaken,
        429 => TOO_MANY,
        502..=504 => Fault::Unavailable,
        400..=499 => invalid(detail),
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
    fn every_fault_has_its_code_and_is_read_back() {
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
            (Fault::invalid("login", "at most 64 characters"), 400),
            (Fault::invalid("since", "too old"), 400),
            (Fault::invalid("request", "a: b: c"), 400),
            (Fault::TooMany { retry_after: Duration::from_secs(1) }, 429),
            (Fault::Unavailable, 503),
            (Fault::Internal, 500),
        ];
        for (fault, code) in table {
            let refusal = lower(&fault);
            assert_eq!(refusal.code, code, "{fault:?}");
            assert!((1..=64).contains(&refusal.detail.len()), "{refusal:?}");
            assert_eq!(refusal.status() == "Internal Server Error", code == 500);
            assert_eq!(lift(Method::GetUpdate, refusal.code, &refusal.detail), fault);
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
        for (field, detail) in [
            ("login", "/data/user/login: too long"),
            ("identifier", "/data/user/login: too long"),
            ("flow", "/data/flow/id: too long"),
            ("text", "/data/message/text: too long"),
            ("title", "title: too long"),
        ] {
            let refusal = lower(&Fault::invalid(field, "too long"));
            assert_eq!(refusal.detail, detail);
            assert_eq!(
                lower(&lift(Method::RegisterUser, 400, &refusal.detail)),
                refusal,
                "said again it is the same"
            );
        }
    }

    #[test]
    fn the_words_of_other_servers_are_read_by_code_and_method() {
        use Method::*;
        for (method, code, fault) in [
            (Authentication, 401, Fault::WrongCredentials { login_exists: false }),
            (AllFlow, 401, Fault::Unauthenticated),
            (SendMessage, 403, Fault::NotOwner),
            (EditedMessage, 403, Fault::NotAuthor),
            (DeleteMessage, 404, Fault::NoSuchMessage),
            (GetUpdate, 404, Fault::NoSuchFlow),
            (Authentication, 404, Fault::NoSuchUser),
            (RegisterUser, 409, Fault::LoginTaken),
            (SendMessage, 400, Fault::invalid("request", "not acceptable")),
            (SendMessage, 429, TOO_MANY),
            (SendMessage, 500, Fault::Internal),
            (SendMessage, 502, Fault::Unavailable),
            (SendMessage, 302, Fault::Internal),
            (SendMessage, 65535, Fault::Internal),
        ] {
            assert_eq!(lift(method, code, ""), fault, "{method:?} {code}");
        }
    }
}
