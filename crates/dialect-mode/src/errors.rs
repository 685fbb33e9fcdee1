//! Faults on the wire, in both directions: protocols/mode/SPEC.md, section "Errors".

use crate::wire::Operation;
use tolmach_dialect::errors::{ErrorTable, FieldNames, too_many};
use tolmach_domain::Fault;

/// The `status` and the `error_msg` of every fault.
pub(crate) static ERRORS: ErrorTable<u16> = ErrorTable {
    unauthenticated: (401, "the token is missing, unknown or expired"),
    wrong_credentials: (401, "wrong username or password"),
    login_taken: (409, "this username or e-mail is taken"),
    no_profile: (403, "this account has no profile yet"),
    profile_exists: (409, "this account has a profile already"),
    no_such_user: (404, "no such user"),
    no_such_flow: (404, "no such chat"),
    no_such_message: (404, "no such message"),
    no_photo: (404, "no such photo"),
    wrong_kind: (400, "this chat is of another type"),
    not_owner: (403, "only the owner of the chat may do this"),
    not_author: (403, "only the author of the message may do this"),
    not_administrator: (403, "only an administrator may do this"),
    no_business: (403, "no member of this chat has the business tariff"),
    already_member: (409, "a user is in this chat already"),
    not_member: (404, "a user is not in this chat"),
    key_reused: (409, "this key was used for another request"),
    too_many: (429, "too many requests, try again later"),
    unavailable: (503, "the service is unavailable for the moment"),
    internal: (500, "internal error"),
    invalid: 422,
    fields: FieldNames(&[
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
    ]),
};

/// The fault that an error means: the one of the table with this text, or else the likeliest one
/// for the status and the operation.
pub(crate) fn decode(operation: Operation, status: u16, text: &str) -> Fault {
    if let Some(fault) = ERRORS.decode(status, text) {
        return fault;
    }
    let is_about_chat = matches!(
        operation,
        Operation::GetMessages
            | Operation::SendMessage
            | Operation::SendGroupMessage
            | Operation::GetChats
    );
    match status {
        400 if operation == Operation::SendGroupMessage => Fault::WrongKind,
        401 if operation.grants_token() => Fault::WrongCredentials { login_exists: false },
        401 => Fault::Unauthenticated,
        403 => Fault::NotOwner,
        404 if is_about_chat => Fault::NoSuchFlow,
        404 => Fault::NoSuchUser,
        409 => Fault::LoginTaken,
        429 => too_many(),
        502..=504 => Fault::Unavailable,
        400..=499 => ERRORS.fields.invalid(text),
        _ => Fault::Internal,
    }
}
