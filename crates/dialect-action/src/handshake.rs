//! Opening a connection: protocols/action/SPEC.md, section "Connecting".

use crate::wire::ID;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri};
use std::net::{Ipv4Addr, Ipv6Addr};
use tolmach_dialect::{Handshake, Request, Unsupported, websocket_request};
use tolmach_domain::{Authority, Credentials, Secret};

/// The path of ordinary users.
pub(crate) const MEMBERS: &str = "/ws/chat/";

/// The path of administrators.
pub(crate) const ADMINISTRATORS: &str = "/ws/admin-chat/";

/// The origin of our own client: allowed on the gateway's own machine, unless the operator lists
/// others.
const OWN_ORIGIN: &str = "http://localhost";

/// The right in which every request of a connection is made: an administrator's only at the path of
/// administrators.
pub(crate) fn authority(request: &Parts) -> Authority {
    if request.uri.path().trim_end_matches('/') == ADMINISTRATORS.trim_end_matches('/') {
        Authority::Administrator
    } else {
        Authority::Member
    }
}

/// The response to every handshake that is rejected: 403 without a body.
pub(crate) fn forbidden() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// The access token, if the handshake has one and its origin is allowed. The engine proves it.
pub(crate) fn token(handshake: &Handshake<'_>, origins: &[Origin]) -> Option<Secret> {
    let request = handshake.request?;
    bearer_token(&request.headers).filter(|_| is_allowed(request, origins, handshake.local))
}

/// The handshake that a client makes a request with.
pub(crate) fn dial(request: &Request) -> Result<Parts, Unsupported> {
    let unsupported = Unsupported { dialect: ID, what: "a request without a token" };
    let (Credentials::Token(token) | Credentials::TokenOf(_, token) | Credentials::Bearer(token)) =
        &request.credentials
    else {
        return Err(unsupported);
    };
    let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()));
    let Some(bearer) = bearer.ok().filter(|_| is_token(token.expose())) else {
        return Err(unsupported);
    };
    let mut parts = websocket_request(match request.authority {
        Authority::Member => MEMBERS,
        Authority::Administrator => ADMINISTRATORS,
    });
    parts.headers.insert(AUTHORIZATION, bearer);
    parts.headers.insert(ORIGIN, HeaderValue::from_static(OWN_ORIGIN));
    Ok(parts)
}

/// The origin of a page: RFC 6454 section 6.2. `null` is none.
#[derive(Debug, Clone)]
pub(crate) struct Origin(Uri);

impl Origin {
    /// Reads an origin of the operator's list, which ends without a slash.
    pub(crate) fn configured(text: &str) -> Option<Self> {
        Self::parse(text).filter(|_| !text.ends_with('/'))
    }

    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let whole = uri.scheme().is_some()
            && uri.query().is_none()
            && uri.path().trim_matches('/').is_empty()
            && uri.authority().is_some_and(|authority| {
                !authority.host().is_empty() && !authority.as_str().contains('@')
            });
        whole.then_some(Self(uri))
    }

    fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    fn port(&self) -> Option<u16> {
        self.0.port_u16().or(match self.0.scheme_str() {
            Some("http" | "ws") => Some(80),
            Some("https" | "wss") => Some(443),
            _ => None,
        })
    }

    /// True if scheme, host and port are the same.
    fn is(&self, other: &Origin) -> bool {
        self.0.scheme() == other.0.scheme()
            && self.host().eq_ignore_ascii_case(other.host())
            && self.port() == other.port()
    }

    fn is_loopback(&self) -> bool {
        let host = self.host();
        match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(literal) => literal.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()),
            None => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
            }
        }
    }

    fn is_host_of(&self, request: &Parts) -> bool {
        // An HTTP/2 request has its host in the URI.
        let own = match request.headers.contains_key(HOST) {
            true => only(&request.headers, &HOST)
                .and_then(|host| host.parse::<http::uri::Authority>().ok()),
            false => request.uri.authority().cloned(),
        };
        own.is_some_and(|own| self.host().eq_ignore_ascii_case(own.host()))
    }
}

/// True if the handshake's `Origin` is one of `origins` or, where there are none, the host that the
/// request itself names, with any scheme and port. On a local connection the loopback is allowed
/// too: elsewhere it names the machine of the client, where any program can serve a page.
fn is_allowed(request: &Parts, origins: &[Origin], local: bool) -> bool {
    let Some(origin) = only(&request.headers, &ORIGIN).and_then(Origin::parse) else {
        return false;
    };
    if origins.is_empty() {
        (local && origin.is_loopback()) || origin.is_host_of(request)
    } else {
        origins.iter().any(|allowed| origin.is(allowed))
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<Secret> {
    let (scheme, token) = only(headers, &AUTHORIZATION)?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then(|| Secret::new(token))
}

/// `b64token`, RFC 6750 section 2.1.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// The value of a header that a request has exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
