//! The rules of one revision, ready for frames.

use super::http_parts::{self, Segments};
use super::scan::{ScanError, Token, TokenKind, scan};
use super::text;
use super::tree::Tree;
use crate::field_rule::{Condition, FieldRole, FieldRule, Part, Place, Sender};
use crate::{Frame, Manifest};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use std::borrow::Cow;

/// Finds the values of frames, and can put others in their places. All other bytes stay.
///
/// Bodies are read as JSON, as JSON in a JSON string, as Python literals, and as
/// `multipart/form-data` of these, in which the names of files are texts. Memory and time are
/// linear in the frame.
///
/// ```
/// use tolmach_dialect::{FieldMap, FieldRole, FieldRule, Frame, Sender};
///
/// static RULES: [FieldRule; 1] = [FieldRule::body("user/id", FieldRole::User)];
/// let map = FieldMap::new(&RULES);
/// let frame = Frame::text(r#"{"user": {"id": 7}, "x": 1}"#);
/// let edited = map.edit(Sender::Client, None, &frame, &mut |value| {
///     (value.role == Some(FieldRole::User)).then(|| "8".to_owned())
/// });
/// assert_eq!(edited.unwrap().unwrap(), Frame::text(r#"{"user": {"id": 8}, "x": 1}"#));
/// ```
#[derive(Debug, Clone)]
pub struct FieldMap {
    rules: &'static [FieldRule],
    client: Tree,
    server: Tree,
}

/// The HTTP request that a response answers, or that opened a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, without its query.
    pub path: &'a str,
}

/// A value of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldValue<'a> {
    /// The role; `None` where no rule is about it.
    pub role: Option<FieldRole>,
    /// The kind of place.
    pub location: Location,
    /// The key, the parameter or the header that leads to it; empty without one.
    pub key: Cow<'a, str>,
    /// The value: of a string its text, of anything else the characters of the frame.
    pub text: Cow<'a, str>,
    /// True for a string, false for a number, `true`, `null` and the like.
    pub is_text: bool,
}

/// The kinds of places of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// A value in a body.
    Body,
    /// A key of an object in a body, or the name of a parameter, that no rule knows.
    Key,
    /// A segment of the path.
    Path,
    /// A parameter of the query.
    Query,
    /// A header.
    Header,
}

/// A body that is none of the syntaxes that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frame is neither JSON nor a Python literal")]
pub struct Unreadable;

impl From<ScanError> for Unreadable {
    fn from(_: ScanError) -> Self {
        Self
    }
}

/// Called with each value, in the order of the frame. Returns the text that takes its place: of a
/// string any, otherwise a number or a word of the frame's syntax.
type Edit<'e> = dyn FnMut(&FieldValue<'_>) -> Option<String> + 'e;

impl FieldMap {
    /// A map of these rules.
    pub fn new(rules: &'static [FieldRule]) -> Self {
        let (client, server) = (Tree::new(rules, Sender::Client), Tree::new(rules, Sender::Server));
        Self { rules, client, server }
    }

    /// The map of a dialect's revision.
    pub fn of(manifest: &Manifest, revision: &str) -> Self {
        Self::new(manifest.field_rules(revision))
    }

    /// Shows every value of a frame to `edit`, and returns the frame with those that it changed;
    /// `None` if it changed none. `route` is that of the exchange or WebSocket; a request has its
    /// own.
    ///
    /// The headers and the address of a frame whose body is unreadable are shown all the same,
    /// before the error.
    pub fn edit(
        &self,
        sender: Sender,
        route: Option<Route<'_>>,
        frame: &Frame,
        edit: &mut Edit<'_>,
    ) -> Result<Option<Frame>, Unreadable> {
        Ok(match frame {
            Frame::Text(bytes) => self.edit_body(sender, route, bytes, edit)?.map(Frame::Text),
            Frame::Binary(bytes) => self.edit_body(sender, route, bytes, edit)?.map(Frame::Binary),
            Frame::Value(bytes) => self.edit_body(sender, route, bytes, edit)?.map(Frame::Value),
            Frame::Request(request) => {
                let path = request.uri().path();
                let route = Some(Route { method: request.method().as_str(), path });
                let uri = self.edit_uri(request.method().as_str(), request.uri(), edit);
                let headers = self.edit_headers(sender, request.headers(), edit);
                let body =
                    self.edit_http_body((sender, route), request.headers(), request.body(), edit)?;
                if uri.is_none() && headers.is_none() && body.is_none() {
                    return Ok(None);
                }
                let mut edited = (**request).clone();
                uri.into_iter().for_each(|uri| *edited.uri_mut() = uri);
                headers.into_iter().for_each(|headers| *edited.headers_mut() = headers);
                body.into_iter().for_each(|body| *edited.body_mut() = body);
                let length = edited.body().len();
                mend_length(edited.headers_mut(), length);
                Some(Frame::request(edited))
            }
            Frame::Response(response) => {
                let headers = self.edit_headers(sender, response.headers(), edit);
                let body = self.edit_http_body(
                    (sender, route),
                    response.headers(),
                    response.body(),
                    edit,
                )?;
                if headers.is_none() && body.is_none() {
                    return Ok(None);
                }
                let mut edited = (**response).clone();
                headers.into_iter().for_each(|headers| *edited.headers_mut() = headers);
                body.into_iter().for_each(|body| *edited.body_mut() = body);
                let length = edited.body().len();
                mend_length(edited.headers_mut(), length);
                Some(Frame::response(edited))
            }
        })
    }

    /// The same for the body of a message.
    pub fn edit_body(
        &self,
        sender: Sender,
        route: Option<Route<'_>>,
        body: &[u8],
        edit: &mut Edit<'_>,
    ) -> Result<Option<Bytes>, Unreadable> {
        let body = std::str::from_utf8(body).map_err(|_| Unreadable)?;
        if let Some(inner) = inner_json(body) {
            let edited = self.edit_text(sender, route, &inner, edit)?;
            return Ok(edited.map(|edited| {
                let edited = String::from_utf8_lossy(&edited).into_owned();
                crate::json::write(&edited)
            }));
        }
        Ok(self.edit_text(sender, route, body, edit)?.map(Bytes::from))
    }

    fn edit_text(
        &self,
        sender: Sender,
        route: Option<Route<'_>>,
        body: &str,
        edit: &mut Edit<'_>,
    ) -> Result<Option<Vec<u8>>, Unreadable> {
        let tree = self.tree(sender);
        let tokens = scan(body, tree, Some(0))?;
        let holds = Held::of(tree, body, &tokens);
        Ok(splice(body, &tokens, tree, &holds, route, edit))
    }

    /// Shows the values of an address, and returns it with those that `edit` changed, and without
    /// the user and password before a host. An address that would not be valid with them is `/`.
    ///
    /// The name of a parameter that no rule knows is shown as a key. A parameter without a value
    /// is shown as if its name were the value.
    pub fn edit_uri(&self, method: &str, uri: &Uri, edit: &mut Edit<'_>) -> Option<Uri> {
        let path = self.edit_path(method, uri.path(), edit);
        let query = uri.query().and_then(|query| self.edit_query(query, edit));
        let credentials = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
        if path.is_none() && query.is_none() && credentials.is_none() {
            return None;
        }
        let mut parts = uri.clone().into_parts();
        let edited = move || {
            if let Some((_, host)) = credentials {
                parts.authority = Some(host.parse().ok()?);
            }
            if path.is_some() || query.is_some() {
                let path = path.as_deref().unwrap_or(uri.path());
                let text = match query.as_deref().or(uri.query()) {
                    Some(query) => format!("{path}?{query}"),
                    None => path.to_owned(),
                };
                parts.path_and_query = Some(text.parse().ok()?);
            }
            Uri::from_parts(parts).ok()
        };
        Some(edited().unwrap_or_else(|| Uri::from_static("/")))
    }

    fn edit_path(&self, method: &str, path: &str, edit: &mut Edit<'_>) -> Option<String> {
        let fits = |rule: &&FieldRule| match (rule.place, rule.condition) {
            (Place::Path(template), Condition::Route(Some(own), _)) => {
                own == method && Segments::of(template).fit(path)
            }
            (Place::Path(template), _) => Segments::of(template).fit(path),
            _ => false,
        };
        let rules: Vec<&FieldRule> = self.rules.iter().filter(fits).collect();
        let mut changed = false;
        let edited: Vec<Cow<'_, str>> = path
            .split('/')
            .enumerate()
            .map(|(index, segment)| {
                // `*` is the whole server, RFC 9112 section 3.2.4.
                if matches!(segment, "" | "*") {
                    return Cow::Borrowed(segment);
                }
                let names = |rule: &&&FieldRule| {
                    matches!(rule.place, Place::Path(template)
                        if Segments::of(template).hole() == Some(index))
                };
                let is_word = |rule: &&FieldRule| {
                    matches!(rule.place, Place::Path(template)
                        if Segments::of(template).has_word(index))
                };
                let named = rules.iter().find(names).map(|rule| rule.role);
                let word = rules.iter().any(is_word).then_some(FieldRole::Word);
                let value = FieldValue {
                    role: named.or(word),
                    location: Location::Path,
                    key: Cow::Borrowed(""),
                    text: http_parts::decode(segment),
                    is_text: true,
                };
                match edit(&value) {
                    Some(new) => {
                        changed = true;
                        Cow::Owned(http_parts::encode(&new))
                    }
                    None => Cow::Borrowed(segment),
                }
            })
            .collect();
        changed.then(|| edited.join("/"))
    }

    fn edit_query(&self, query: &str, edit: &mut Edit<'_>) -> Option<String> {
        let mut changed = false;
        let edited: Vec<Cow<'_, str>> = query
            .split('&')
            .map(|pair| {
                let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
                let names =
                    |rule: &&FieldRule| matches!(rule.place, Place::Query(own) if own == name);
                let role = self.rules.iter().find(names).map(|rule| rule.role);
                let mut show = |location, key, text| {
                    let (key, text) = (http_parts::decode(key), http_parts::decode(text));
                    let new = edit(&FieldValue { role, location, key, text, is_text: true })?;
                    changed = true;
                    Some(http_parts::encode(&new))
                };
                let location = if text.is_empty() { Location::Query } else { Location::Key };
                let is_known = role.is_some() || name.is_empty();
                let new_name = if is_known { None } else { show(location, "", name) };
                let new_text =
                    if text.is_empty() { None } else { show(Location::Query, name, text) };
                if new_name.is_none() && new_text.is_none() {
                    return Cow::Borrowed(pair);
                }
                let divider = if pair.contains('=') { "=" } else { "" };
                let name = new_name.as_deref().unwrap_or(name);
                Cow::Owned(format!("{name}{divider}{}", new_text.as_deref().unwrap_or(text)))
            })
            .collect();
        changed.then(|| edited.join("&"))
    }

    /// Shows the values of headers, and returns them with those that `edit` changed. A header that
    /// would not be valid with them is empty.
    pub fn edit_headers(
        &self,
        sender: Sender,
        headers: &HeaderMap,
        edit: &mut Edit<'_>,
    ) -> Option<HeaderMap> {
        let mut changed = false;
        let mut edited = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            let new = self.edit_header(sender, name, value, edit);
            changed |= new.is_some();
            edited.append(name.clone(), new.unwrap_or_else(|| value.clone()));
        }
        changed.then_some(edited)
    }

    fn edit_header(
        &self,
        sender: Sender,
        name: &HeaderName,
        value: &HeaderValue,
        edit: &mut Edit<'_>,
    ) -> Option<HeaderValue> {
        let text = String::from_utf8_lossy(value.as_bytes());
        let fits = |rule: &&FieldRule| {
            matches!(rule.place, Place::Header(own) if own == name.as_str())
                && rule.sender.is_none_or(|own| own == sender)
                && part(rule.part, &text).is_some()
        };
        let rule = self.rules.iter().find(fits);
        let part = rule.and_then(|rule| part(rule.part, &text)).unwrap_or(&text);
        let shown = FieldValue {
            role: rule.map(|rule| rule.role),
            location: Location::Header,
            key: Cow::Borrowed(name.as_str()),
            text: Cow::Borrowed(part),
            is_text: true,
        };
        let new = edit(&shown)?;
        let new = HeaderValue::from_str(&whole(rule.map(|rule| rule.part), &new));
        Some(new.unwrap_or_else(|_| HeaderValue::from_static("")))
    }

    fn edit_http_body(
        &self,
        (sender, route): (Sender, Option<Route<'_>>),
        headers: &HeaderMap,
        body: &Bytes,
        edit: &mut Edit<'_>,
    ) -> Result<Option<Bytes>, Unreadable> {
        if body.is_empty() {
            return Ok(None);
        }
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = content_type.and_then(http_parts::boundary);
        let Some(boundary) = boundary else { return self.edit_body(sender, route, body, edit) };
        let parts = http_parts::parts(body, boundary).ok_or(Unreadable)?;
        let tree = self.tree(sender);
        let (mut out, mut copied) = (Vec::new(), 0);
        for part in parts {
            for name in &part.file_names {
                let value = FieldValue {
                    role: Some(FieldRole::Text),
                    location: Location::Body,
                    key: Cow::Borrowed("filename"),
                    text: Cow::Owned(name.text(body)),
                    is_text: true,
                };
                if let Some(new) = edit(&value) {
                    out.extend_from_slice(&body[copied..name.range.start]);
                    out.extend(name.with(&new).into_bytes());
                    copied = name.range.end;
                }
            }
            let content = &body[part.content.clone()];
            let node = tree.key(Some(0), &part.name);
            let text = std::str::from_utf8(content).ok();
            let object = text.filter(|text| text.trim_start().starts_with(['{', '[']));
            let scanned = object.and_then(|text| Some((text, scan(text, tree, node).ok()?)));
            let new = match scanned {
                Some((text, tokens)) => {
                    let holds = Held::of(tree, text, &tokens);
                    splice(text, &tokens, tree, &holds, route, edit)
                }
                None => {
                    let rules = node.map(|node| tree.get(node).rules.as_slice());
                    let value = FieldValue {
                        role: rules.and_then(|rules| rules.first()).map(|(rule, _)| rule.role),
                        location: Location::Body,
                        key: Cow::Owned(part.name),
                        text: String::from_utf8_lossy(content),
                        is_text: true,
                    };
                    edit(&value).map(String::into_bytes)
                }
            };
            if let Some(new) = new {
                out.extend_from_slice(&body[copied..part.content.start]);
                out.extend(new);
                copied = part.content.end;
            }
        }
        if copied == 0 {
            return Ok(None);
        }
        out.extend_from_slice(&body[copied..]);
        Ok(Some(out.into()))
    }

    fn tree(&self, sender: Sender) -> &Tree {
        match sender {
            Sender::Client => &self.client,
            Sender::Server => &self.server,
        }
    }
}

/// The conditions about values of one body, and whether they hold.
struct Held(Vec<bool>);

impl Held {
    fn of(tree: &Tree, body: &str, tokens: &[Token]) -> Self {
        let mut holds = vec![false; tree.conditions.len()];
        for token in tokens {
            let Some(node) = token.node else { continue };
            let conditions = &tree.get(node).conditions;
            if conditions.is_empty() {
                continue;
            }
            let source = &body[token.range.clone()];
            let text = match token.kind {
                TokenKind::Text => text::decode(source),
                TokenKind::Bare | TokenKind::Key => Cow::Borrowed(match source {
                    "None" => "null",
                    "True" => "true",
                    "False" => "false",
                    other => other,
                }),
            };
            for condition in conditions {
                holds[*condition] |= tree.conditions[*condition].contains(&&*text);
            }
        }
        Self(holds)
    }
}

/// Shows the tokens of a body, and returns it with those that `edit` changed.
fn splice(
    body: &str,
    tokens: &[Token],
    tree: &Tree,
    holds: &Held,
    route: Option<Route<'_>>,
    edit: &mut Edit<'_>,
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut copied = 0;
    for token in tokens {
        let source = &body[token.range.clone()];
        let is_text = token.kind != TokenKind::Bare;
        let text = if is_text { text::decode(source) } else { Cow::Borrowed(source) };
        let rule = token.node.and_then(|node| {
            let fits = |(rule, condition): &&(&FieldRule, Option<usize>)| {
                condition.is_none_or(|index| holds.0[index])
                    && on_route(rule.condition, route)
                    && part(rule.part, &text).is_some()
            };
            tree.get(node).rules.iter().find(fits).map(|(rule, _)| *rule)
        });
        let shown = FieldValue {
            role: rule.map(|rule| rule.role),
            location: if token.kind == TokenKind::Key { Location::Key } else { Location::Body },
            key: text::decode(&body[token.key.clone()]),
            text: match rule.and_then(|rule| part(rule.part, &text)) {
                Some(part) => Cow::Borrowed(part),
                None => Cow::Borrowed(&*text),
            },
            is_text,
        };
        let Some(new) = edit(&shown) else { continue };
        out.extend_from_slice(&body.as_bytes()[copied..token.range.start]);
        copied = token.range.end;
        let new = whole(rule.map(|rule| rule.part), &new);
        if is_text {
            text::write(&new, source, &mut out);
        } else {
            out.extend(new.bytes());
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&body.as_bytes()[copied..]);
    Some(out)
}

/// The part of a text that has the role; `None` if the text is another one.
fn part(part: Part, text: &str) -> Option<&str> {
    match part {
        Part::Whole => Some(text),
        Part::Between(before, after) => text.strip_prefix(before)?.strip_suffix(after),
    }
}

/// The whole text with a new part.
fn whole(part: Option<Part>, new: &str) -> String {
    match part {
        Some(Part::Between(before, after)) => format!("{before}{new}{after}"),
        Some(Part::Whole) | None => new.to_owned(),
    }
}

/// True unless the condition is about another route.
fn on_route(condition: Condition, route: Option<Route<'_>>) -> bool {
    match (condition, route) {
        (Condition::Route(method, template), Some(route)) => {
            method.is_none_or(|method| method == route.method)
                && Segments::of(template).fit(route.path)
        }
        (Condition::Route(..), None) => false,
        (Condition::Always | Condition::Value(..), _) => true,
    }
}

/// The JSON within a body that is a JSON string of it.
fn inner_json(body: &str) -> Option<String> {
    let trimmed = body.trim_ascii();
    let inner = trimmed.strip_prefix('"')?;
    if !inner.trim_start().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(trimmed).ok()
}

/// Gives `content-length` the length of an edited body, where there is the header.
fn mend_length(headers: &mut HeaderMap, length: usize) {
    if let Some(value) = headers.get_mut(CONTENT_LENGTH) {
        *value = HeaderValue::from(length);
    }
}
