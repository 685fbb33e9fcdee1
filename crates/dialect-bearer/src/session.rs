//! What one connection remembers: an HTTP exchange, the WebSocket of a room, the WebSocket of all
//! rooms.

use crate::faults::{self, Problem};
use crate::form::JSON_LIMIT;
use crate::lift::{self, Misunderstood, Pushed, Target, Unreadable, Utterance};
use crate::lower::{self, WEBSOCKET_PROTOCOL, loss};
use crate::routes::Operation;
use crate::wire::MessageKind;
use crate::{LAST_MESSAGE, MESSAGE, TYPING};
use http::StatusCode;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tolmach_dialect::{
    Ask, Close, Delivery, Echo, Frame, Interest, Line, Loss, Notice, Opening, Reply, Session,
    Violation, ViolationKind,
};
use tolmach_domain::{
    Answer, Command, ConnectionId, Content, Credentials, EventKind, Fault, FlowId, FlowKind,
    FlowKindFilter, HistoryRange, Identity, NewMessage, Secret, Timestamp, UserId, Version,
};

/// How many asks of a client may wait for their answers.
const PENDING: usize = 1024;

const POLICY: u16 = 1008;
const TOO_LARGE: u16 = 1009;

/// Starts the server's end.
pub(crate) fn serve(opening: &Opening<'_>) -> Result<Box<dyn Session>, Problem> {
    let request = opening.request.ok_or_else(Problem::no_request)?;
    let target = Target::read(&request.method, &request.uri, &request.headers, opening.websocket)?;
    let subprotocol = lift::subprotocols(&request.headers)
        .any(|offer| offer == WEBSOCKET_PROTOCOL)
        .then_some(WEBSOCKET_PROTOCOL);
    let depth = opening.settings.depth;
    Ok(match (target.route.operation, target.token.clone()) {
        (operation @ (Operation::ChatRoom | Operation::GroupRoom), token @ Some(_)) => {
            Box::new(Room {
                operation,
                flow: target.flow()?,
                kinds: kinds(operation),
                window: lift::window(&target),
                token,
                connection: opening.connection,
                depth,
                subprotocol,
                identity: None,
                entered: None,
            })
        }
        (Operation::Main, token @ Some(_)) => {
            Box::new(Main { token, depth, subprotocol, identity: None, listed: None })
        }
        _ => Box::new(Exchange { depth }),
    })
}

/// Starts the client's end.
pub(crate) fn call(opening: &Opening<'_>) -> Result<Box<dyn Session>, Problem> {
    let depth = opening.settings.depth;
    let exchange = ClientExchange { depth, pending: VecDeque::new() };
    if !opening.websocket {
        return Ok(Box::new(exchange));
    }
    let request = opening.request.ok_or_else(Problem::no_request)?;
    let target = Target::read(&request.method, &request.uri, &request.headers, true)?;
    let operation = target.route.operation;
    let room = match operation {
        Operation::Main => None,
        _ => Some(target.flow()?),
    };
    let window = lift::window(&target);
    Ok(Box::new(ClientSocket {
        operation,
        room,
        window,
        depth,
        greeted: false,
        history: None,
        sends: VecDeque::new(),
        typing: None,
    }))
}

/// The kinds of flow that a room's path means.
fn kinds(operation: Operation) -> FlowKindFilter {
    if operation == Operation::ChatRoom { FlowKindFilter::Chat } else { FlowKindFilter::Shared }
}

/// The server's end of HTTP: each request says all of it, so that nothing is remembered.
struct Exchange {
    depth: usize,
}

/// What a reply needs of its request.
struct Asked(Operation);

impl Exchange {
    fn ask(&self, frame: &Frame) -> Result<Ask, Problem> {
        let Frame::Request(request) = frame else { return Err(Problem::no_request()) };
        let target = Target::read(request.method(), request.uri(), request.headers(), false)?;
        let command = lift::command(&target, request.headers(), request.body(), self.depth)?;
        let echo = Echo::new(Asked(target.route.operation));
        Ok(Ask::new(echo, target.token.map_or(Credentials::Nothing, Credentials::Bearer), command))
    }
}

impl Session for Exchange {
    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        out.push(Line::Ask(self.ask(frame).map_err(|problem| problem.violation())?));
        Ok(())
    }

    fn encode(&mut self, _now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let reply = reply_of(line)?;
        let Asked(operation) =
            *reply.echo.get().ok_or_else(|| loss("a reply to nothing asked here"))?;
        let response = match &reply.outcome {
            Ok(answer) => {
                lower::response(operation, answer, reply.identity.map(|identity| identity.user))?
            }
            Err(fault) => faults::response(operation, fault),
        };
        out.push(Frame::response(response));
        Ok(())
    }
}

/// A line to a client that is a reply: notices have no place in an exchange.
fn reply_of(line: &Line) -> Result<&Reply, Loss> {
    match line {
        Line::Reply(reply) => Ok(reply),
        Line::Notice(notice) => Err(loss(notice.name())),
        Line::Ask(ask) => Err(loss(ask.command.name())),
    }
}

/// What an ask of a WebSocket was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// The opening itself.
    Opening,
    /// A frame.
    Frame,
}

fn heard(reply: &Reply) -> Result<Heard, Loss> {
    reply.echo.get().copied().ok_or_else(|| loss("a reply to nothing asked here"))
}

/// Whether a notice ends the session that the connection was opened with.
fn ends(
    identity: Option<Identity>,
    user: UserId,
    session: Option<tolmach_domain::SessionId>,
) -> bool {
    identity.is_some_and(|own| own.user == user && (session.is_none() || session == own.session))
}

/// The payload of a text frame that is not too large.
fn text(frame: &Frame) -> Result<&[u8], Misunderstood> {
    match frame {
        Frame::Text(text) if text.len() > JSON_LIMIT => Err(Misunderstood::TooLarge),
        Frame::Text(text) => Ok(text),
        Frame::Binary(_) | Frame::Value(_) | Frame::Request(_) | Frame::Response(_) => {
            Err(Misunderstood::FrameKind)
        }
    }
}

/// What a client says in a WebSocket.
fn utterance(frame: &Frame, depth: usize) -> Result<Utterance, Misunderstood> {
    lift::utterance(text(frame)?, depth)
}

fn violation(misunderstood: Misunderstood) -> Violation {
    const TYPES: &str = "the type of a frame is message, typing or stop_typing";
    let (kind, error) = match &misunderstood {
        Misunderstood::FrameKind => {
            (ViolationKind::FrameKind, "a text frame is expected".to_owned())
        }
        Misunderstood::TooLarge => {
            (ViolationKind::Shape, format!("a frame has at most {JSON_LIMIT} bytes"))
        }
        Misunderstood::Json(error) => (faults::violation_kind(error), error.to_string()),
        Misunderstood::Text => {
            (ViolationKind::Shape, "text: a string that is not empty is expected".to_owned())
        }
        Misunderstood::Type => (ViolationKind::Shape, TYPES.to_owned()),
        Misunderstood::UnknownType => (ViolationKind::UnknownMethod, TYPES.to_owned()),
    };
    let close = matches!(misunderstood, Misunderstood::TooLarge)
        .then_some(Close::new(TOO_LARGE, "the frame is too large"));
    Violation { close, ..Violation::answered(kind, faults::frame(&error)) }
}

/// The server's end of a room.
struct Room {
    operation: Operation,
    flow: FlowId,
    kinds: FlowKindFilter,
    window: HistoryRange,
    /// What the opening is proven with; not kept for longer.
    token: Option<Secret>,
    connection: ConnectionId,
    depth: usize,
    subprotocol: Option<&'static str>,
    identity: Option<Identity>,
    /// Up to which version the history told everything; `None` until it was sent.
    entered: Option<Version>,
}

impl Room {
    fn command(&self, utterance: Utterance) -> Command {
        match utterance {
            Utterance::Message(text) => Command::Send(Box::new(NewMessage {
                flow: self.flow,
                kinds: self.kinds,
                content: Content::text(text),
                key: None,
            })),
            Utterance::Typing(active) => Command::ShowTyping { flow: self.flow, active },
        }
    }
}

impl Session for Room {
    fn greet(&mut self, _now: Timestamp, out: &mut Vec<Line>) {
        let command = Command::History { flow: self.flow, kinds: self.kinds, window: self.window };
        let proof = self.token.take().map_or(Credentials::Nothing, Credentials::Bearer);
        out.push(Line::Ask(Ask::new(Echo::new(Heard::Opening), proof, command)));
    }

    fn identified(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        let utterance = utterance(frame, self.depth).map_err(violation)?;
        out.push(Line::Ask(Ask::new(
            Echo::new(Heard::Frame),
            Credentials::Connection,
            self.command(utterance),
        )));
        Ok(())
    }

    fn encode(&mut self, _now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let reply = match line {
            Line::Notice(notice) => {
                out.push(lower::notice_frame(notice, MessageKind::Message)?);
                return Ok(());
            }
            line => reply_of(line)?,
        };
        match (heard(reply)?, &reply.outcome) {
            (Heard::Opening, Ok(Answer::History(page))) => {
                self.identity = reply.identity.or(self.identity);
                self.entered = Some(page.version);
                out.push(lower::history_frame(page));
            }
            (Heard::Opening, Ok(_)) => return Err(loss(self.operation.name())),
            (Heard::Opening, Err(fault)) => {
                out.push(Frame::response(faults::response(self.operation, fault)))
            }
            // The message itself comes back to its author, as to everybody in the room.
            (Heard::Frame, Ok(_)) => {}
            (Heard::Frame, Err(fault)) => out.push(faults::frame(&faults::sentence(fault))),
        }
        Ok(())
    }

    fn interest(&self) -> Interest {
        if self.identity.is_some() { Interest::Flow(self.flow) } else { Interest::Nothing }
    }

    fn delivery(&mut self, notice: &Notice) -> Delivery {
        let Some(told) = self.entered else { return Delivery::Skip };
        let here = notice.flow() == Some(self.flow);
        match &notice.kind {
            EventKind::Posted(message) if here && message.version > told => {
                Delivery::Shared(MESSAGE)
            }
            EventKind::Typing { .. }
                if here
                    && notice
                        .origin
                        .as_ref()
                        .is_none_or(|origin| origin.connection != self.connection) =>
            {
                Delivery::Shared(TYPING)
            }
            EventKind::MembersRemoved { users, .. }
                if here && self.identity.is_some_and(|own| users.contains(&own.user)) =>
            {
                Delivery::Close(Close::new(POLICY, "removed from the group"))
            }
            EventKind::FlowDeleted { .. } if here => {
                Delivery::Close(Close::new(POLICY, "the group was deleted"))
            }
            EventKind::SessionsEnded { user, session } if ends(self.identity, *user, *session) => {
                Delivery::Close(Close::new(POLICY, "the session has ended"))
            }
            EventKind::Posted(_)
            | EventKind::Edited(_)
            | EventKind::Deleted { .. }
            | EventKind::FlowCreated { .. }
            | EventKind::FlowDeleted { .. }
            | EventKind::MembersAdded { .. }
            | EventKind::MembersRemoved { .. }
            | EventKind::Typing { .. }
            | EventKind::SessionsEnded { .. } => Delivery::Skip,
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        self.subprotocol
    }
}

/// The server's end of the WebSocket of all rooms.
struct Main {
    /// What the opening is proven with; not kept for longer.
    token: Option<Secret>,
    depth: usize,
    subprotocol: Option<&'static str>,
    identity: Option<Identity>,
    /// Up to which version each flow's last message was told; `None` until they were sent.
    listed: Option<HashMap<FlowId, Version>>,
}

impl Session for Main {
    fn greet(&mut self, _now: Timestamp, out: &mut Vec<Line>) {
        let command = Command::ListFlows { limit: None, offset: 0, members: false };
        let proof = self.token.take().map_or(Credentials::Nothing, Credentials::Bearer);
        out.push(Line::Ask(Ask::new(Echo::new(Heard::Opening), proof, command)));
    }

    fn identified(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        _out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        Err(match utterance(frame, self.depth) {
            Err(
                misunderstood @ (Misunderstood::FrameKind
                | Misunderstood::TooLarge
                | Misunderstood::Json(_)),
            ) => violation(misunderstood),
            Ok(_) | Err(Misunderstood::Text | Misunderstood::Type | Misunderstood::UnknownType) => {
                Violation::answered(
                    ViolationKind::UnknownMethod,
                    faults::frame("nothing is said here: enter a room"),
                )
            }
        })
    }

    fn encode(&mut self, _now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let reply = match line {
            Line::Notice(notice) => {
                out.push(lower::notice_frame(notice, MessageKind::LastMessage)?);
                return Ok(());
            }
            line => reply_of(line)?,
        };
        match &reply.outcome {
            Ok(Answer::Flows(flows)) => {
                self.identity = reply.identity.or(self.identity);
                self.listed = Some(
                    flows
                        .iter()
                        .map(|overview| (overview.flow.id, overview.flow.version))
                        .collect(),
                );
                // The newest activity comes last, as it does from then on.
                let last = flows.iter().rev().filter_map(|overview| overview.last.as_ref());
                out.extend(
                    last.map(|message| lower::message_frame(message, MessageKind::LastMessage)),
                );
                Ok(())
            }
            Ok(_) => Err(loss(Operation::Main.name())),
            Err(fault) => {
                out.push(Frame::response(faults::response(Operation::Main, fault)));
                Ok(())
            }
        }
    }

    fn interest(&self) -> Interest {
        self.identity.map_or(Interest::Nothing, |own| Interest::EveryFlowOf(own.user))
    }

    fn delivery(&mut self, notice: &Notice) -> Delivery {
        let Some(listed) = &self.listed else { return Delivery::Skip };
        match &notice.kind {
            EventKind::Posted(message)
                if listed.get(&message.flow).is_none_or(|told| message.version > *told) =>
            {
                Delivery::Shared(LAST_MESSAGE)
            }
            EventKind::SessionsEnded { user, session } if ends(self.identity, *user, *session) => {
                Delivery::Close(Close::new(POLICY, "the session has ended"))
            }
            EventKind::Posted(_)
            | EventKind::Edited(_)
            | EventKind::Deleted { .. }
            | EventKind::FlowCreated { .. }
            | EventKind::FlowDeleted { .. }
            | EventKind::MembersAdded { .. }
            | EventKind::MembersRemoved { .. }
            | EventKind::Typing { .. }
            | EventKind::SessionsEnded { .. } => Delivery::Skip,
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        self.subprotocol
    }
}

fn unanswered(kind: ViolationKind) -> Violation {
    Violation { kind, answer: None, close: None }
}

fn ask_of(line: &Line) -> Result<&Ask, Loss> {
    match line {
        Line::Ask(ask) => Ok(ask),
        Line::Reply(_) => Err(loss("a reply to a server")),
        Line::Notice(notice) => Err(loss(notice.name())),
    }
}

fn answered(echo: Echo, outcome: Result<Answer, Fault>) -> Line {
    Line::Reply(Reply { echo, identity: None, outcome })
}

/// The client's end of HTTP.
struct ClientExchange {
    depth: usize,
    /// Requests that wait for their responses, the oldest first.
    pending: VecDeque<Pending>,
}

struct Pending {
    echo: Echo,
    operation: Operation,
    command: Command,
}

impl Session for ClientExchange {
    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        let Frame::Response(response) = frame else {
            return Err(unanswered(ViolationKind::FrameKind));
        };
        let Some(Pending { echo, operation, command }) = self.pending.pop_front() else {
            return Err(unanswered(ViolationKind::Shape));
        };
        let outcome = if response.status() == StatusCode::OK {
            Ok(lift::answer(operation, &command, response, self.depth)
                .map_err(|Unreadable| unanswered(ViolationKind::Shape))?)
        } else {
            Err(faults::read(operation, response, self.depth))
        };
        out.push(answered(echo, outcome));
        Ok(())
    }

    fn encode(&mut self, _now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let ask = ask_of(line)?;
        let (operation, request) = lower::request(ask)?;
        if self.pending.len() == PENDING {
            return Err(loss("one more ask before earlier ones are answered"));
        }
        self.pending.push_back(Pending {
            echo: ask.echo.clone(),
            operation,
            command: ask.command.clone(),
        });
        out.push(Frame::request(request));
        Ok(())
    }
}

/// The client's end of a WebSocket.
///
/// This wire has no reply to what is said. A message that comes back with the words of one that was
/// sent is taken for its reply: errs towards taking another's same words for ours. An error is
/// taken for the oldest message without a reply, and where there is none for the latest typing.
struct ClientSocket {
    operation: Operation,
    /// `None` for all rooms.
    room: Option<FlowId>,
    window: HistoryRange,
    depth: usize,
    /// Whether the history has come.
    greeted: bool,
    history: Option<Echo>,
    /// Messages without a reply, the oldest first.
    sends: VecDeque<(Echo, String)>,
    typing: Option<Echo>,
}

impl ClientSocket {
    fn ask(&mut self, ask: &Ask) -> Result<Option<Frame>, Loss> {
        let lost = || loss(ask.command.name());
        let flow = self.room.ok_or_else(lost)?;
        let kinds = kinds(self.operation);
        match &ask.command {
            Command::History { flow: asked, kinds: meant, window } => {
                let here = *asked == flow
                    && (*meant == kinds || *meant == FlowKindFilter::Any)
                    && *window == self.window;
                // The history comes once: whoever wants another opens another connection.
                if !here || self.greeted || self.history.is_some() {
                    return Err(lost());
                }
                self.history = Some(ask.echo.clone());
                Ok(None)
            }
            command => {
                let frame = lower::said(ask, flow, kinds)?;
                if let Command::Send(draft) = command {
                    if self.sends.len() == PENDING {
                        return Err(loss("one more message before earlier ones came back"));
                    }
                    self.sends.push_back((ask.echo.clone(), draft.content.text.clone()));
                } else {
                    self.typing = Some(ask.echo.clone());
                }
                Ok(Some(frame))
            }
        }
    }

    /// The echo of the message that came back with these words. Those sent before it have been
    /// answered too.
    fn sent(&mut self, words: &str) -> Option<Echo> {
        let position = self.sends.iter().position(|(_, sent)| sent == words)?;
        self.sends.drain(..=position).next_back().map(|(echo, _)| echo)
    }

    /// The echo of what an error frame is about.
    fn refused(&mut self) -> Echo {
        self.sends
            .pop_front()
            .map(|(echo, _)| echo)
            .or_else(|| self.typing.take())
            .unwrap_or_default()
    }
}

impl Session for ClientSocket {
    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        let text = match frame {
            Frame::Text(text) => text,
            // The handshake was refused.
            Frame::Response(response) => {
                let echo = self.history.take().unwrap_or_else(|| self.refused());
                out.push(answered(echo, Err(faults::read(self.operation, response, self.depth))));
                return Ok(());
            }
            Frame::Binary(_) | Frame::Value(_) | Frame::Request(_) => {
                return Err(unanswered(ViolationKind::FrameKind));
            }
        };
        let kind =
            if self.operation == Operation::ChatRoom { FlowKind::Chat } else { FlowKind::Group };
        let room = self.room.map(|flow| (flow, kind));
        match lift::pushed(text, now, room, self.depth)
            .map_err(|Unreadable| unanswered(ViolationKind::Shape))?
        {
            Pushed::History(page) => {
                self.greeted = true;
                out.extend(
                    self.history.take().map(|echo| answered(echo, Ok(Answer::History(page)))),
                );
            }
            Pushed::Event(event) => {
                if let EventKind::Posted(message) = &event.kind
                    && let Some(echo) = self.sent(&message.content.text)
                {
                    let sent =
                        Answer::Sent { message: Some(Box::new(message.clone())), repeated: false };
                    out.push(answered(echo, Ok(sent)));
                }
                out.push(Line::Notice(Arc::from(event)));
            }
            Pushed::Error(error) => {
                let echo = self.refused();
                out.push(answered(echo, Err(faults::read_frame(self.operation, &error))));
            }
        }
        Ok(())
    }

    fn encode(&mut self, _now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        out.extend(self.ask(ask_of(line)?)?);
        Ok(())
    }
}
