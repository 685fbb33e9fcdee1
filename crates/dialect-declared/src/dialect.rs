//! A dialect that is a file.

use crate::client::{self, dial};
use crate::compile::{Sources, compile, merged};
use crate::decode::Matcher;
use crate::encode::Me;
use crate::fields::fields;
use crate::model::{EVENTS, Operation};
use crate::plan::{Compiled, CredentialsPlace, Refusal, RequestRule, Transport};
use crate::problem::{Diagnostic, FileError, Problem};
use crate::schemas::schemas;
use crate::server::{Session, chosen_of, event_frames, forbidden, matches_event};
use crate::syntax::Syntax;
use crate::token_check::TokenCheckSession;
use bytes::Bytes;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use std::sync::Arc;
use tolmach_dialect::{
    Capabilities, ClientSession, Dialect, DialectClient, Endpoint, Event, Frame, Handshake,
    HandshakeRejection, Manifest, Recognition, RenderContext, Request, Revision, ServerSession,
    Transport as EndpointTransport, Unsupported, Variant,
};
use tolmach_domain::Secret;

/// A dialect, or a revision of one, that a file describes.
#[derive(Debug, Clone)]
pub struct Declared {
    file: Arc<Compiled>,
    manifest: &'static Manifest,
    /// The path that a client connects to.
    path: &'static str,
    revision: Revision,
    warnings: Vec<Diagnostic>,
}

/// A file of a dialect: its name for messages, and its text.
#[derive(Debug, Clone, Copy)]
pub struct DialectFile<'a> {
    /// The name, which `extends` of another file refers to.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
}

impl Declared {
    /// Compiles a file. `others` are the files that it may extend.
    ///
    /// The names of a dialect live as long as the process: a manifest refers to them.
    pub fn compile(file: DialectFile<'_>, others: &[DialectFile<'_>]) -> Result<Self, FileError> {
        let mut sources = Sources::default();
        let fail = |sources: &Sources, problems: Vec<Problem>| {
            FileError(problems.into_iter().map(|p| sources.diagnostic(p)).collect())
        };
        let mut raw = match sources.add(file.name, file.text) {
            Ok(raw) => raw,
            Err(problem) => return Err(fail(&sources, vec![problem])),
        };
        let mut extended = vec![file.name];
        loop {
            let base = raw.get("dialect").and_then(|head| head.get("extends")).cloned();
            let Some(base) = base else { break };
            let name = base.text().unwrap_or_default();
            let found = others.iter().find(|other| other.name == name);
            let Some(other) = found.filter(|other| !extended.contains(&other.name)) else {
                let names = others.iter().map(|other| other.name);
                let text = if extended.contains(&name) {
                    format!("{name}: the file extends itself")
                } else {
                    let near = crate::problem::nearest(name, names);
                    format!("{name}: no such file to extend; {near}")
                };
                return Err(fail(&sources, vec![Problem::error(base.place, text)]));
            };
            extended.push(other.name);
            let lower = match sources.add(other.name, other.text) {
                Ok(lower) => lower,
                Err(problem) => return Err(fail(&sources, vec![problem])),
            };
            let next = lower.get("dialect").and_then(|head| head.get("extends")).cloned();
            raw = merged(&lower, &raw);
            raw.set_extends(next);
        }
        let (compiled, problems) = compile(&raw, file.text.len());
        let Some(compiled) = compiled else { return Err(fail(&sources, problems)) };
        let warnings = problems.into_iter().map(|p| sources.diagnostic(p)).collect();
        let manifest = manifest(&compiled);
        let revision = manifest.revisions[0];
        let path = path(manifest);
        Ok(Self { file: Arc::new(compiled), manifest, path, revision, warnings })
    }

    /// The revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The names of the commands that it has requests for, as those of
    /// [`Command::name`](tolmach_domain::Command::name).
    pub fn commands(&self) -> Vec<&'static str> {
        let has = |operation: &Operation| {
            self.file.requests.iter().any(|rule| rule.operation == *operation)
        };
        let named = Operation::ALL.into_iter().filter(|one| *one != Operation::Nothing);
        named.filter(has).map(Operation::name).collect()
    }

    /// The names of the events that it has frames for.
    pub fn events(&self) -> Vec<&'static str> {
        let has = |name: &&str| self.file.events.iter().any(|rule| rule.event == *name);
        EVENTS.into_iter().filter(has).collect()
    }

    /// The warnings of the compiler.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// A JSON Schema document with the schema of each kind of frame under `$defs`:
    /// `<name>.request`, `<name>.reply`, `<name>.push`, and `error.reply` for all refusals. Of a
    /// syntax that is not JSON, the schemas are of the same values in JSON.
    pub fn schemas(&self) -> serde_json::Value {
        schemas(&self.file)
    }

    /// The same wire with JSON for its syntax: for tools that read and change frames as JSON.
    pub fn in_json(&self) -> Self {
        let file = Compiled { syntax: Syntax::Json, ..self.file.as_ref().clone() };
        Self { file: Arc::new(file), ..self.clone() }
    }

    /// The media type of its frames.
    pub fn media_type(&self) -> &'static str {
        match self.file.syntax {
            Syntax::Json | Syntax::JsonInString => "application/json",
            Syntax::PythonLiteral => "text/x-python",
        }
    }

    /// True if every refusal and violation has a frame.
    pub fn answers_refusals(&self) -> bool {
        let is_silent = |rule: &RequestRule| matches!(rule.refused, Refusal::Nothing);
        self.file.unknown.is_some()
            && self.file.malformed.is_some()
            && !self.file.requests.iter().any(is_silent)
    }

    /// True if it is also for raw TCP streams.
    pub fn serves_tcp(&self) -> bool {
        self.file.transports.contains(&Transport::Tcp)
    }

    /// The shortest time between two frames on a raw TCP stream.
    pub fn pace(&self) -> Option<std::time::Duration> {
        self.file.pace
    }

    /// True if a handshake has the subprotocol and the token of this wire.
    pub(crate) fn claims_handshake(&self, handshake: &Handshake<'_>) -> bool {
        self.file.credentials.contains(&CredentialsPlace::Subprotocol)
            && matches!(self.token(handshake), (Some(_), Some(_)))
    }

    /// True if the handshake proves the user.
    pub(crate) fn proves_by_handshake(&self) -> bool {
        self.file.proves_by_handshake()
    }

    /// True if its first frame can be recognised.
    pub(crate) fn opens_by_frame(&self) -> bool {
        self.file.opens.is_some()
    }

    /// True if a handshake is an HTTP request for its token check, or a WebSocket there.
    pub(crate) fn is_token_check(&self, handshake: &Handshake<'_>) -> bool {
        match (&self.file.token_check, handshake.request) {
            (Some(check), Some(request)) => {
                request.uri.path().trim_end_matches('/') == check.path.trim_end_matches('/')
            }
            _ => false,
        }
    }

    /// The token of a handshake, and the subprotocol to accept.
    fn token(&self, handshake: &Handshake<'_>) -> (Option<Secret>, Option<&'static str>) {
        let tokens = self.file.credentials.iter().map(|place| token_at(*place, handshake));
        tokens.into_iter().find(|(token, _)| token.is_some()).unwrap_or_default()
    }
}

/// The token at one place of a handshake, and the subprotocol to accept.
fn token_at(
    place: CredentialsPlace,
    handshake: &Handshake<'_>,
) -> (Option<Secret>, Option<&'static str>) {
    let Some(request) = handshake.request else { return (None, None) };
    let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
    match place {
        CredentialsPlace::Connection | CredentialsPlace::Field => (None, None),
        CredentialsPlace::Header => {
            let token = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
            (token.map(|token| Secret::new(token.trim())), None)
        }
        CredentialsPlace::Query => {
            let query = request.uri.query().unwrap_or_default();
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let token = pairs.find(|(name, _)| *name == "token").map(|(_, token)| token);
            (token.map(Secret::new), None)
        }
        CredentialsPlace::Subprotocol => {
            let protocols = header(SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
            let protocols: Vec<&str> = protocols.split(',').map(str::trim).collect();
            match protocols.as_slice() {
                [first, .., token] => {
                    let accepted = ["chat", "admin-chat", "bearer"];
                    let accepted = accepted.into_iter().find(|name| name == first);
                    (Some(Secret::new(*token)), accepted)
                }
                _ => (None, None),
            }
        }
    }
}

impl Dialect for Declared {
    fn manifest(&self) -> &Manifest {
        self.manifest
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        let (Some(frame), Some(opens)) = (handshake.first_frame, &self.file.opens) else {
            return Recognition::No;
        };
        let bytes = match frame {
            Frame::Text(bytes) | Frame::Value(bytes) => bytes,
            Frame::Binary(_) | Frame::Request(_) | Frame::Response(_) => return Recognition::No,
        };
        // A token of the handshake is a part of such an opening.
        if self.proves_by_handshake() && self.token(handshake).0.is_none() {
            return Recognition::No;
        }
        // A Python literal with double quotation marks only is JSON: the document's wire.
        if self.file.syntax == Syntax::PythonLiteral
            && Syntax::Json.read(bytes, handshake.max_json_depth, |_| ()).is_ok()
        {
            return Recognition::No;
        }
        let (syntax, tables) = (self.file.syntax, &self.file.tables);
        let matcher = Matcher { syntax, tables, numbers: None, is_of_server: false };
        let fits = self
            .file
            .syntax
            .read(bytes, handshake.max_json_depth, |value| matcher.find(opens, &value).is_ok());
        match fits {
            Ok(true) => Recognition::Certain(self.revision),
            _ => Recognition::No,
        }
    }

    fn ignores(&self, frame: &Frame) -> bool {
        self.file.ignore.iter().any(|text| text.as_bytes() == &**frame.payload())
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        if let (Some(check), Some(request)) = (&self.file.token_check, handshake.request)
            && self.is_token_check(handshake)
        {
            if handshake.websocket {
                return Err(not_found().into());
            }
            let session = TokenCheckSession::new(check.clone(), self.revision, request);
            return Ok(Box::new(session));
        }
        let names = (self.manifest.id, self.revision);
        let token = self.token(handshake);
        if self.proves_by_handshake() && token.0.is_none() {
            return Err(forbidden().into());
        }
        Ok(Box::new(Session::new(self.file.clone(), names, handshake, token)))
    }

    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported> {
        let unsupported = || Unsupported { dialect: self.manifest.id, what: event.name() };
        let mut rules = self.file.events.iter();
        let rule = rules.find(|rule| matches_event(rule, event, None)).ok_or_else(unsupported)?;
        let (chosen, is_tcp) = chosen_of(&self.file, variant);
        let frames =
            event_frames(&self.file, rule, event, &Me::default(), (&chosen, context.wide_ids));
        let bytes = frames.into_iter().next().ok_or_else(unsupported)?;
        Ok(if is_tcp { Frame::Value(bytes) } else { Frame::Text(bytes) })
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        Some(self)
    }
}

impl DialectClient for Declared {
    fn dial(&self, request: &Request) -> Result<http::request::Parts, Unsupported> {
        dial(&self.file, self.manifest.id, self.path, request)
    }

    fn connect(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ClientSession>, HandshakeRejection> {
        Ok(Box::new(client::Session::new(self.file.clone(), self.manifest.id, handshake)))
    }
}

/// The path that a client connects to: the first of the file, or that of the dialect's name.
fn path(manifest: &'static Manifest) -> &'static str {
    let mut endpoints = manifest.endpoints.iter();
    match endpoints.find(|endpoint| endpoint.transport == EndpointTransport::WebSocket) {
        Some(endpoint) => endpoint.path,
        None => Box::leak(format!("/{}", manifest.id).into_boxed_str()),
    }
}

/// The response to a WebSocket handshake where there are only HTTP requests.
fn not_found() -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    response
}

/// The manifest of a file, which lives as long as the process.
fn manifest(file: &Compiled) -> &'static Manifest {
    let text = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let mut endpoints: Vec<Endpoint> = if file.transports.contains(&Transport::WebSocket) {
        file.paths.iter().map(|path| Endpoint::websocket(text(path))).collect()
    } else {
        Vec::new()
    };
    endpoints.extend(file.token_check.iter().map(|check| Endpoint::http(text(&check.path))));
    let pushes = |name: &str| file.push && file.events.iter().any(|rule| rule.event == name);
    let capabilities = Capabilities {
        pushes_posted: pushes("posted"),
        pushes_edited: pushes("edited"),
        pushes_deleted: pushes("deleted"),
        pushes_flows: pushes("flow_created"),
        pushes_typing: pushes("typing"),
    };
    let manifest = Manifest::new(text(&file.id), text(&file.summary))
        .endpoints(Vec::leak(endpoints))
        .revisions(Vec::leak(vec![text(&file.revision)]))
        .fields(fields(file))
        .capabilities(capabilities);
    let manifest = match file.opens {
        Some(_) => manifest.opening(text(&file.opening)),
        None => manifest,
    };
    Box::leak(Box::new(manifest))
}
