//! Refusals: every fault to its `code` and `detail`, and back. protocols/morelia/SPEC.md, section
//! "Errors".

use crate::wire::Method;
use tolmach_dialect::errors::{ErrorBody, ErrorTable, FieldNames, too_many};
use tolmach_domain::Fault;

/// The code and the `detail` of every fault. Fields are named by their JSON pointers.
pub(crate) const ERRORS: ErrorTable<u16> = ErrorTable {
    unauthenticated: (401, "the token is missing, unknown or expired"),
    wrong_credentials: (401, "wrong login or password"),
    login_taken: (409, "this login or e-mail is taken"),
    no_profile: (403, "this account has no profile yet"),
    profile_exists: (409, "this account has a profile already"),
    no_such_user: (404, "no such user"),
    no_such_flow: (404, "no such flow"),
    no_such_message: (404, "no such message"),
    no_photo: (404, "no such photo"),
    wrong_kind: (400, "this flow is of another type"),
    not_owner: (403, "only the owner of the flow may do this"),
    not_author: (403, "only the author of the message may do this"),
    not_administrator: (403, "only an administrator may do this"),
    no_business: (403, "no member of this flow has the business tariff"),
    already_member: (409, "a user is in this flow already"),
    not_member: (404, "a user is not in this flow"),
    key_reused: (409, "this key was used for another request"),
    too_many: (429, "too many requests, try again later"),
    unavailable: (503, "the service is unavailable for the moment"),
    internal: (500, "internal error"),
    invalid: 400,
    fields: FieldNames(&[
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
    ]),
};

/// The refusal of a request that is not acceptable.
pub(crate) fn bad_request(detail: impl Into<String>) -> ErrorBody<u16> {
    ErrorBody::new(400, detail.into())
}

/// The `status` of a code: its name in RFC 9110.
pub(crate) fn status(code: u16) -> &'static str {
    let status = http::StatusCode::from_u16(code).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or_default()
}

/// The fault that a refusal means: by its `detail` where it is one of ours, otherwise by the code
/// and the method.
pub(crate) fn decode_fault(method: Method, code: u16, detail: &str) -> Fault {
    use Method::{DeleteMessage, EditedMessage, UserInfo};
    if let Some(fault) = ERRORS.decode(code, detail) {
        return fault;
    }
    let by_password = !method.is_signed();
    match (code, method) {
        (401, _) if by_password => Fault::WrongCredentials { login_exists: false },
        (401, _) => Fault::Unauthenticated,
        (403, DeleteMessage | EditedMessage) => Fault::NotAuthor,
        (403, _) => Fault::NotOwner,
        (404, DeleteMessage | EditedMessage) => Fault::NoSuchMessage,
        (404, UserInfo) => Fault::NoSuchUser,
        (404, _) if by_password => Fault::NoSuchUser,
        (404, _) => Fault::NoSuchFlow,
        (409, _) => Fault::LoginTaken,
        (429, _) => too_many(),
        (502..=504, _) => Fault::Unavailable,
        (400..=499, _) => ERRORS.fields.invalid(detail),
        _ => Fault::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect::errors::FAULTS;

    #[test]
    fn every_fault_is_read_back() {
        let invalid = [
            Fault::invalid("login", "at most 64 characters"),
            Fault::invalid("since", "too old"),
            Fault::invalid("request", "a: b: c"),
        ];
        for expected in FAULTS.into_iter().chain(invalid) {
            let ErrorBody { code, text } = ERRORS.encode(&expected);
            assert!((1..=64).contains(&text.len()), "{text}");
            assert_eq!(status(code) == "Internal Server Error", code == 500);
            assert!(!status(code).is_empty(), "{code}");
            assert_eq!(decode_fault(Method::GetUpdate, code, &text), expected);
        }
    }

    #[test]
    fn a_refusal_does_not_tell_whether_a_login_exists() {
        let [known, unknown] = [true, false]
            .map(|login_exists| ERRORS.encode(&Fault::WrongCredentials { login_exists }));
        assert_eq!(known, unknown);
    }

    #[test]
    fn fields_are_named_by_their_json_pointers() {
        for (field, detail) in [
            ("login", "/data/user/login: too long"),
            ("identifier", "/data/user/login: too long"),
            ("flow", "/data/flow/id: too long"),
            ("text", "/data/message/text: too long"),
            ("title", "title: too long"),
        ] {
            let body = ERRORS.encode(&Fault::invalid(field, "too long"));
            assert_eq!((body.code, &*body.text), (400, detail));
            let read = decode_fault(Method::RegisterUser, body.code, &body.text);
            assert_eq!(ERRORS.encode(&read), body, "{field} is written as it was read");
        }
    }

    #[test]
    fn unknown_details_are_read_by_code_and_method() {
        use Method::*;
        for (method, code, expected) in [
            (Authentication, 401, Fault::WrongCredentials { login_exists: false }),
            (AllFlow, 401, Fault::Unauthenticated),
            (SendMessage, 403, Fault::NotOwner),
            (EditedMessage, 403, Fault::NotAuthor),
            (DeleteMessage, 404, Fault::NoSuchMessage),
            (GetUpdate, 404, Fault::NoSuchFlow),
            (Authentication, 404, Fault::NoSuchUser),
            (RegisterUser, 409, Fault::LoginTaken),
            (SendMessage, 400, Fault::invalid("request", "not acceptable")),
            (SendMessage, 429, too_many()),
            (SendMessage, 500, Fault::Internal),
            (SendMessage, 502, Fault::Unavailable),
            (SendMessage, 302, Fault::Internal),
            (SendMessage, 65535, Fault::Internal),
        ] {
            assert_eq!(decode_fault(method, code, ""), expected, "{method:?} {code}");
        }
    }
}
