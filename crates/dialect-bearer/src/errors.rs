//! Faults and violations on the wire, in both directions: a status and `{"error"}` over HTTP, an
//! error frame in a WebSocket (`protocols/bearer/SPEC.md`, "Errors").

use crate::routes::{Operation, RouteError};
use crate::wire;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use std::borrow::Cow;
use std::time::Duration;
use tolmach_dialect::errors::{FAULTS, FieldNames, too_many};
use tolmach_dialect::json::JsonError;
use tolmach_dialect::{Frame, HandshakeRejection, Unsupported, Violation, ViolationKind};
use tolmach_domain::Fault;

/// The dialect's id.
pub(crate) const DIALECT: &str = "bearer";

/// The fields that the engine and this wire call by different names, and those of its own that a
/// client reads.
const FIELDS: FieldNames = FieldNames(&[
    ("phone", "number"),
    ("bio", "description"),
    ("info", "description"),
    ("name", "name"),
    ("title", "name"),
    ("login", "login"),
    ("username", "username"),
    ("email", "email"),
    ("password", "password"),
    ("photo", "photo"),
    ("text", "text"),
    ("user", "user"),
    ("users", "users"),
    ("token", "token"),
]);

/// The fields of `POST /group`, whose name and description are a flow's.
const GROUP_FIELDS: FieldNames = FieldNames(&[
    ("info", "description"),
    ("title", "name"),
    ("photo", "photo"),
    ("text", "text"),
    ("user", "user"),
    ("users", "users"),
]);

/// The time after which a client may try again what was unavailable: a queue that had no room is
/// shorter by then.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(1);

/// An answer or event that this wire has no form for.
pub(crate) fn unsupported(what: &'static str) -> Unsupported {
    Unsupported { dialect: DIALECT, what }
}

/// The response that a fault of this operation is answered with.
pub(crate) fn fault_response(operation: Operation, fault: &Fault) -> Response<Bytes> {
    let mut response = error_response(status(operation, fault), &text(fault));
    let retry_after = if let Fault::TooMany { retry_after } = fault {
        Some(*retry_after)
    } else {
        matches!(fault, Fault::Unavailable).then_some(UNAVAILABLE_FOR)
    };
    if let Some(retry_after) = retry_after {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    response
}

/// The frame that a fault is answered with in a WebSocket.
pub(crate) fn fault_frame(fault: &Fault) -> Frame {
    error_frame(&text(fault))
}

/// The violation of a malformed frame in a WebSocket, answered with an error frame.
pub(crate) fn frame_violation(kind: ViolationKind, text: &str) -> Violation {
    Violation::answered(kind, error_frame(text))
}

/// The fault that a server means by a response. The text decides where it is one of ours, else the
/// status.
pub(crate) fn read_response(
    operation: Operation,
    response: &Response<Bytes>,
    depth: usize,
) -> Fault {
    let status_code = response.status();
    if status_code == StatusCode::TOO_MANY_REQUESTS {
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        return header.and_then(|seconds| seconds.parse().ok()).map_or(too_many(), |seconds| {
            Fault::TooMany { retry_after: Duration::from_secs(seconds) }
        });
    }
    let body = wire::read::<wire::ErrorBody<'_>>(response.body(), depth);
    let text = body.map(|body| body.error).unwrap_or_default();
    let is_meant =
        |fault: &Fault| status(operation, fault) == status_code && fault.to_string() == text;
    FAULTS
        .into_iter()
        .find(is_meant)
        .unwrap_or_else(|| fault_of_status(operation, status_code, &text))
}

/// The fault that a server means by the text of an error frame, which has no status.
pub(crate) fn read_frame(operation: Operation, text: &str) -> Fault {
    let known = FAULTS.into_iter().find(|fault| fault.to_string() == text);
    known.unwrap_or_else(|| invalid(operation, text))
}

/// The status that a fault of this operation is answered with.
fn status(operation: Operation, fault: &Fault) -> StatusCode {
    match fault {
        Fault::Unauthenticated | Fault::WrongCredentials { .. } => StatusCode::UNAUTHORIZED,
        // The document gives `POST /user` no 409.
        Fault::LoginTaken if operation == Operation::CreateUser => StatusCode::BAD_REQUEST,
        Fault::LoginTaken | Fault::AlreadyMember | Fault::NotMember => StatusCode::CONFLICT,
        Fault::NoProfile if operation == Operation::GetMe => StatusCode::NOT_FOUND,
        Fault::NoProfile
        | Fault::NotOwner
        | Fault::NotAuthor
        | Fault::NotAdministrator
        | Fault::NoBusiness => StatusCode::FORBIDDEN,
        // The document calls an unknown user a bad request where users are data.
        Fault::NoSuchUser
            if matches!(
                operation,
                Operation::OpenChat
                    | Operation::CreateGroup
                    | Operation::AddUsers
                    | Operation::RemoveUsers
            ) =>
        {
            StatusCode::BAD_REQUEST
        }
        Fault::NoSuchUser
        | Fault::NoSuchFlow
        | Fault::NoSuchMessage
        | Fault::NoPhoto
        | Fault::WrongKind => StatusCode::NOT_FOUND,
        Fault::ProfileExists | Fault::Invalid { .. } => StatusCode::BAD_REQUEST,
        Fault::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The fault that the status of another server's response stands for.
fn fault_of_status(operation: Operation, status: StatusCode, text: &str) -> Fault {
    use Operation::{
        AddUsers, CreateGroup, DeleteGroup, GetGroupPhoto, GetMe, GetUser, GetUserPhoto, Login,
        OpenChat, RemoveUsers,
    };
    match (status.as_u16(), operation) {
        (401, Login) => Fault::WrongCredentials { login_exists: false },
        (401, _) => Fault::Unauthenticated,
        (403, DeleteGroup | AddUsers | RemoveUsers) => Fault::NotOwner,
        (403, _) => Fault::NoProfile,
        (404, GetMe | GetUser | OpenChat) => Fault::NoSuchUser,
        (404, GetUserPhoto | GetGroupPhoto) => Fault::NoPhoto,
        (404, _) => Fault::NoSuchFlow,
        (409, AddUsers) => Fault::AlreadyMember,
        (409, RemoveUsers) => Fault::NotMember,
        (409, _) => Fault::LoginTaken,
        (422, CreateGroup) => Fault::KeyReused,
        (502..=504, _) => Fault::Unavailable,
        (400..=499, _) => invalid(operation, text),
        _ => Fault::Internal,
    }
}

fn invalid(operation: Operation, text: &str) -> Fault {
    if operation == Operation::CreateGroup { GROUP_FIELDS } else { FIELDS }.invalid(text)
}

/// The text of a fault, with the wire's name of a field.
fn text(fault: &Fault) -> String {
    match fault {
        Fault::Invalid { field, reason } => FIELDS.describe(field, reason),
        fault => fault.to_string(),
    }
}

fn error_response(status: StatusCode, error: &str) -> Response<Bytes> {
    let mut response = wire::json_response(status, &wire::ErrorBody { error: error.into() });
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn error_frame(error: &str) -> Frame {
    wire::text_frame(&wire::ErrorFrame { kind: "error".into(), error: error.into() })
}

/// A malformed HTTP request, found without the engine.
#[derive(Debug)]
pub(crate) struct RequestError {
    pub(crate) status: StatusCode,
    kind: ViolationKind,
    text: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl RequestError {
    fn new(status: StatusCode, kind: ViolationKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, kind, text: text.into(), header: None }
    }

    /// 400.
    pub(crate) fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ViolationKind::Shape, text)
    }

    /// 401.
    pub(crate) fn unauthenticated() -> Self {
        let text = Fault::Unauthenticated.to_string();
        Self::new(StatusCode::UNAUTHORIZED, ViolationKind::Shape, text)
    }

    /// 413.
    pub(crate) fn too_large(what: &str, limit: usize) -> Self {
        let text = format!("{what} is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ViolationKind::Shape, text)
    }

    /// 415.
    pub(crate) fn media_type(expected: &str) -> Self {
        let text = format!("the content type must be {expected}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ViolationKind::Shape, text)
    }

    /// A frame or handshake that is no HTTP request.
    pub(crate) fn no_request() -> Self {
        Self::new(StatusCode::BAD_REQUEST, ViolationKind::FrameKind, "an HTTP request is expected")
    }

    fn response(self) -> Response<Bytes> {
        let mut response = error_response(self.status, &self.text);
        if self.status == StatusCode::UPGRADE_REQUIRED {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        response.headers_mut().extend(self.header);
        response
    }
}

impl From<RouteError> for RequestError {
    fn from(error: RouteError) -> Self {
        let unknown = ViolationKind::UnknownMethod;
        match error {
            RouteError::UnknownPath => Self::new(StatusCode::NOT_FOUND, unknown, "no such path"),
            RouteError::MethodNotAllowed(allow) => {
                let text = format!("this path answers {allow}");
                let header = HeaderValue::try_from(allow).ok().map(|value| (ALLOW, value));
                Self { header, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, unknown, text) }
            }
            RouteError::UpgradeRequired => {
                let text = "only a WebSocket is served here";
                let header = Some((UPGRADE, HeaderValue::from_static("websocket")));
                let error = Self::new(StatusCode::UPGRADE_REQUIRED, ViolationKind::Shape, text);
                Self { header, ..error }
            }
            RouteError::NoWebSocket => Self::bad("no WebSocket is served here"),
        }
    }
}

impl From<JsonError> for RequestError {
    fn from(error: JsonError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.violation_kind(), error.to_string())
    }
}

impl From<RequestError> for HandshakeRejection {
    fn from(error: RequestError) -> Self {
        error.response().into()
    }
}

impl From<RequestError> for Violation {
    fn from(error: RequestError) -> Self {
        Self::answered(error.kind, Frame::response(error.response()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{ROUTES, Success};

    fn all_faults() -> impl Iterator<Item = Fault> {
        FAULTS.into_iter().chain([
            Fault::WrongCredentials { login_exists: true },
            Fault::TooMany { retry_after: Duration::from_secs(30) },
            Fault::invalid("text", "at least one character is expected"),
        ])
    }

    /// The status of each fault in an operation that has no rule of its own.
    fn usual_status(fault: &Fault) -> u16 {
        match fault.name() {
            "unauthenticated" | "wrong_credentials" => 401,
            "no_profile" | "not_owner" | "not_author" | "not_administrator" | "no_business" => 403,
            "no_such_user" | "no_such_flow" | "no_such_message" | "no_photo" | "wrong_kind" => 404,
            "login_taken" | "already_member" | "not_member" => 409,
            "profile_exists" | "invalid" => 400,
            "key_reused" => 422,
            "too_many" => 429,
            "internal" => 500,
            "unavailable" => 503,
            name => panic!("{name} is not in this table"),
        }
    }

    #[test]
    fn every_fault_of_every_operation_has_its_status() {
        for row in &ROUTES {
            for fault in all_faults() {
                let expected = match (row.path, row.method.as_str(), fault.name()) {
                    ("/api/v1/user", "POST", "login_taken") => 400,
                    ("/api/v1/user", "GET", "no_profile") => 404,
                    ("/api/v1/chat/{id}" | "/api/v1/group", "POST", "no_such_user") => 400,
                    ("/api/v1/group/{id}/add", "POST", "no_such_user") => 400,
                    ("/api/v1/group/{id}/delete", "DELETE", "no_such_user") => 400,
                    _ => usual_status(&fault),
                };
                let response = fault_response(row.operation, &fault);
                let case = format!("{} {} {}", row.method, row.path, fault.name());
                assert_eq!(response.status(), expected, "{case}");
                let challenges = response.headers().contains_key(WWW_AUTHENTICATE);
                assert_eq!(challenges, expected == 401, "{case}");
                let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
                assert_eq!(body, serde_json::json!({ "error": fault.to_string() }), "{case}");
            }
        }
    }

    #[test]
    fn faults_of_any_request_are_in_the_table() {
        for row in &ROUTES {
            let mut faults = vec![too_many(), Fault::Unavailable, Fault::Internal];
            if row.secured {
                faults.push(Fault::Unauthenticated);
                // An account without a profile may make one.
                faults.extend((row.operation != Operation::CreateUser).then_some(Fault::NoProfile));
            }
            faults.extend((row.operation == Operation::CreateGroup).then_some(Fault::KeyReused));
            let (errors, path) = (row.errors(), row.path);
            for fault in faults {
                let status = status(row.operation, &fault).as_u16();
                assert!(errors.contains(&status), "{} {path} {fault:?}", row.method);
            }
            assert_eq!(errors.contains(&426), row.success == Success::WebSocket, "{path}");
            assert!(!row.has_id() || errors.contains(&400), "{path}");
            assert!(errors.windows(2).all(|pair| pair[0] < pair[1]), "{path}");
        }
    }

    #[test]
    fn retry_after_is_in_whole_seconds_rounded_up() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (30_000, "30")] {
            let fault = Fault::TooMany { retry_after: Duration::from_millis(millis) };
            let response = fault_response(Operation::Login, &fault);
            assert_eq!(response.headers()[RETRY_AFTER], seconds, "{millis} ms");
        }
    }

    #[test]
    fn the_refusals_that_pass_tell_when_to_come_back() {
        for row in &ROUTES {
            for fault in all_faults() {
                let response = fault_response(row.operation, &fault);
                let passes = matches!(fault, Fault::TooMany { .. } | Fault::Unavailable);
                assert_eq!(response.headers().contains_key(RETRY_AFTER), passes, "{fault:?}");
            }
        }
    }

    #[test]
    fn every_fault_is_read_back() {
        for row in &ROUTES {
            for fault in all_faults() {
                let expected = match &fault {
                    Fault::WrongCredentials { .. } => {
                        Fault::WrongCredentials { login_exists: false }
                    }
                    fault => fault.clone(),
                };
                let response = fault_response(row.operation, &fault);
                let read = read_response(row.operation, &response, 64);
                assert_eq!(read, expected, "{} {}", row.method, row.path);
            }
        }
        for (operation, field, name) in [
            (Operation::Register, "phone", "number"),
            (Operation::CreateUser, "bio", "description"),
            (Operation::CreateGroup, "info", "description"),
            (Operation::CreateGroup, "title", "name"),
            (Operation::CreateUser, "name", "name"),
        ] {
            let fault = Fault::invalid(field, "too: long");
            assert_eq!(text(&fault), format!("{name}: too: long"));
            let response = fault_response(operation, &fault);
            assert_eq!(read_response(operation, &response, 64), fault, "{field}");
        }
    }

    #[test]
    fn no_text_reveals_that_a_login_exists() {
        let [known, unknown] = [true, false].map(|login_exists| {
            fault_response(Operation::Login, &Fault::WrongCredentials { login_exists })
        });
        assert_eq!(known.body(), unknown.body());
    }
}
