//! What one connection remembers, on either side.

use crate::faults::Refusal;
use crate::lift::{self, Expected, Nonsense};
use crate::lower::{self, Signature};
use crate::wire::{self, Form, Method};
use crate::{ID, schema, variant};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use tolmach_dialect::json::{self, JsonError};
use tolmach_dialect::{
    Ask, Delivery, Echo, Frame, Interest, Line, Loss, Notice, Opening, Reply, Session, Settings,
    Violation, ViolationKind,
};
use tolmach_domain::{
    Answer, Command, ConnectionId, Credentials, EventKind, GrantKind, Identity, Secret, Timestamp,
    UserId,
};

/// The longest `type` that is echoed, in characters.
const ECHOED_TYPE: usize = 64;

/// The `type` of a reply to a frame whose own cannot be repeated.
const UNUSABLE_TYPE: &str = "error";

/// How many asks of a client may wait for their replies.
const PENDING: usize = 1024;

/// The server's end of a connection.
pub(crate) struct Server {
    settings: Settings,
    connection: ConnectionId,
    /// How many frames were said in answer: each has an id of its own.
    answered: u64,
    /// The form of the latest request, in which messages are pushed.
    form: Form,
    /// Who is pushed to: the user whose token was last used with success.
    proven: Option<Identity>,
}

/// What a reply needs of its request.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Its `type`, which the reply repeats.
    pub(crate) kind: &'static str,
    form: Form,
    /// What it was signed with, which some replies repeat.
    pub(crate) signature: Option<Signature>,
    /// The login of an account that is deleted.
    pub(crate) login: Option<String>,
}

/// Why a frame is no request, with the `type` to answer it by.
struct Refused {
    kind: ViolationKind,
    echoed: Cow<'static, str>,
    refusal: Refusal,
}

impl Server {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        Self {
            settings: opening.settings,
            connection: opening.connection,
            answered: 0,
            form: Form::default(),
            proven: None,
        }
    }

    /// The number of the next answer.
    fn next_id(&mut self) -> i64 {
        let id = wire::reply_id(self.connection, self.answered);
        self.answered = self.answered.wrapping_add(1);
        id
    }

    fn ask(&mut self, frame: &Frame) -> Result<Ask, Refused> {
        let unnamed = |kind, detail: Cow<'static, str>| Refused {
            kind,
            echoed: Cow::Borrowed(UNUSABLE_TYPE),
            refusal: Refusal::bad_request(detail),
        };
        let bytes = match frame {
            Frame::Text(bytes) => {
                self.form = Form::Text;
                bytes
            }
            Frame::Binary(bytes) => {
                self.form = Form::Binary;
                bytes
            }
            Frame::Value(_) | Frame::Request(_) | Frame::Response(_) => {
                return Err(unnamed(
                    ViolationKind::FrameKind,
                    "a text or binary frame is expected".into(),
                ));
            }
        };
        if wire::is_crowded(bytes) {
            return Err(unnamed(
                ViolationKind::Shape,
                format!("at most {} values are expected", wire::VALUES_LIMIT).into(),
            ));
        }
        let mut request: Value =
            json::parse(bytes, self.settings.depth).map_err(|error| match error {
                JsonError::Syntax(_) => unnamed(ViolationKind::Syntax, "JSON is expected".into()),
                JsonError::Shape(_) => {
                    unnamed(ViolationKind::Shape, "a JSON object is expected".into())
                }
                JsonError::Depth(depth) => unnamed(
                    ViolationKind::Shape,
                    format!("at most {depth} levels of nesting are expected").into(),
                ),
            })?;
        if !request.is_object() {
            return Err(unnamed(ViolationKind::Shape, "a JSON object is expected".into()));
        }
        let Some(named) = request.get("type").and_then(Value::as_str) else {
            return Err(unnamed(ViolationKind::Shape, "/type: a string is expected".into()));
        };
        let Some((method, kind)) = Method::from_type(named) else {
            let echoed = match named.chars().nth(ECHOED_TYPE) {
                None => Cow::Owned(named.to_owned()),
                Some(_) => Cow::Borrowed(UNUSABLE_TYPE),
            };
            return Err(Refused {
                kind: ViolationKind::UnknownMethod,
                echoed,
                refusal: Refusal::bad_request("unknown type"),
            });
        };
        let refused =
            |refusal| Refused { kind: ViolationKind::Shape, echoed: Cow::Borrowed(kind), refusal };
        if !speaks_this_version(&request) {
            return Err(refused(Refusal::bad_request(
                "/jsonapi/version: the versions served are: 1.0",
            )));
        }
        schema::check(method, &request).map_err(|reason| refused(Refusal::bad_request(reason)))?;
        let (proof, command) = lift::ask(method, &mut request).map_err(refused)?;
        let signature = match &proof {
            Credentials::TokenOf(user, token) => Some((*user, token.clone())),
            _ => None,
        };
        let login = match &command {
            Command::DeleteAccount { login, .. } => Some(login.clone()),
            _ => None,
        };
        Ok(Ask::new(
            Echo::new(Asked { method, kind, form: self.form, signature, login }),
            proof,
            command,
        ))
    }
}

/// No version at all is this one; a `jsonapi` of another shape is left to the schema.
fn speaks_this_version(request: &Value) -> bool {
    match request.get("jsonapi").and_then(|jsonapi| jsonapi.get("version")) {
        None | Some(Value::Null) => true,
        Some(Value::String(version)) => version == "1.0",
        Some(version) => version.as_f64() == Some(wire::VERSION),
    }
}

impl Session for Server {
    fn identified(&mut self, identity: Identity) {
        self.proven = Some(identity);
    }

    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        match self.ask(frame) {
            Ok(ask) => {
                out.push(Line::Ask(ask));
                Ok(())
            }
            Err(Refused { kind, echoed, refusal }) => {
                let id = self.next_id();
                Err(Violation::answered(
                    kind,
                    lower::frame(self.form, &lower::refusal(now, id, echoed, refusal)),
                ))
            }
        }
    }

    fn encode(&mut self, now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let frame = match line {
            Line::Reply(reply) => {
                let asked = reply
                    .echo
                    .get::<Asked>()
                    .ok_or(Loss { dialect: ID, what: "a reply to nothing asked here" })?;
                let id = self.next_id();
                let frame = lower::frame(asked.form, &lower::reply(now, id, asked, reply)?);
                match &reply.outcome {
                    // A login has no token to identify by: it is the reply that does.
                    Ok(Answer::Granted(_)) => self.proven = reply.identity,
                    Ok(Answer::AccountDeleted { user }) => {
                        self.proven.take_if(|proven| proven.user == *user);
                    }
                    _ => {}
                }
                frame
            }
            Line::Notice(notice) => lower::frame(self.form, &lower::push(notice)?),
            Line::Ask(_) => return Err(Loss { dialect: ID, what: "an ask to a client" }),
        };
        out.push(frame);
        Ok(())
    }

    fn interest(&self) -> Interest {
        match self.proven {
            Some(identity) if self.settings.push => Interest::EveryFlowOf(identity.user),
            _ => Interest::Nothing,
        }
    }

    fn delivery(&mut self, notice: &Notice) -> Delivery {
        match &notice.kind {
            EventKind::Posted(_) | EventKind::Edited(_) | EventKind::Deleted { .. } => {
                let own = notice
                    .origin
                    .as_ref()
                    .is_some_and(|origin| origin.connection == self.connection);
                let wanted = self.interest() != Interest::Nothing && !own;
                if wanted { Delivery::Shared(variant(self.form)) } else { Delivery::Skip }
            }
            EventKind::SessionsEnded { user, session } => {
                self.proven.take_if(|proven| {
                    proven.user == *user && (session.is_none() || *session == proven.session)
                });
                Delivery::Skip
            }
            EventKind::FlowCreated { .. }
            | EventKind::FlowDeleted { .. }
            | EventKind::MembersAdded { .. }
            | EventKind::MembersRemoved { .. }
            | EventKind::Typing { .. } => Delivery::Skip,
        }
    }
}

/// The client's end of a connection.
pub(crate) struct Client {
    settings: Settings,
    connection: ConnectionId,
    /// How many messages were sent: each has a key of its own.
    sent: u64,
    /// Asks that wait for their replies, the oldest first: the wire has no request ids.
    pending: VecDeque<Pending>,
    /// What a login that bound the connection handed out: this wire knows no such thing, so the
    /// session signs with it.
    bound: Option<Signature>,
}

struct Pending {
    echo: Echo,
    method: Method,
    expected: Expected,
}

impl Client {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        Self {
            settings: opening.settings,
            connection: opening.connection,
            sent: 0,
            pending: VecDeque::new(),
            bound: None,
        }
    }

    /// The oldest ask that a reply with this `type` can be for. A refusal that names no method is
    /// for the oldest of all.
    fn asked(&mut self, kind: &str) -> Option<Pending> {
        let position = match Method::from_type(kind) {
            Some((method, _)) => {
                self.pending.iter().position(|pending| pending.method == method)?
            }
            None => 0,
        };
        self.pending.remove(position)
    }

    fn reply(&mut self, reply: wire::Reply<'_>) -> Result<Line, Nonsense> {
        let Pending { echo, method, expected } = self.asked(&reply.kind).ok_or(Nonsense)?;
        let token = reply
            .data
            .as_ref()
            .and_then(|data| data.user.as_ref()?.auth_id.as_deref())
            .map(Secret::new);
        let binds = expected == Expected::Grant(GrantKind::Connection);
        let (identity, outcome) = lift::outcome(method, expected, reply)?;
        if let (true, Some(identity), Some(token)) = (binds, identity, token) {
            self.bound = Some((identity.user, token));
        }
        Ok(Line::Reply(Reply { echo, identity, outcome }))
    }

    /// Who asks, and the token that proves it.
    fn signature(&self, proof: &Credentials) -> Option<Signature> {
        match proof {
            Credentials::TokenOf(user, token) => Some((*user, token.clone())),
            Credentials::Connection => self.bound.clone(),
            Credentials::Nothing | Credentials::Token(_) | Credentials::Bearer(_) => None,
        }
    }
}

impl Session for Client {
    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        let unanswered = |kind| Violation { kind, answer: None, close: None };
        let (Frame::Text(bytes) | Frame::Binary(bytes)) = frame else {
            return Err(unanswered(ViolationKind::FrameKind));
        };
        let reply: wire::Reply<'_> =
            wire::read(bytes, self.settings.depth).map_err(|error| match error {
                JsonError::Syntax(_) => unanswered(ViolationKind::Syntax),
                JsonError::Shape(_) | JsonError::Depth(_) => unanswered(ViolationKind::Shape),
            })?;
        let nonsense = |Nonsense| unanswered(ViolationKind::Shape);
        if reply.meta.as_deref() == Some(wire::PUSH) {
            out.extend(
                lift::push(reply)
                    .map_err(nonsense)?
                    .into_iter()
                    .map(|notice| Line::Notice(Arc::new(notice))),
            );
        } else {
            out.push(self.reply(reply).map_err(nonsense)?);
        }
        Ok(())
    }

    fn encode(&mut self, now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let ask = match line {
            Line::Ask(ask) => ask,
            Line::Reply(_) => return Err(Loss { dialect: ID, what: "a reply to a server" }),
            Line::Notice(_) => return Err(Loss { dialect: ID, what: "a notice to a server" }),
        };
        let loss = Loss { dialect: ID, what: ask.command.name() };
        let request = lower::ask(ask)?;
        let signature = self.signature(&ask.proof);
        let asker: Option<UserId> = signature.as_ref().map(|(user, _)| *user);
        if request.is_signed() && asker.is_none() {
            return Err(loss);
        }
        if self.pending.len() == PENDING {
            return Err(Loss {
                dialect: ID,
                what: "one more ask before earlier ones are answered",
            });
        }
        let method = request.method;
        let expected = lower::expected(&ask.command, asker).ok_or(loss)?;
        let key = wire::reply_id(self.connection, self.sent);
        if method == Method::SendMessage {
            self.sent = self.sent.wrapping_add(1);
        }
        self.pending.push_back(Pending { echo: ask.echo.clone(), method, expected });
        out.push(Form::Text.frame(wire::write(&request.frame(now, signature.as_ref(), key))));
        Ok(())
    }
}
