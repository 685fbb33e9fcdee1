//! Errors: every fault to its status and text, and back. protocols/action/SPEC.md, section
//! "Errors".

use crate::wire::Method;
use std::borrow::Cow;
use tolmach_dialect::errors::{self, ErrorTable, FieldNames, too_many};
use tolmach_domain::{Authority, Fault};

/// The `response_status`, as in RFC 9110, and the one text in `errors`.
pub(crate) type ErrorBody = errors::ErrorBody<u16>;

const OUTSIDE: &str = "Action not allowed. You are not in the room!";
const NOTHING_TO_LEAVE: &str = "Action 'leave_room' not allowed. You are not in the room";
const NO_BUSINESS: &str = "Action not allowed. You cannot write to a chat that does not have \
                           brand with business subscription!";
const NO_MESSAGE: &str =
    "Message not found! Check whether you are its author and the id is correct!";

/// The codes and texts for a member who neither edits nor deletes.
///
/// A message of another author is answered like one that does not exist.
const ERRORS: ErrorTable<u16> = ErrorTable {
    unauthenticated: (401, "The token is no longer valid"),
    wrong_credentials: (401, "Wrong login or password"),
    login_taken: (409, "This login or e-mail is taken"),
    no_profile: (403, "This account has no profile yet"),
    profile_exists: (409, "This account has a profile already"),
    no_such_user: (404, "No such user"),
    no_such_flow: (403, "You cannot enter a room you are not a member of"),
    no_such_message: (404, NO_MESSAGE),
    no_photo: (404, "No such photo"),
    wrong_kind: (400, "This room is of another kind"),
    not_owner: (403, "Only the owner of the room may do this"),
    not_author: (404, NO_MESSAGE),
    not_administrator: (403, "Only an administrator may do this"),
    no_business: (403, NO_BUSINESS),
    already_member: (409, "A user is in this room already"),
    not_member: (404, "A user is not in this room"),
    key_reused: (409, "This key was used for another request"),
    too_many: (429, "Too many requests, try again later"),
    unavailable: (503, "The service is unavailable for the moment"),
    internal: (500, "Internal error"),
    invalid: 400,
    fields: FieldNames(&[
        ("text", "msg_text"),
        ("content", "msg_text"),
        ("text", "edited_msg_text"),
        ("flow", "room_pk"),
        ("message", "msg_id"),
        ("messages", "msg_id_list"),
    ]),
};

/// The fields of an edit.
const EDIT_FIELDS: FieldNames = FieldNames(&[
    ("text", "edited_msg_text"),
    ("content", "edited_msg_text"),
    ("text", "msg_text"),
    ("flow", "room_pk"),
    ("message", "msg_id"),
    ("messages", "msg_id_list"),
]);

/// The codes and texts for one method and right.
fn table(method: Method, authority: Authority) -> ErrorTable<u16> {
    let mut table = ERRORS;
    if authority == Authority::Administrator {
        table.no_such_flow = (404, "Not found");
    }
    match method {
        Method::EditMessage => table.fields = EDIT_FIELDS,
        Method::DeleteMessages => {
            table.no_such_message = (404, "Messages were not found! Nothing was deleted!");
            table.not_author = table.no_such_message;
        }
        _ => {}
    }
    table
}

/// A fault on the wire.
pub(crate) fn encode(method: Method, authority: Authority, fault: &Fault) -> ErrorBody {
    table(method, authority).encode(fault)
}

/// The fault that an error means: exactly where the text is ours, by the status and the method
/// otherwise.
pub(crate) fn decode(method: Method, authority: Authority, status: u16, text: &str) -> Fault {
    let table = table(method, authority);
    if let Some(fault) = table.decode(status, text) {
        return fault;
    }
    match status {
        400 if is_outside(status, text) => Fault::NoSuchFlow,
        401 => Fault::Unauthenticated,
        403 if method == Method::JoinRoom => Fault::NoSuchFlow,
        403 if authority == Authority::Administrator => Fault::NoBusiness,
        403 => Fault::NotOwner,
        404 if matches!(method, Method::EditMessage | Method::DeleteMessages) => {
            Fault::NoSuchMessage
        }
        404 => Fault::NoSuchFlow,
        429 => too_many(),
        502..=504 => Fault::Unavailable,
        400..=499 => table.fields.invalid(text),
        _ => Fault::Internal,
    }
}

/// The error of a request that is not acceptable.
pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> ErrorBody {
    ErrorBody::new(ERRORS.invalid, text)
}

/// The error of a request that needs a joined room, outside of any.
pub(crate) fn outside(method: Method) -> ErrorBody {
    invalid(if method == Method::LeaveRoom { NOTHING_TO_LEAVE } else { OUTSIDE })
}

/// True for the error of a request outside of any room.
pub(crate) fn is_outside(status: u16, text: &str) -> bool {
    status == ERRORS.invalid && (text == OUTSIDE || text == NOTHING_TO_LEAVE)
}

/// The error of an unknown action.
pub(crate) fn unknown(action: &str) -> ErrorBody {
    ErrorBody::new(405, format!("Method \"{action}\" not allowed."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect::WireNames;
    use tolmach_dialect::errors::FAULTS;

    #[test]
    fn every_fault_has_its_status_and_is_decoded_again() {
        let statuses = [
            401, 401, 409, 403, 409, 404, 403, 404, 404, 400, 403, 404, 403, 403, 409, 404, 409,
            429, 503, 500,
        ];
        let invalid = [
            ("text", "too long"),
            ("flow", "too old"),
            ("messages", "too many"),
            ("request", "a: b: c"),
        ]
        .map(|(field, reason)| (Fault::invalid(field, reason), 400));
        for (fault, status) in FAULTS.into_iter().zip(statuses).chain(invalid) {
            // A message of another author is answered like one that does not exist.
            let is_absent = fault == Fault::NotAuthor;
            let decoded = if is_absent { Fault::NoSuchMessage } else { fault.clone() };
            for &method in Method::ALL {
                for authority in [Authority::Member, Authority::Administrator] {
                    let is_not_found =
                        fault == Fault::NoSuchFlow && authority == Authority::Administrator;
                    let status = if is_not_found { 404 } else { status };
                    let body = encode(method, authority, &fault);
                    assert_eq!(body.code, status, "{fault:?}");
                    assert_eq!(decode(method, authority, body.code, &body.text), decoded);
                }
            }
        }
    }

    #[test]
    fn an_error_reveals_neither_messages_of_others_nor_logins() {
        let encode = |method, fault| encode(method, Authority::Member, &fault);
        for &method in Method::ALL {
            assert_eq!(encode(method, Fault::NotAuthor), encode(method, Fault::NoSuchMessage));
            let exists = |login_exists| encode(method, Fault::WrongCredentials { login_exists });
            assert_eq!(exists(true), exists(false));
        }
    }

    #[test]
    fn fields_are_named_in_the_words_of_the_wire() {
        for (method, field, text) in [
            (Method::CreateMessage, "text", "msg_text: too long"),
            (Method::CreateMessage, "content", "msg_text: too long"),
            (Method::EditMessage, "text", "edited_msg_text: too long"),
            (Method::EditMessage, "content", "edited_msg_text: too long"),
            (Method::EditMessage, "message", "msg_id: too long"),
            (Method::DeleteMessages, "messages", "msg_id_list: too long"),
            (Method::JoinRoom, "flow", "room_pk: too long"),
            (Method::JoinRoom, "title", "title: too long"),
        ] {
            let body = encode(method, Authority::Member, &Fault::invalid(field, "too long"));
            assert_eq!(body.text, text);
            let decoded = decode(method, Authority::Member, 400, &body.text);
            assert_eq!(encode(method, Authority::Member, &decoded), body, "encoded again");
        }
        for text in ["msg_text: no", "edited_msg_text: no"] {
            for method in [Method::CreateMessage, Method::EditMessage] {
                let decoded = decode(method, Authority::Member, 400, text);
                assert_eq!(decoded, Fault::invalid("text", "no"), "{text}");
            }
        }
    }

    #[test]
    fn texts_of_other_servers_are_decoded_by_status_and_method() {
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
            (Method::List, Member, 429, "", too_many()),
            (Method::List, Member, 502, "", Fault::Unavailable),
            (Method::List, Member, 500, "", Fault::Internal),
            (Method::List, Member, 65535, "", Fault::Internal),
        ] {
            assert_eq!(
                decode(method, authority, status, text),
                fault,
                "{method:?} {status} {text}"
            );
        }
    }
}
