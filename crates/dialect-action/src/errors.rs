//! Refusals: every fault to its status and text, and back. protocols/action/SPEC.md, section
//! "Errors".

use crate::wire::Method;
use std::borrow::Cow;
use std::time::Duration;
use tolmach_domain::{Authority, Fault};

/// A refusal as the wire says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The `response_status`, as in RFC 9110.
    pub(crate) status: u16,
    /// The one text in `errors`.
    pub(crate) text: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    /// A field that is not acceptable: 400.
    pub(crate) fn field(field: &str, reason: &str) -> Self {
        Self::new(400, format!("{field}: {reason}"))
    }

    /// What happens in a room was asked outside of any.
    pub(crate) fn outside(method: Method) -> Self {
        Self::new(400, if method == Method::LeaveRoom { NOTHING_TO_LEAVE } else { OUTSIDE })
    }

    /// An action that there is not.
    pub(crate) fn unknown(action: &str) -> Self {
        Self::new(405, format!("Method \"{action}\" not allowed."))
    }
}

const OUTSIDE: &str = "Action not allowed. You are not in the room!";
const NOTHING_TO_LEAVE: &str = "Action 'leave_room' not allowed. You are not in the room";
const NOT_A_MEMBER: &str = "You cannot enter a room you are not a member of";
const NO_BUSINESS: &str = "Action not allowed. You cannot write to a chat that does not have brand with business subscription!";
const NO_MESSAGE: &str =
    "Message not found! Check whether you are its author and the id is correct!";
const NOTHING_DELETED: &str = "Messages were not found! Nothing was deleted!";

/// A field that the wire has no name for.
const REQUEST: &str = "request";

/// The wire's name of a field that the engine calls otherwise.
fn field_name(method: Method, field: &str) -> &str {
    match field {
        "text" | "content" if method == Method::EditMessage => "edited_msg_text",
        "text" | "content" => "msg_text",
        "flow" => "room_pk",
        "message" => "msg_id",
        "messages" => "msg_id_list",
        field => field,
    }
}

/// The engine's name of a field of the wire.
fn field_of(name: &str) -> Option<&'static str> {
    match name {
        "msg_text" | "edited_msg_text" => Some("text"),
        "room_pk" => Some("flow"),
        "msg_id" => Some("message"),
        "msg_id_list" => Some("messages"),
        _ => None,
    }
}

/// How a fault is said to whoever asked in this right.
pub(crate) fn lower(method: Method, authority: Authority, fault: &Fault) -> Refusal {
    match fault {
        Fault::Unauthenticated => Refusal::new(401, "The token is no longer valid"),
        Fault::WrongCredentials { login_exists: _ } => Refusal::new(401, "Wrong login or password"),
        Fault::LoginTaken => Refusal::new(409, "This login or e-mail is taken"),
        Fault::NoProfile => Refusal::new(403, "This account has no profile yet"),
        Fault::ProfileExists => Refusal::new(409, "This account has a profile already"),
        Fault::NoSuchUser => Refusal::new(404, "No such user"),
        Fault::NoSuchFlow => match authority {
            Authority::Member => Refusal::new(403, NOT_A_MEMBER),
            Authority::Administrator => Refusal::new(404, "Not found"),
        },
        // Whose message it is, and whether there is one, are not told apart.
        Fault::NoSuchMessage | Fault::NotAuthor => Refusal::new(
            404,
            if method == Method::DeleteMessages { NOTHING_DELETED } else { NO_MESSAGE },
        ),
        Fault::NoPhoto => Refusal::new(404, "No such photo"),
        Fault::WrongKind => Refusal::new(400, "This room is of another kind"),
        Fault::NotOwner => Refusal::new(403, "Only the owner of the room may do this"),
        Fault::NotAdministrator => Refusal::new(403, "Only an administrator may do this"),
        Fault::NoBusiness => Refusal::new(403, NO_BUSINESS),
        Fault::AlreadyMember => Refusal::new(409, "A user is in this room already"),
        Fault::NotMember => Refusal::new(404, "A user is not in this room"),
        Fault::KeyReused => Refusal::new(409, "This key was used for another request"),
        Fault::Invalid { field, reason } if *field == REQUEST => Refusal::new(400, reason.clone()),
        Fault::Invalid { field, reason } => Refusal::field(field_name(method, field), reason),
        Fault::TooMany { retry_after: _ } => {
            Refusal::new(429, "Too many requests, try again later")
        }
        Fault::Unavailable => Refusal::new(503, "The service is unavailable for the moment"),
        Fault::Internal => Refusal::new(500, "Internal error"),
    }
}

/// The wire does not say when to try again: a second later does no harm.
const TOO_MANY: Fault = Fault::TooMany { retry_after: Duration::from_secs(1) };

/// The faults whose status and text tell them apart, with what the wire does not carry at its
/// least.
const TOLD_APART: [Fault; 19] = [
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
    Fault::NotAdministrator,
    Fault::NoBusiness,
    Fault::AlreadyMember,
    Fault::NotMember,
    Fault::KeyReused,
    TOO_MANY,
    Fault::Unavailable,
    Fault::Internal,
];

/// What a refusal means: exactly where the text is ours, by the status and the method otherwise.
pub(crate) fn lift(method: Method, authority: Authority, status: u16, text: &str) -> Fault {
    if let Some(fault) = TOLD_APART
        .into_iter()
        .find(|fault| lower(method, authority, fault) == Refusal::new(status, text.to_owned()))
    {
        return fault;
    }
    let about_message = matches!(method, Method::EditMessage | Method::DeleteMessages);
    match status {
        400 if text == OUTSIDE || text == NOTHING_TO_LEAVE => Fault::NoSuchFlow,
        401 => Fault::Unauthenticated,
        403 if method == Method::JoinRoom => Fault::NoSuchFlow,
        403 if authority == Authority::Administrator => Fault::NoBusiness,
        403 => Fault::NotOwner,
        404 if about_message => Fault::NoSuchMessage,
        404 => Fault::NoSuchFlow,
        429 => TOO_MANY,
        502..=504 => Fault::Unavailable,
        400..=499 => invalid(text),
        _ => Fault::Internal,
    }
}

/// Whether a refusal says that its sender is in no room.
pub(crate) fn says_outside(status: u16, text: &str) -> bool {
    status == 400 && (text == OUTSIDE || text == NOTHING_TO_LEAVE)
}

fn invalid(text: &str) -> Fault {
    let named = text
        .split_once(": ")
        .and_then(|(name, reason)| Some(Fault::invalid(field_of(name)?, reason)));
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
            (Fault::NoSuchFlow, 403),
            (Fault::NoSuchMessage, 404),
            (Fault::NoPhoto, 404),
            (Fault::WrongKind, 400),
            (Fault::NotOwner, 403),
            (Fault::NotAdministrator, 403),
            (Fault::NoBusiness, 403),
            (Fault::AlreadyMember, 409),
            (Fault::NotMember, 404),
            (Fault::KeyReused, 409),
            (Fault::invalid("text", "too long"), 400),
            (Fault::invalid("flow", "too old"), 400),
            (Fault::invalid("messages", "too many"), 400),
            (Fault::invalid("request", "a: b: c"), 400),
            (Fault::TooMany { retry_after: Duration::from_secs(1) }, 429),
            (Fault::Unavailable, 503),
            (Fault::Internal, 500),
        ];
        for (fault, status) in table {
            for method in Method::ALL {
                let refusal = lower(method, Authority::Member, &fault);
                assert_eq!(refusal.status, status, "{fault:?}");
                assert_eq!(lift(method, Authority::Member, refusal.status, &refusal.text), fault);
                let refusal = lower(method, Authority::Administrator, &fault);
                assert_eq!(
                    refusal.status,
                    if fault == Fault::NoSuchFlow { 404 } else { status },
                    "{fault:?}"
                );
                assert_eq!(
                    lift(method, Authority::Administrator, refusal.status, &refusal.text),
                    fault
                );
            }
        }
    }

    #[test]
    fn what_a_stranger_must_not_learn_is_told_alike() {
        let told = |method, fault| lower(method, Authority::Member, &fault);
        for method in Method::ALL {
            assert_eq!(told(method, Fault::NotAuthor), told(method, Fault::NoSuchMessage));
            let exists = |login_exists| told(method, Fault::WrongCredentials { login_exists });
            assert_eq!(exists(true), exists(false));
        }
    }

    #[test]
    fn fields_are_named_in_the_words_of_the_wire() {
        for (method, field, text) in [
            (Method::CreateMessage, "text", "msg_text: too long"),
            (Method::CreateMessage, "content", "msg_text: too long"),
            (Method::EditMessage, "text", "edited_msg_text: too long"),
            (Method::EditMessage, "message", "msg_id: too long"),
            (Method::DeleteMessages, "messages", "msg_id_list: too long"),
            (Method::JoinRoom, "flow", "room_pk: too long"),
            (Method::JoinRoom, "title", "title: too long"),
        ] {
            let refusal = lower(method, Authority::Member, &Fault::invalid(field, "too long"));
            assert_eq!(refusal.text, text);
            let read = lift(method, Authority::Member, 400, &refusal.text);
            assert_eq!(
                lower(method, Authority::Member, &read),
                refusal,
                "said again it is the same"
            );
        }
    }

    #[test]
    fn the_words_of_other_servers_are_read_by_status_and_method() {
        use Authority::{Administrator, Member};
        for (method, authority, status, text, fault) in [
            (Method::JoinRoom, Member, 403, "no", Fault::NoSuchFlow),
            (Method::CreateMessage, Administrator, 403, "no", Fault::NoBusiness),
            (Method::CreateMessage, Member, 403, "no", Fault::NotOwner),
            (
                Method::EditMessage,
                Member,
                404,
                "Message with id: 1 not found!",
                Fault::NoSuchMessage,
            ),
            (Method::DeleteMessages, Member, 404, "Not found", Fault::NoSuchMessage),
            (
                Method::JoinRoom,
                Administrator,
                404,
                "No Room matches the given query.",
                Fault::NoSuchFlow,
            ),
            (
                Method::CreateMessage,
                Member,
                400,
                "Action not allowed. You are not in the room!",
                Fault::NoSuchFlow,
            ),
            (Method::CreateMessage, Member, 400, "", Fault::invalid("request", "not acceptable")),
            (Method::List, Member, 401, "", Fault::Unauthenticated),
            (
                Method::List,
                Member,
                405,
                "Method \"list\" not allowed.",
                Fault::invalid("request", "Method \"list\" not allowed."),
            ),
            (Method::List, Member, 429, "", TOO_MANY),
            (Method::List, Member, 502, "", Fault::Unavailable),
            (Method::List, Member, 500, "", Fault::Internal),
            (Method::List, Member, 65535, "", Fault::Internal),
        ] {
            assert_eq!(lift(method, authority, status, text), fault, "{method:?} {status} {text}");
        }
    }
}
