//! What one connection remembers, on either side.

use crate::faults::Refusal;
use crate::lift::{self, Expected, Nonsense};
use crate::lower;
use crate::wire::{self, Field, Operation, Times};
use crate::{ID, variant};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use tolmach_dialect::json::{self, JsonError};
use tolmach_dialect::{
    Ask, Delivery, Echo, Frame, Interest, Line, Loss, Notice, Opening, Reply, Session, Settings,
    Violation, ViolationKind,
};
use tolmach_domain::{
    Answer, ConnectionId, Credentials, EventKind, GrantKind, Identity, Secret, Timestamp,
};

/// The most of an unknown `mode` that is echoed, in characters.
const ECHOED_MODE: usize = 64;

/// How many asks of a client may wait for their replies.
const PENDING: usize = 1024;

/// The server's end of a connection.
pub(crate) struct Server {
    settings: Settings,
    connection: ConnectionId,
    /// The form of the latest request, in which messages are pushed.
    times: Times,
    /// Who is pushed to: the owner of the token that was last used with success.
    proven: Option<Identity>,
}

/// What a reply needs of its request.
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    pub(crate) times: Times,
}

impl Server {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        Self {
            settings: opening.settings,
            connection: opening.connection,
            times: Times::default(),
            proven: None,
        }
    }

    fn ask(&mut self, now: Timestamp, frame: &Frame) -> Result<Ask, Box<Violation>> {
        let nameless = |kind, times, text: Cow<'static, str>| {
            violation(kind, now, None, None, times, Refusal::new(400, text))
        };
        let Frame::Text(text) = frame else {
            return Err(nameless(
                ViolationKind::FrameKind,
                self.times,
                "a text frame is expected".into(),
            ));
        };
        let mut request: wire::Request<'_> = json::parse_object(text, self.settings.depth)
            .map_err(|error| {
                let (kind, text) = match error {
                    JsonError::Syntax(_) => (ViolationKind::Syntax, "JSON is expected".into()),
                    JsonError::Shape(_) => (
                        ViolationKind::Shape,
                        "a JSON object that names each field once is expected".into(),
                    ),
                    JsonError::Depth(depth) => (
                        ViolationKind::Shape,
                        format!("at most {depth} levels of nesting are expected").into(),
                    ),
                };
                nameless(kind, Times::default(), text)
            })?;
        let times = request.times();
        let Field::Value(mode) = std::mem::take(&mut request.mode) else {
            return Err(nameless(ViolationKind::Shape, times, "mode: a string is expected".into()));
        };
        self.times = times;
        let Some(operation) = Operation::from_mode(&mode) else {
            let mode = mode.chars().take(ECHOED_MODE).collect::<String>();
            return Err(violation(
                ViolationKind::UnknownMethod,
                now,
                Some(mode),
                None,
                times,
                Refusal::new(501, "unknown mode"),
            ));
        };
        let (proof, command) = lift::ask(operation, request).map_err(|refusal| {
            violation(
                ViolationKind::Shape,
                now,
                Some(operation.mode().to_owned()),
                Some(operation),
                times,
                refusal,
            )
        })?;
        Ok(Ask::new(Echo::new(Asked { operation, times }), proof, command))
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
        out.push(Line::Ask(self.ask(now, frame).map_err(|violation| *violation)?));
        Ok(())
    }

    fn encode(&mut self, now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let frame = match line {
            Line::Reply(reply) => {
                let asked = reply
                    .echo
                    .get::<Asked>()
                    .ok_or(Loss { dialect: ID, what: "a reply to nothing asked here" })?;
                let frame = Frame::Text(json::write(&lower::reply(now, asked, reply)?));
                match &reply.outcome {
                    // A login has no token to identify by: it is the reply that does.
                    Ok(Answer::Granted(_)) => self.proven = reply.identity,
                    Ok(Answer::LoggedOut) => self.proven = None,
                    _ => {}
                }
                frame
            }
            Line::Notice(notice) => Frame::Text(json::write(&lower::push(notice, self.times)?)),
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
            EventKind::Posted(_) => {
                let own = notice
                    .origin
                    .as_ref()
                    .is_some_and(|origin| origin.connection == self.connection);
                let wanted = self.interest() != Interest::Nothing && !own;
                if wanted { Delivery::Shared(variant(self.times)) } else { Delivery::Skip }
            }
            EventKind::SessionsEnded { user, session } => {
                self.proven.take_if(|proven| {
                    proven.user == *user && (session.is_none() || *session == proven.session)
                });
                Delivery::Skip
            }
            EventKind::Edited(_)
            | EventKind::Deleted { .. }
            | EventKind::FlowCreated { .. }
            | EventKind::FlowDeleted { .. }
            | EventKind::MembersAdded { .. }
            | EventKind::MembersRemoved { .. }
            | EventKind::Typing { .. } => Delivery::Skip,
        }
    }
}

fn violation(
    kind: ViolationKind,
    now: Timestamp,
    mode: Option<String>,
    operation: Option<Operation>,
    times: Times,
    refusal: Refusal,
) -> Box<Violation> {
    let reply = lower::refusal(now, mode.map(Cow::Owned), operation, times, refusal);
    Box::new(Violation::answered(kind, Frame::Text(json::write(&reply))))
}

/// The client's end of a connection.
pub(crate) struct Client {
    settings: Settings,
    /// Asks that wait for their replies, the oldest first: the wire has no request ids.
    pending: VecDeque<Pending>,
    /// The token of a login that bound the connection: this wire knows no such thing, so the
    /// session signs for it.
    bound: Option<Secret>,
}

struct Pending {
    echo: Echo,
    operation: Operation,
    expected: Expected,
    /// Whether the ask is signed with the token that the connection is bound by.
    by_connection: bool,
}

impl Client {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        Self { settings: opening.settings, pending: VecDeque::new(), bound: None }
    }

    /// The oldest ask that a reply with this `mode` can be for. A refusal without one is for the
    /// oldest of all.
    fn asked(&mut self, mode: Option<&str>) -> Option<Pending> {
        let position = match mode {
            Some(mode) => {
                self.pending.iter().position(|pending| pending.operation.mode() == mode)?
            }
            None => 0,
        };
        self.pending.remove(position)
    }

    fn reply(&mut self, reply: wire::Reply<'_>) -> Result<Line, Nonsense> {
        let Pending { echo, operation, expected, by_connection } =
            self.asked(reply.mode.as_deref()).ok_or(Nonsense)?;
        let token = reply.token.iter().flatten().next().map(|token| Secret::new(&**token));
        let outcome = lift::outcome(operation, expected, reply)?;
        match (&outcome, expected) {
            (Ok(Answer::Granted(_)), Expected::Grant(GrantKind::Connection)) => self.bound = token,
            (Ok(Answer::LoggedOut), _) if by_connection => self.bound = None,
            _ => {}
        }
        Ok(Line::Reply(Reply { echo, identity: None, outcome }))
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
        let Frame::Text(text) = frame else {
            return Err(unanswered(ViolationKind::FrameKind));
        };
        let reply: wire::Reply<'_> =
            json::parse_object(text, self.settings.depth).map_err(|error| match error {
                JsonError::Syntax(_) => unanswered(ViolationKind::Syntax),
                JsonError::Shape(_) | JsonError::Depth(_) => unanswered(ViolationKind::Shape),
            })?;
        let nonsense = |Nonsense| unanswered(ViolationKind::Shape);
        match reply.chat_id {
            Some(chat) if reply.mode.as_deref() == Some(Operation::GetMessages.mode()) => {
                out.extend(
                    lift::push(chat, reply)
                        .map_err(nonsense)?
                        .into_iter()
                        .map(|notice| Line::Notice(Arc::new(notice))),
                );
            }
            _ => out.push(self.reply(reply).map_err(nonsense)?),
        }
        Ok(())
    }

    fn encode(&mut self, now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let ask = match line {
            Line::Ask(ask) => ask,
            Line::Reply(_) => return Err(Loss { dialect: ID, what: "a reply to a server" }),
            Line::Notice(_) => return Err(Loss { dialect: ID, what: "a notice to a server" }),
        };
        let request = lower::ask(ask)?;
        if self.pending.len() == PENDING {
            return Err(Loss {
                dialect: ID,
                what: "one more ask before earlier ones are answered",
            });
        }
        self.pending.push_back(Pending {
            echo: ask.echo.clone(),
            operation: request.operation,
            expected: request.expected,
            by_connection: ask.proof == Credentials::Connection,
        });
        out.push(Frame::Text(json::write(&request.frame(now, &ask.proof, self.bound.as_ref()))));
        Ok(())
    }
}
