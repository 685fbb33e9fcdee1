//! Faults on the wire, in both directions: protocols/sndmsg/SPEC.md, section "Errors".

use crate::wire::{Operation, Reply, Status};
use tolmach_dialect::WireNames;
use tolmach_dialect::errors::{ErrorBody, ErrorTable, FieldNames, RequestError};
use tolmach_domain::Fault;

/// The `status` and the `detail` of every fault, but for those of logging in and signing up.
static ERRORS: ErrorTable<Status> = ErrorTable {
    unauthenticated: (Status::Error, "log in first"),
    wrong_credentials: (Status::Error, "wrong login or password"),
    login_taken: (Status::Error, "this login is taken"),
    no_profile: (Status::Error, "this account has no profile yet"),
    profile_exists: (Status::Error, "this account has a profile already"),
    no_such_user: (Status::Error, "no such user"),
    no_such_flow: (Status::NoRoom, "no such room"),
    no_such_message: (Status::Error, "no such message"),
    no_photo: (Status::Error, "no such photo"),
    wrong_kind: (Status::Error, "this room is of another kind"),
    not_owner: (Status::Error, "only the creator of the room may do this"),
    not_author: (Status::Error, "only the author of the message may do this"),
    not_administrator: (Status::Error, "only an administrator may do this"),
    no_business: (Status::Error, "no member of this room has the business tariff"),
    already_member: (Status::Error, "a user is in this room already"),
    not_member: (Status::Error, "a user is not in this room"),
    key_reused: (Status::Error, "this key was used for another request"),
    too_many: (Status::Error, "too many requests, try again later"),
    unavailable: (Status::Error, "the service is unavailable for the moment"),
    internal: (Status::Error, "internal error"),
    invalid: Status::Error,
    fields: FieldNames(&[
        ("login", "login"),
        ("username", "login"),
        ("identifier", "login"),
        ("password", "pass"),
        ("user", "customer"),
        ("flow", "room_id"),
        ("text", "message"),
        ("content", "message"),
        ("content_type", "msg_type"),
    ]),
};

/// The reply to a request that the engine refused. Only with `reveal_unknown_user` does a login
/// that does not exist differ from a wrong password.
pub(crate) fn encode(
    operation: Operation,
    fault: &Fault,
    reveal_unknown_user: bool,
) -> Reply<'static> {
    if let (Operation::Login, Fault::WrongCredentials { login_exists }) = (operation, fault) {
        let is_revealed = reveal_unknown_user && !login_exists;
        let status = if is_revealed { Status::WrongUser } else { Status::WrongPass };
        return Reply::with_status(operation, status);
    }
    if operation == Operation::Signup && *fault == Fault::LoginTaken {
        return Reply::with_status(operation, Status::UserExists);
    }
    with_detail(operation, ERRORS.encode(fault))
}

/// The reply to a request that is refused before the engine sees it.
pub(crate) fn encode_request_error(operation: Operation, error: &RequestError) -> Reply<'static> {
    with_detail(operation, ERRORS.encode_request_error(error))
}

fn with_detail(operation: Operation, error: ErrorBody<Status>) -> Reply<'static> {
    let status = if operation == Operation::Signup { Status::SignupFail } else { error.code };
    Reply { detail: Some(error.text), ..Reply::with_status(operation, status) }
}

/// The fault that a reply with this status means: the one of the table with this detail where the
/// status does not say it. `None` for the status of a granted request.
pub(crate) fn decode(status: &str, detail: Option<&str>) -> Option<Fault> {
    let detail = detail.unwrap_or_default();
    Some(match Status::from_name(status) {
        Some(Status::Success | Status::LoginOk | Status::SignupOk) => return None,
        Some(Status::WrongUser) => Fault::WrongCredentials { login_exists: false },
        // A server that reveals unknown logins sends it for wrong passwords only.
        Some(Status::WrongPass) => Fault::WrongCredentials { login_exists: true },
        Some(Status::UserExists) => Fault::LoginTaken,
        Some(Status::NoRoom) => Fault::NoSuchFlow,
        Some(Status::Error | Status::SignupFail) | None => {
            ERRORS.decode(Status::Error, detail).unwrap_or_else(|| ERRORS.fields.invalid(detail))
        }
    })
}
