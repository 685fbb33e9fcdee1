//! The HTTP request with which web pages find out if their token is valid.

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use tolmach_dialect::{
    Correlation, Credentials, ExpectedBody, Frame, RenderContext, Request, Response, Revision,
    ServerSession, Unsupported, Violation, ViolationKind,
};
use tolmach_domain::{Command, Fault, Secret, Timestamp, UserRef};

/// `[token_check]`: a GET of the path with the bare token in `Authorization`.
#[derive(Debug, Clone)]
pub(crate) struct TokenCheck {
    pub(crate) path: String,
    /// The body of the response to a valid token.
    pub(crate) granted: String,
    /// The body of the response to any other.
    pub(crate) refused: String,
}

/// The session of one such request.
pub(crate) struct TokenCheckSession {
    check: TokenCheck,
    revision: Revision,
    token: Option<Secret>,
    is_get: bool,
}

/// The correlation of the request that proves the token.
struct Proof;

impl TokenCheckSession {
    pub(crate) fn new(
        check: TokenCheck,
        revision: Revision,
        request: &http::request::Parts,
    ) -> Self {
        let token = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        Self {
            check,
            revision,
            token: token.map(|token| Secret::new(token.trim())),
            is_get: matches!(request.method, Method::GET | Method::HEAD),
        }
    }
}

impl ServerSession for TokenCheckSession {
    /// No body is read.
    fn expected_body(&self) -> Option<ExpectedBody> {
        let correlation = Correlation::new(Proof);
        Some(ExpectedBody { max_bytes: 0, credentials: Credentials::Nothing, correlation })
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        _frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        if !self.is_get {
            let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, "");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            let answer = Frame::response(response);
            return Err(Violation::answered(ViolationKind::UnknownMethod, answer));
        }
        let token = self.token.take();
        let credentials = token.map_or(Credentials::Nothing, Credentials::Token);
        let command = Command::GetUser { user: UserRef::Me };
        out.push(Request::new(Correlation::new(Proof), credentials, command));
        Ok(())
    }

    fn respond(
        &mut self,
        _now: Timestamp,
        response: &Response,
        _context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let (status, body) = match &response.outcome {
            Ok(_) => (StatusCode::OK, &self.check.granted),
            Err(Fault::TooMany { .. }) => (StatusCode::TOO_MANY_REQUESTS, &self.check.refused),
            Err(Fault::Unavailable) => (StatusCode::SERVICE_UNAVAILABLE, &self.check.refused),
            Err(_) => (StatusCode::UNAUTHORIZED, &self.check.refused),
        };
        out.push(Frame::response(text_response(status, body)));
        Ok(())
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}

/// A response in plain text.
fn text_response(status: StatusCode, body: &str) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
