//! Heads of requests: route, access token, id, page, key and content type
//! (`protocols/bearer/SPEC.md`, "Requests").

use crate::errors::RequestError;
use crate::form;
use crate::routes::{self, Body, Operation, Route};
use crate::wire::{HISTORY_DEFAULT, HISTORY_LIMIT, KEY_LIMIT};
use http::header::{AUTHORIZATION, CONTENT_TYPE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, Method, Uri};
use tolmach_domain::{Credentials, FlowId, FlowKindFilter, HistoryRange, Secret};

/// The header of a retry's key (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The media type of a JSON body.
const JSON: &str = "application/json";

/// The subprotocol after which a browser offers its token.
const SUBPROTOCOL: &str = "bearer";

/// The head of a request that a route serves.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) route: &'static Route,
    id: Option<i64>,
    pub(crate) limit: Option<u32>,
    pub(crate) offset: u32,
    /// The access token; there is one wherever the route is secured.
    token: Option<Secret>,
    pub(crate) key: Option<String>,
    /// The subprotocol to accept, if a WebSocket's handshake offers it.
    pub(crate) subprotocol: Option<&'static str>,
}

impl RequestHead {
    /// Reads a head. Of several mistakes the first is reported, in this order: path, method, token,
    /// id, query, key, content type.
    pub(crate) fn read(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        websocket: bool,
    ) -> Result<Self, RequestError> {
        let (route, id) = routes::find(method, uri.path(), websocket)?;
        let token = if route.secured { Some(token(headers, websocket)?) } else { None };
        let id = id.map(str::parse::<FlowId>).transpose();
        let id = id.map_err(|error| RequestError::bad(error.to_string()))?.map(FlowId::get);
        let offers_subprotocol = subprotocols(headers).any(|offer| offer == SUBPROTOCOL);
        let subprotocol = offers_subprotocol.then_some(SUBPROTOCOL);
        let mut head = Self { route, id, limit: None, offset: 0, token, key: None, subprotocol };
        if route.paged {
            let query = uri.query().unwrap_or_default();
            head.limit = number(query, "limit")?;
            head.offset = number(query, "offset")?.unwrap_or(0);
            let is_history = route.operation != Operation::ListChats;
            if is_history && head.limit.is_some_and(|limit| limit > HISTORY_LIMIT) {
                let text = format!("limit: at most {HISTORY_LIMIT} messages");
                return Err(RequestError::bad(text));
            }
        }
        if route.takes_key() {
            head.key = key(headers)?;
        }
        check_content_type(route.body, content_type(headers))?;
        Ok(head)
    }

    /// The id that the path names.
    pub(crate) fn id<T: TryFrom<i64>>(&self) -> Result<T, RequestError> {
        let id = self.id.and_then(|id| T::try_from(id).ok());
        id.ok_or_else(|| RequestError::bad("the path names no id"))
    }

    /// The kinds of flow that the path stands for.
    pub(crate) fn kinds(&self) -> FlowKindFilter {
        match self.route.operation {
            Operation::GetChat | Operation::GetMessages | Operation::ChatRoom => {
                FlowKindFilter::Chat
            }
            _ => FlowKindFilter::Shared,
        }
    }

    /// The part of a room's history that the query asks for.
    pub(crate) fn range(&self) -> HistoryRange {
        HistoryRange::Newest { limit: self.limit.unwrap_or(HISTORY_DEFAULT), offset: self.offset }
    }

    /// Takes the credentials: the access token, if there is one.
    pub(crate) fn take_credentials(&mut self) -> Credentials {
        self.token.take().map_or(Credentials::Nothing, Credentials::Bearer)
    }
}

/// The content type of a request; empty if it has none.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn check_content_type(body: Body, content_type: &str) -> Result<(), RequestError> {
    match body {
        Body::Nothing => Ok(()),
        Body::Json(_) if form::is_media_type(content_type, JSON) => Ok(()),
        Body::Json(_) => Err(RequestError::media_type(JSON)),
        Body::Form(_) => form::boundary(content_type).map(drop),
    }
}

/// True if an `Idempotency-Key` can carry the text.
pub(crate) fn is_key(key: &str) -> bool {
    (1..=KEY_LIMIT).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// True if an `Authorization` header can carry the token: `b64token` of RFC 6750 section 2.1.
pub(crate) fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// The access token of a request. A browser cannot set `Authorization` on a WebSocket and offers
/// the token as a subprotocol.
fn token(headers: &HeaderMap, websocket: bool) -> Result<Secret, RequestError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let text = match (values.next(), values.next()) {
        (Some(value), None) => value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim_matches(' ')),
        (None, _) if websocket => {
            subprotocols(headers).skip_while(|offer| *offer != SUBPROTOCOL).skip(1).last()
        }
        _ => None,
    };
    let token = text.filter(|text| is_token(text));
    token.map(Secret::new).ok_or_else(RequestError::unauthenticated)
}

/// The subprotocols that a handshake offers.
fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

/// The one value of a query parameter: decimal digits only, at most `u32::MAX`.
fn number(query: &str, name: &str) -> Result<Option<u32>, RequestError> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(key, _)| *key == name);
    let Some((_, value)) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(RequestError::bad(format!("{name}: given twice")));
    }
    // `parse` also takes a sign.
    let number = value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()));
    let expected = || RequestError::bad(format!("{name}: an integer from 0 to {}", u32::MAX));
    number.map(Some).ok_or_else(expected)
}

/// The key of a retry: a string of structured fields (RFC 8941 section 3.3.3), or the same without
/// its quotes.
fn key(headers: &HeaderMap) -> Result<Option<String>, RequestError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().and_then(unquote);
    let key = key.filter(|key| values.next().is_none() && is_key(key));
    key.map(Some).ok_or_else(|| {
        RequestError::bad(format!(
            "Idempotency-Key: one key of 1 to {KEY_LIMIT} visible ASCII characters is expected"
        ))
    })
}

/// The content of a quoted string; a bare one has no characters that need quotes.
fn unquote(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('"') else {
        return (!text.contains(['"', '\\', ',', ';'])).then(|| text.to_owned());
    };
    let mut content = String::with_capacity(quoted.len());
    let mut characters = quoted.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        content.push(match character {
            '\\' => characters.next().filter(|escaped| ['"', '\\'].contains(escaped))?,
            '"' => return None,
            other => other,
        });
    }
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_key_is_read_with_and_without_its_quotes() {
        let uuid = "8e03978e-40d5-43e8-bc93-6894a57f9324";
        let long = "k".repeat(KEY_LIMIT);
        for (value, expected) in [
            (uuid, uuid),
            (&*format!("\"{uuid}\""), uuid),
            (r#""a\"b\\c,d;e""#, r#"a"b\c,d;e"#),
            (&*long, &*long),
        ] {
            assert_eq!(read(&[value]).unwrap().as_deref(), Some(expected), "{value}");
        }
        assert_eq!(read(&[]).unwrap(), None, "no header");
        let too_long = "k".repeat(KEY_LIMIT + 1);
        for values in [
            &[&*too_long][..],
            &[""],
            &[r#""""#],
            &[r#"""#],
            &[r#""a"#],
            &[r#"a""#],
            &[r#""a"b""#],
            &[r#""a\b""#],
            &[r#""a\""#],
            &[r#""a";v=1"#],
            &["a b"],
            &["a,b"],
            &["a;b"],
            &["a\tb"],
            &["кey"],
            &["a", "a"],
        ] {
            assert!(read(values).is_err(), "{values:?}");
        }
    }

    fn read(values: &[&str]) -> Result<Option<String>, RequestError> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(IDEMPOTENCY_KEY, value);
        }
        key(&headers)
    }
}
