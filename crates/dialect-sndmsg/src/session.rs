//! What one connection remembers, on either side.

use crate::faults::Refusal;
use crate::lift::{self, Expected, Nonsense};
use crate::lower::{self, Request};
use crate::memory::{Memory, same_login};
use crate::wire::{self, Field, Operation};
use crate::{ID, SHARED, faults};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use tolmach_dialect::json::JsonError;
use tolmach_dialect::{
    Ask, Delivery, Echo, Frame, Interest, Line, Loss, Notice, Opening, Reply, Session, Settings,
    Violation, ViolationKind,
};
use tolmach_domain::{
    Answer, Command, ConnectionId, EventKind, Fault, FlowId, FlowKind, Identity, Message,
    Timestamp, UserRef,
};

/// The most of an unknown `type` that is echoed, in characters.
const ECHOED_TYPE: usize = 64;

/// How many requests of a client may wait for their replies.
const PENDING: usize = 1024;

/// The most that a client's end gathers of one history, in bytes.
const HISTORY: usize = 64 << 20;

/// What a message counts for beside its content, in bytes.
const MESSAGE: usize = 128;

/// Who has logged in on a connection.
pub(crate) struct Caller {
    identity: Option<Identity>,
    login: String,
    /// What was put into the login, which may be an e-mail address.
    identifier: String,
}

impl Caller {
    /// The login.
    pub(crate) fn login(&self) -> &str {
        &self.login
    }

    /// Whether a request that bears this name is the caller's own.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        same_login(name, &self.login) || same_login(name, &self.identifier)
    }
}

/// The server's end of a connection.
pub(crate) struct Server {
    settings: Settings,
    connection: ConnectionId,
    caller: Option<Caller>,
}

/// What a reply needs of its request.
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    /// The room of `SND_MSG`.
    pub(crate) flow: Option<FlowId>,
    /// The `login` of `REQUEST_LOGIN`, the `customer` of `CREATE_ROOM`.
    pub(crate) name: Option<String>,
}

impl Asked {
    fn new(operation: Operation, command: &Command) -> Self {
        let flow = match command {
            Command::Send(draft) => Some(draft.flow),
            _ => None,
        };
        let name = match command {
            Command::Login { identifier: name, .. }
            | Command::OpenChat { with: UserRef::Login(name) } => Some(name.clone()),
            _ => None,
        };
        Self { operation, flow, name }
    }
}

impl Server {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        Self { settings: opening.settings, connection: opening.connection, caller: None }
    }

    fn ask(&mut self, frame: &Frame) -> Result<Ask, Box<Violation>> {
        let Frame::Text(text) = frame else {
            return Err(nameless(ViolationKind::FrameKind, "a text frame is expected"));
        };
        let mut request: wire::Request<'_> =
            wire::read(text, self.settings.depth).map_err(|error| match error {
                JsonError::Syntax(_) => nameless(ViolationKind::Syntax, "JSON is expected"),
                JsonError::Shape(_) => nameless(
                    ViolationKind::Shape,
                    "a JSON object that names each field once is expected",
                ),
                JsonError::Depth(depth) => nameless(
                    ViolationKind::Shape,
                    format!("at most {depth} levels of nesting are expected"),
                ),
            })?;
        let Field::Value(kind) = std::mem::take(&mut request.kind) else {
            return Err(nameless(ViolationKind::Shape, "type: a string is expected"));
        };
        let Some(operation) = Operation::from_request(&kind) else {
            let kind: String = kind.chars().take(ECHOED_TYPE).collect();
            let refusal = wire::Reply {
                kind: kind.into(),
                ..Refusal::error("unknown type").frame(Operation::OldDialogs)
            };
            return Err(violation(ViolationKind::UnknownMethod, &refusal));
        };
        let (proof, command) = lift::ask(operation, request, self.caller.as_ref())
            .map_err(|refusal| violation(ViolationKind::Shape, &refusal.frame(operation)))?;
        Ok(Ask::new(Echo::new(Asked::new(operation, &command)), proof, command))
    }

    /// What a reply that has been said changes.
    fn note(&mut self, asked: &Asked, reply: &Reply) {
        match (asked.operation, &reply.outcome) {
            (Operation::Login, Ok(Answer::Granted(grant))) => {
                let identifier = asked.name.clone().unwrap_or_default();
                let login = grant
                    .user
                    .as_ref()
                    .map_or_else(|| identifier.clone(), |user| user.login.clone());
                self.caller = Some(Caller { identity: reply.identity, login, identifier });
            }
            // The session has ended, and whoever logged in has to do it again.
            (operation, Err(Fault::Unauthenticated)) if operation.needs_login() => {
                self.caller = None
            }
            _ => {}
        }
    }
}

impl Session for Server {
    fn identified(&mut self, identity: Identity) {
        if let Some(caller) = &mut self.caller {
            caller.identity = Some(identity);
        }
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        out.push(Line::Ask(self.ask(frame).map_err(|violation| *violation)?));
        Ok(())
    }

    fn encode(&mut self, _now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let text = |frame: &wire::Reply<'_>| Frame::Text(wire::write(frame));
        match line {
            Line::Reply(reply) => {
                let asked = reply
                    .echo
                    .get::<Asked>()
                    .ok_or(Loss { dialect: ID, what: "a reply to nothing asked here" })?;
                let frames = lower::reply(
                    asked,
                    &reply.outcome,
                    self.caller.as_ref(),
                    self.settings.reveal_unknown_user,
                )?;
                out.extend(frames.iter().map(text));
                self.note(asked, reply);
            }
            Line::Notice(notice) => {
                out.extend(lower::push(notice, self.caller.as_ref())?.iter().map(text))
            }
            Line::Ask(_) => return Err(Loss { dialect: ID, what: "an ask to a client" }),
        }
        Ok(())
    }

    fn interest(&self) -> Interest {
        let identity = self.caller.as_ref().and_then(|caller| caller.identity);
        identity.map_or(Interest::Nothing, |identity| Interest::EveryFlowOf(identity.user))
    }

    fn delivery(&mut self, notice: &Notice) -> Delivery {
        // The reply tells it to the connection that asked.
        let own = notice.origin.as_ref().is_some_and(|origin| origin.connection == self.connection);
        let heard = self.interest() != Interest::Nothing && !own;
        match &notice.kind {
            EventKind::Posted(_) if heard && self.settings.push => Delivery::Shared(SHARED),
            EventKind::Edited(_) | EventKind::FlowDeleted { .. } if heard => {
                Delivery::Shared(SHARED)
            }
            EventKind::Deleted { messages, .. } if heard => {
                if messages.len() == 1 {
                    Delivery::Shared(SHARED)
                } else {
                    Delivery::Private
                }
            }
            EventKind::FlowCreated { flow, .. } if heard && flow.kind == FlowKind::Chat => {
                Delivery::Private
            }
            EventKind::SessionsEnded { user, session } => {
                let ended = |identity: Identity| {
                    identity.user == *user && (session.is_none() || *session == identity.session)
                };
                self.caller.take_if(|caller| caller.identity.is_some_and(ended));
                Delivery::Skip
            }
            EventKind::Posted(_)
            | EventKind::Edited(_)
            | EventKind::Deleted { .. }
            | EventKind::FlowCreated { .. }
            | EventKind::FlowDeleted { .. }
            | EventKind::MembersAdded { .. }
            | EventKind::MembersRemoved { .. }
            | EventKind::Typing { .. } => Delivery::Skip,
        }
    }
}

/// A frame whose `type` cannot be read.
fn nameless(kind: ViolationKind, detail: impl Into<Cow<'static, str>>) -> Box<Violation> {
    violation(
        kind,
        &wire::Reply {
            kind: wire::ERROR_TYPE.into(),
            ..Refusal::error(detail).frame(Operation::OldDialogs)
        },
    )
}

fn violation(kind: ViolationKind, answer: &wire::Reply<'_>) -> Box<Violation> {
    Box::new(Violation::answered(kind, Frame::Text(wire::write(answer))))
}

/// The client's end of a connection.
pub(crate) struct Client {
    settings: Settings,
    /// Requests that wait for their replies, the oldest first: the wire has no request ids.
    pending: VecDeque<Pending>,
    /// Who this connection logged in as; empty before.
    login: String,
    memory: Memory,
}

struct Pending {
    echo: Echo,
    operation: Operation,
    expected: Expected,
    /// What has come of a history, and how many bytes it holds.
    gathered: Vec<Message>,
    size: usize,
}

impl Client {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        Self {
            settings: opening.settings,
            pending: VecDeque::new(),
            login: String::new(),
            memory: Memory::default(),
        }
    }

    /// The oldest request of an operation that waits and fits.
    fn position(&self, operation: Operation, fits: impl Fn(&Expected) -> bool) -> Option<usize> {
        self.pending
            .iter()
            .position(|pending| pending.operation == operation && fits(&pending.expected))
    }

    fn hear(
        &mut self,
        now: Timestamp,
        reply: wire::Reply<'_>,
        out: &mut Vec<Line>,
    ) -> Result<(), Nonsense> {
        let fault = reply
            .status
            .as_deref()
            .and_then(|status| faults::lift(status, reply.detail.as_deref()));
        let Some(operation) = Operation::from_reply(&reply.kind) else {
            // A request that the server could not even read: of those that wait, it can only have
            // been the oldest.
            return self.settle(0, Err(fault.ok_or(Nonsense)?), out);
        };
        if let Some(fault) = fault {
            let position = self.position(operation, |_| true).ok_or(Nonsense)?;
            return self.settle(position, Err(fault), out);
        }
        if operation == Operation::ReadMessage {
            return self.read(now, &reply, out);
        }
        let Some(position) = self.position(operation, |expected| expected.fits(&reply)) else {
            let kind = lift::push(now, operation, reply, &self.login, &self.memory)?;
            out.push(notice(now, kind));
            return Ok(());
        };
        let expected = &self.pending[position].expected;
        let answer = lift::answer(now, expected, reply, &self.login, &self.memory)?;
        match (expected, &answer) {
            (Expected::LoggedIn { identifier }, _) => self.login.clone_from(identifier),
            (_, Answer::Sent { message: Some(message), .. }) => self.memory.note(message),
            _ => {}
        }
        self.settle(position, Ok(answer), out)
    }

    /// A frame of a history that is being read, or a new message.
    fn read(
        &mut self,
        now: Timestamp,
        reply: &wire::Reply<'_>,
        out: &mut Vec<Line>,
    ) -> Result<(), Nonsense> {
        let message = lift::message(reply)?;
        let position = self.position(Operation::ReadMessage, |expected| expected.fits(reply));
        match (message, position) {
            (Some(message), Some(position)) => {
                let pending = &mut self.pending[position];
                let size = pending.size + message.content.size() + MESSAGE;
                if size > HISTORY {
                    return Err(Nonsense);
                }
                self.memory.note(&message);
                pending.size = size;
                pending.gathered.push(message);
            }
            (Some(message), None) => {
                self.memory.note(&message);
                out.push(notice(now, EventKind::Posted(message)));
            }
            (None, Some(position)) => self.finish(position, out),
            (None, None) => return Err(Nonsense),
        }
        Ok(())
    }

    /// Tells what came of a request. A fence ends the history that it was put behind, if that still
    /// waits.
    fn settle(
        &mut self,
        position: usize,
        outcome: Result<Answer, Fault>,
        out: &mut Vec<Line>,
    ) -> Result<(), Nonsense> {
        let asked = self.pending.remove(position).ok_or(Nonsense)?;
        if asked.expected != Expected::Fence {
            out.push(Line::Reply(Reply { echo: asked.echo, identity: None, outcome }));
            return Ok(());
        }
        // Replies come in order, so a history that waits before this fence is the one that belongs
        // to it.
        let history =
            self.position(Operation::ReadMessage, |_| true).filter(|history| *history < position);
        if let Some(history) = history {
            self.finish(history, out);
        }
        Ok(())
    }

    /// Tells what has come of a history.
    fn finish(&mut self, position: usize, out: &mut Vec<Line>) {
        if let Some(Pending {
            echo,
            expected: Expected::History { flow, kinds, window },
            gathered,
            ..
        }) = self.pending.remove(position)
        {
            let outcome = Ok(lift::history(flow, kinds, window, gathered));
            out.push(Line::Reply(Reply { echo, identity: None, outcome }));
        }
    }
}

fn notice(at: Timestamp, kind: EventKind) -> Line {
    Line::Notice(Arc::new(Event::new(at, kind)))
}

impl Session for Client {
    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        let unanswered = |kind| Violation { kind, answer: None, close: None };
        let Frame::Text(text) = frame else {
            return Err(unanswered(ViolationKind::FrameKind));
        };
        let reply: wire::Reply<'_> =
            wire::read(text, self.settings.depth).map_err(|error| match error {
                JsonError::Syntax(_) => unanswered(ViolationKind::Syntax),
                JsonError::Shape(_) | JsonError::Depth(_) => unanswered(ViolationKind::Shape),
            })?;
        self.hear(now, reply, out).map_err(|Nonsense| unanswered(ViolationKind::Shape))
    }

    fn encode(&mut self, _now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let ask = match line {
            Line::Ask(ask) => ask,
            Line::Reply(_) => return Err(Loss { dialect: ID, what: "a reply to a server" }),
            Line::Notice(_) => return Err(Loss { dialect: ID, what: "a notice to a server" }),
        };
        let request = lower::ask(ask, &self.login)?;
        let fence = matches!(request.expected, Expected::History { .. }).then(Request::fence);
        if self.pending.len() + 1 + usize::from(fence.is_some()) > PENDING {
            return Err(Loss {
                dialect: ID,
                what: "one more ask before earlier ones are answered",
            });
        }
        for (request, echo) in [(Some(request), ask.echo.clone()), (fence, Echo::NONE)] {
            let Some(request) = request else { continue };
            out.push(Frame::Text(wire::write(request.frame())));
            let Request { operation, expected, .. } = request;
            self.pending.push_back(Pending {
                echo,
                operation,
                expected,
                gathered: Vec::new(),
                size: 0,
            });
        }
        Ok(())
    }
}
