//! Every fault and every violation in this wire's form: a status and `{"error"}` over HTTP, an
//! error frame in a WebSocket (`protocols/bearer/SPEC.md`, "Errors").

use crate::routes::{Miss, Operation};
use crate::wire;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use std::time::Duration;
use tolmach_dialect::json::JsonError;
use tolmach_dialect::{Frame, Refusal, Violation, ViolationKind};
use tolmach_domain::Fault;

/// The status that a fault of this operation is answered with.
pub(crate) fn status(operation: Operation, fault: &Fault) -> StatusCode {
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
        Fault::NoSuchUser if names_users(operation) => StatusCode::BAD_REQUEST,
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

/// Whether the operation takes users as data: the document calls an unknown one a bad request
/// there.
fn names_users(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::OpenChat | Operation::CreateGroup | Operation::AddUsers | Operation::RemoveUsers
    )
}

/// The response that a fault of this operation is answered with.
pub(crate) fn response(operation: Operation, fault: &Fault) -> Response<Bytes> {
    let mut response = refused(status(operation, fault), &sentence(fault));
    if let Fault::TooMany { retry_after } = fault {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    response
}

/// What a fault says, naming values as this wire does.
pub(crate) fn sentence(fault: &Fault) -> String {
    match fault {
        Fault::Invalid { field, reason } => {
            let name =
                WORDS.iter().find(|(_, domain)| domain == field).map_or(*field, |(wire, _)| wire);
            format!("{name}: {reason}")
        }
        fault => fault.to_string(),
    }
}

/// Values that this wire and the domain call by different names: the wire's word first.
const WORDS: [(&str, &str); 4] =
    [("number", "phone"), ("description", "bio"), ("description", "info"), ("name", "title")];

/// The frame that a fault, or a mistaken frame, is answered with in a WebSocket.
pub(crate) fn frame(error: &str) -> Frame {
    Frame::text(wire::write(&wire::Mistaken { kind: "error".into(), error: error.into() }))
}

/// A JSON response, never to be kept by a cache.
pub(crate) fn json_response(status: StatusCode, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused(status: StatusCode, error: &str) -> Response<Bytes> {
    let mut response = json_response(status, wire::write(&wire::Refused { error: error.into() }));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What is wrong with an HTTP request, as far as can be told without the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) kind: ViolationKind,
    error: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(status: StatusCode, kind: ViolationKind, error: impl Into<String>) -> Self {
        Self { status, kind, error: error.into(), header: None }
    }

    /// 400.
    pub(crate) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ViolationKind::Shape, error)
    }

    /// 401.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            ViolationKind::Shape,
            Fault::Unauthenticated.to_string(),
        )
    }

    /// 413.
    pub(crate) fn too_large(what: &str, limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ViolationKind::Shape,
            format!("{what} is larger than {limit} bytes"),
        )
    }

    /// 415.
    pub(crate) fn media_type(expected: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ViolationKind::Shape,
            format!("the content type must be {expected}"),
        )
    }

    /// The frame was no HTTP request.
    pub(crate) fn no_request() -> Self {
        Self::new(StatusCode::BAD_REQUEST, ViolationKind::FrameKind, "an HTTP request is expected")
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        let mut response = refused(self.status, &self.error);
        if let Some((name, value)) = &self.header {
            response.headers_mut().insert(name, value.clone());
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        response
    }

    pub(crate) fn refusal(&self) -> Refusal {
        Refusal { response: Box::new(self.response()) }
    }

    pub(crate) fn violation(&self) -> Violation {
        Violation::answered(self.kind, Frame::response(self.response()))
    }
}

impl From<Miss> for Problem {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Path => {
                Self::new(StatusCode::NOT_FOUND, ViolationKind::UnknownMethod, "no such path")
            }
            Miss::Verb(allow) => {
                let error = format!("this path answers {allow}");
                let header = HeaderValue::try_from(allow).ok().map(|value| (ALLOW, value));
                Self {
                    header,
                    ..Self::new(StatusCode::METHOD_NOT_ALLOWED, ViolationKind::UnknownMethod, error)
                }
            }
            Miss::UpgradeRequired => Self {
                header: Some((UPGRADE, HeaderValue::from_static("websocket"))),
                ..Self::new(
                    StatusCode::UPGRADE_REQUIRED,
                    ViolationKind::Shape,
                    "only a WebSocket is served here",
                )
            },
            Miss::NoWebSocket => Self::bad("no WebSocket is served here"),
        }
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, violation_kind(&error), error.to_string())
    }
}

/// What kind of violation unreadable JSON is.
pub(crate) fn violation_kind(error: &JsonError) -> ViolationKind {
    match error {
        JsonError::Syntax(_) => ViolationKind::Syntax,
        JsonError::Shape(_) | JsonError::Depth(_) => ViolationKind::Shape,
    }
}

/// Faults whose sentence says all: a client side knows them by it.
const PLAIN: [Fault; 19] = [
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
    Fault::Unavailable,
    Fault::Internal,
];

/// The fault that a server meant by a response. Its sentence decides where it is one of ours, else
/// its status.
pub(crate) fn read(operation: Operation, response: &Response<Bytes>, depth: usize) -> Fault {
    let said = wire::read::<wire::Refused<'static>>(response.body(), depth)
        .map(|refused| refused.error.into_owned())
        .unwrap_or_default();
    if let Some(fault) = PLAIN
        .iter()
        .find(|fault| status(operation, fault) == response.status() && fault.to_string() == said)
    {
        return fault.clone();
    }
    match response.status() {
        StatusCode::UNAUTHORIZED if operation == Operation::Login => {
            Fault::WrongCredentials { login_exists: false }
        }
        StatusCode::UNAUTHORIZED => Fault::Unauthenticated,
        StatusCode::FORBIDDEN if owner_only(operation) => Fault::NotOwner,
        StatusCode::FORBIDDEN => Fault::NoProfile,
        StatusCode::NOT_FOUND => match operation {
            Operation::GetMe | Operation::GetUser | Operation::OpenChat => Fault::NoSuchUser,
            Operation::GetUserPhoto | Operation::GetGroupPhoto => Fault::NoPhoto,
            _ => Fault::NoSuchFlow,
        },
        StatusCode::CONFLICT => match operation {
            Operation::AddUsers => Fault::AlreadyMember,
            Operation::RemoveUsers => Fault::NotMember,
            _ => Fault::LoginTaken,
        },
        StatusCode::UNPROCESSABLE_ENTITY if operation == Operation::CreateGroup => Fault::KeyReused,
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|text| text.parse().ok());
            Fault::TooMany { retry_after: Duration::from_secs(seconds.unwrap_or(1)) }
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            Fault::Unavailable
        }
        status if status.is_client_error() => invalid(operation, &said),
        _ => Fault::Internal,
    }
}

fn owner_only(operation: Operation) -> bool {
    matches!(operation, Operation::DeleteGroup | Operation::AddUsers | Operation::RemoveUsers)
}

/// The fault that a server meant by an error frame, which has no status.
pub(crate) fn read_frame(operation: Operation, said: &str) -> Fault {
    let too_many = Fault::TooMany { retry_after: Duration::from_secs(1) };
    PLAIN
        .iter()
        .chain([&too_many])
        .find(|fault| fault.to_string() == said)
        .cloned()
        .unwrap_or_else(|| invalid(operation, said))
}

/// The values that our own servers name in [`Fault::Invalid`].
const FIELDS: [&str; 10] =
    ["login", "username", "name", "email", "password", "photo", "text", "user", "users", "token"];

fn invalid(operation: Operation, said: &str) -> Fault {
    let known = said.split_once(": ").and_then(|(word, reason)| {
        let field = match (word, operation) {
            ("name", Operation::CreateGroup) => "title",
            ("description", Operation::CreateGroup) => "info",
            ("description", _) => "bio",
            ("number", _) => "phone",
            (word, _) => FIELDS.iter().find(|field| **field == word)?,
        };
        Some((field, reason))
    });
    let (field, reason) = known.unwrap_or(("request", said));
    Fault::invalid(field, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{ROUTES, Success};
    use tolmach_dialect_kit::stories::all_faults;

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
                    ("/api/v1/chat/{id}", "POST", "no_such_user")
                    | ("/api/v1/group", "POST", "no_such_user") => 400,
                    ("/api/v1/group/{id}/add" | "/api/v1/group/{id}/delete", _, "no_such_user") => {
                        400
                    }
                    _ => usual_status(&fault),
                };
                let response = response(row.operation, &fault);
                assert_eq!(
                    response.status(),
                    expected,
                    "{} {} {}",
                    row.method,
                    row.path,
                    fault.name()
                );
                assert_eq!(
                    response.headers().contains_key(WWW_AUTHENTICATE),
                    expected == 401,
                    "{}",
                    fault.name()
                );
                let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
                assert_eq!(
                    body,
                    serde_json::json!({ "error": fault.to_string() }),
                    "{}",
                    fault.name()
                );
            }
        }
    }

    #[test]
    fn what_can_happen_to_any_request_is_in_the_table() {
        for row in &ROUTES {
            let mut faults = vec![
                Fault::TooMany { retry_after: Duration::ZERO },
                Fault::Unavailable,
                Fault::Internal,
            ];
            if row.secured {
                faults.push(Fault::Unauthenticated);
                // Making a profile is what an account without one may do.
                faults.extend((row.operation != Operation::CreateUser).then_some(Fault::NoProfile));
            }
            faults.extend((row.operation == Operation::CreateGroup).then_some(Fault::KeyReused));
            for fault in faults {
                assert!(
                    row.errors.contains(&status(row.operation, &fault).as_u16()),
                    "{} {} {fault:?}",
                    row.method,
                    row.path
                );
            }
            assert_eq!(
                row.errors.contains(&426),
                row.success == Success::WebSocket,
                "{}",
                row.path
            );
            assert!(!row.has_id() || row.errors.contains(&400), "{}", row.path);
            assert!(row.errors.is_sorted(), "{}", row.path);
        }
    }

    #[test]
    fn retry_after_is_in_whole_seconds_and_never_too_soon() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (30_000, "30")] {
            let fault = Fault::TooMany { retry_after: Duration::from_millis(millis) };
            assert_eq!(
                response(Operation::Login, &fault).headers()[RETRY_AFTER],
                seconds,
                "{millis} ms"
            );
        }
    }

    #[test]
    fn every_fault_is_known_again_by_its_sentence() {
        for row in &ROUTES {
            for fault in all_faults() {
                let expected = match &fault {
                    Fault::WrongCredentials { .. } => {
                        Fault::WrongCredentials { login_exists: false }
                    }
                    fault => fault.clone(),
                };
                assert_eq!(
                    read(row.operation, &response(row.operation, &fault), 64),
                    expected,
                    "{} {}",
                    row.method,
                    row.path
                );
            }
        }
        for (operation, field, word) in [
            (Operation::Register, "phone", "number"),
            (Operation::CreateUser, "bio", "description"),
            (Operation::CreateGroup, "info", "description"),
            (Operation::CreateGroup, "title", "name"),
            (Operation::CreateUser, "name", "name"),
        ] {
            let fault = Fault::invalid(field, "too: long");
            assert_eq!(sentence(&fault), format!("{word}: too: long"));
            assert_eq!(read(operation, &response(operation, &fault), 64), fault, "{field}");
        }
    }

    #[test]
    fn a_sentence_never_tells_whether_a_login_exists() {
        let [known, unknown] = [true, false].map(|login_exists| {
            response(Operation::Login, &Fault::WrongCredentials { login_exists })
        });
        assert_eq!(known.body(), unknown.body());
    }
}
