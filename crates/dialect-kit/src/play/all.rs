//! Plays the stories through both sides of a dialect, without any I/O, and notes every frame.

use crate::kit::Property;
use crate::stories::{Exchange, Step, Story, stories};
use crate::world::{self, Speaker, Voice, moment};
use http::request::Parts;
use std::collections::BTreeMap;
use std::sync::Arc;
use tolmach_dialect::{
    Ask, Close, Delivery, Dialect, Echo, Frame, Interest, Line, Loss, Notice, Opening, Refusal,
    Reply, Session, Settings, Side, Variant, Violation,
};
use tolmach_domain::{
    Answer, Command, ConnectionId, Credentials, EventKind, Fault, GrantKind, Origin, Timestamp,
};

/// Something that went over the wire.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// A client asked for a WebSocket with this request.
    Opened(Box<Parts>),
    /// A client's frame.
    Client(Frame),
    /// A server's frame.
    Server(Frame),
    /// The server closed the connection.
    Closed(Close),
    /// What the frames after it belong to.
    Remark(String),
}

impl Entry {
    /// Whether a client said it.
    pub(crate) fn is_client(&self) -> bool {
        matches!(self, Entry::Opened(_) | Entry::Client(_))
    }

    /// Whether it is a server's frame.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self, Entry::Server(_))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Entry::Opened(a), Entry::Opened(b)) => same_request(a, b),
            (Entry::Client(a), Entry::Client(b)) | (Entry::Server(a), Entry::Server(b)) => a == b,
            (Entry::Closed(a), Entry::Closed(b)) => a == b,
            (Entry::Remark(a), Entry::Remark(b)) => a == b,
            _ => false,
        }
    }
}

/// Whether two requests ask for the same connection.
pub(crate) fn same_request(a: &Parts, b: &Parts) -> bool {
    a.method == b.method && a.uri == b.uri && a.headers == b.headers
}

/// Why something could not be played.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The dialect does not say it.
    Loss(Loss),
    /// The dialect breaks a rule of the boundary.
    Defect(Defect),
}

impl From<Loss> for Trouble {
    fn from(loss: Loss) -> Self {
        Trouble::Loss(loss)
    }
}

impl From<Defect> for Trouble {
    fn from(defect: Defect) -> Self {
        Trouble::Defect(defect)
    }
}

/// A broken rule.
#[derive(Debug, Clone)]
pub(crate) struct Defect {
    /// Which property shows it.
    pub(crate) property: Property,
    /// What was expected and what was found.
    pub(crate) message: String,
}

impl Defect {
    /// A defect of the way from a line to its frames and back.
    pub(crate) fn wire(message: impl Into<String>) -> Self {
        Self { property: Property::RoundTrip, message: message.into() }
    }

    fn notice(message: impl Into<String>) -> Self {
        Self { property: Property::Notices, message: message.into() }
    }
}

/// One connection between the two sides.
pub(crate) struct Connection {
    /// Whose.
    pub(crate) speaker: &'static Speaker,
    /// As the server numbers it.
    pub(crate) id: ConnectionId,
    /// The request that opened it.
    pub(crate) request: Parts,
    websocket: bool,
    closed: bool,
    client: Box<dyn Session>,
    server: Box<dyn Session>,
}

/// Both sides of a connection just before the server hears a frame.
pub(crate) struct Staged {
    /// Who asks.
    pub(crate) speaker: &'static Speaker,
    /// What opened the connection.
    pub(crate) request: Parts,
    /// Whether it is a WebSocket.
    pub(crate) websocket: bool,
    /// Has encoded the ask.
    pub(crate) client: Box<dyn Session>,
    /// Has heard everything before it.
    pub(crate) server: Box<dyn Session>,
    /// The frame that carries the ask.
    pub(crate) frame: Option<Frame>,
}

/// What came of an ask.
#[derive(Debug)]
pub(crate) struct Said {
    /// The number of the connection.
    pub(crate) connection: ConnectionId,
    /// The ask as the server understood it.
    pub(crate) ask: Ask,
    /// Lines that the client heard.
    pub(crate) lines: Vec<Line>,
}

/// Lines that one connection's client heard of a notice.
pub(crate) struct Heard {
    /// Whose connection.
    pub(crate) speaker: &'static Speaker,
    /// Which.
    pub(crate) lines: Vec<Line>,
}

/// Marks an ask, so that its reply is known by the echo that is handed back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marker(pub(crate) u64);

/// All connections of one dialect in one story.
pub(crate) struct Cast<'d> {
    dialect: &'d dyn Dialect,
    connections: Vec<Connection>,
    opened: u64,
    /// What went over the wire.
    pub(crate) entries: Vec<Entry>,
}

/// Opens a session, unless the dialect refuses.
pub(crate) fn open(
    dialect: &dyn Dialect,
    request: &Parts,
    first: Option<&Frame>,
    side: Side,
    connection: ConnectionId,
) -> Result<Box<dyn Session>, Box<Refusal>> {
    let websocket = asks_for_websocket(request);
    let opening = Opening {
        request: Some(request),
        first,
        connection,
        websocket,
        settings: Settings::default(),
    };
    dialect.open(&opening, side).map_err(Box::new)
}

/// Whether a request asks for a WebSocket.
pub(crate) fn asks_for_websocket(request: &Parts) -> bool {
    request
        .headers
        .get(http::header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// What a server answers asks with: `None` where the answer does not come as a reply.
pub(crate) type Respond<'r> =
    &'r mut dyn FnMut(&Ask, ConnectionId) -> Result<Option<Reply>, Trouble>;

impl<'d> Cast<'d> {
    /// Nobody is connected yet.
    pub(crate) fn new(dialect: &'d dyn Dialect) -> Self {
        Self { dialect, connections: Vec::new(), opened: 0, entries: Vec::new() }
    }

    /// Says an ask: dials where no connection serves, plays its frames, has the ask answered by
    /// `respond` and any other ask that its wire puts before it (a greeting, joining a room) by the
    /// world.
    pub(crate) fn say(
        &mut self,
        now: Timestamp,
        speaker: &'static Speaker,
        ask: &Ask,
        respond: Respond<'_>,
    ) -> Result<Said, Trouble> {
        let (index, frames, greetings) = self.connect(now, speaker, ask)?;
        let outcome = self.exchange(now, index, ask, frames, greetings, respond);
        self.connections.retain(|connection| connection.websocket && !connection.closed);
        outcome
    }

    /// Goes as far as the frame that carries `ask`, which the client has encoded and the server has
    /// not heard yet. `None` where the opening itself carries it.
    pub(crate) fn stage(
        mut self,
        now: Timestamp,
        speaker: &'static Speaker,
        ask: &Ask,
    ) -> Result<Staged, Trouble> {
        let (index, mut frames, greetings) = self.connect(now, speaker, ask)?;
        let mut lines = Vec::new();
        let last = frames.pop();
        for greeting in greetings {
            self.answer(now, index, &only_ask(greeting)?, false, &mut lines, &mut |_, _| Ok(None))?;
        }
        for frame in frames {
            let mut asks = Vec::new();
            self.connections[index]
                .server
                .decode(now, &frame, &mut asks)
                .map_err(|violation| Defect::wire(describe(&violation)))?;
            for line in asks {
                self.answer(now, index, &only_ask(line)?, false, &mut lines, &mut |_, _| Ok(None))?;
            }
        }
        let Connection { request, websocket, client, server, .. } =
            self.connections.swap_remove(index);
        Ok(Staged { speaker, request, websocket, client, server, frame: last })
    }

    /// The connection that serves `ask`, the frames that say it, and the greetings of a connection
    /// that is new.
    fn connect(
        &mut self,
        now: Timestamp,
        speaker: &'static Speaker,
        ask: &Ask,
    ) -> Result<(usize, Vec<Frame>, Vec<Line>), Trouble> {
        let request = self.dialect.dial(ask)?;
        let websocket = asks_for_websocket(&request);
        let line = Line::Ask(ask.clone());
        let existing = self.connections.iter().position(|connection| {
            connection.websocket
                && connection.speaker == speaker
                && same_request(&connection.request, &request)
        });
        if let Some(index) = existing {
            let frames = encode(self.connections[index].client.as_mut(), now, &line)?;
            if !frames.is_empty() {
                return Ok((index, frames, Vec::new()));
            }
            // What the opening itself asks is asked again by opening again.
            self.connections.remove(index);
        }
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let name = ask.command.name();
        let refused = |side: &str, refusal: &Refusal| {
            Defect::wire(format!(
                "the {side} side refuses the connection that is dialled for {name}: {}",
                refusal.response.status()
            ))
        };
        let mut client = open(self.dialect, &request, None, Side::Client, id)
            .map_err(|refusal| refused("client", &refusal))?;
        let frames = encode(client.as_mut(), now, &line)?;
        let request = match (&frames[..], websocket) {
            (_, true) => request,
            ([Frame::Request(frame)], false) => parts_of(frame),
            (other, false) => {
                let count = other.len();
                return Err(Defect::wire(format!(
                    "{name} dials plain HTTP and encodes {count} frames, not one request"
                ))
                .into());
            }
        };
        let mut server = open(self.dialect, &request, None, Side::Server, id)
            .map_err(|refusal| refused("server", &refusal))?;
        if websocket {
            self.entries.push(Entry::Opened(Box::new(request.clone())));
        }
        let mut greetings = Vec::new();
        server.greet(now, &mut greetings);
        self.connections.push(Connection {
            speaker,
            id,
            request,
            websocket,
            closed: false,
            client,
            server,
        });
        Ok((self.connections.len() - 1, frames, greetings))
    }

    fn exchange(
        &mut self,
        now: Timestamp,
        index: usize,
        ask: &Ask,
        frames: Vec<Frame>,
        greetings: Vec<Line>,
        respond: Respond<'_>,
    ) -> Result<Said, Trouble> {
        let in_opening = frames.is_empty();
        let mut understood = None;
        let mut lines = Vec::new();
        for greeting in greetings {
            let greeting = only_ask(greeting)?;
            let counts =
                in_opening && understood.is_none() && self.is_opening_of(&greeting, index, ask)?;
            self.answer(now, index, &greeting, counts, &mut lines, respond)?;
            if counts {
                understood = Some(greeting);
            }
        }
        for frame in frames {
            self.entries.push(Entry::Client(frame.clone()));
            let mut asks = Vec::new();
            self.connections[index].server.decode(now, &frame, &mut asks).map_err(|violation| {
                Defect::wire(format!(
                    "the server side does not understand the client's {}: {}",
                    ask.command.name(),
                    describe(&violation)
                ))
            })?;
            for line in asks {
                let heard = only_ask(line)?;
                let counts = understood.is_none() && heard.command.name() == ask.command.name();
                self.answer(now, index, &heard, counts, &mut lines, respond)?;
                if counts {
                    understood = Some(heard);
                }
            }
        }
        let understood = understood.ok_or_else(|| {
            Defect::wire(format!(
                "the client says {}, and the server side hears no such ask",
                ask.command.name()
            ))
        })?;
        if understood.authority != ask.authority {
            return Err(Defect::wire(format!(
                "{} is asked as {:?} and understood as {:?}: a wire without that right is a loss",
                ask.command.name(),
                ask.authority,
                understood.authority
            ))
            .into());
        }
        Ok(Said { connection: self.connections[index].id, ask: understood, lines })
    }

    /// Whether a greeting is the ask itself: of the same name, and what is dialled for the one is
    /// dialled for the other.
    fn is_opening_of(&self, greeting: &Ask, index: usize, ask: &Ask) -> Result<bool, Trouble> {
        if greeting.command.name() != ask.command.name() {
            return Ok(false);
        }
        let proof = match &greeting.proof {
            Credentials::Connection => ask.proof.clone(),
            proven => proven.clone(),
        };
        let dialled = self.dialect.dial(&Ask { proof, ..greeting.clone() })?;
        if !same_request(&dialled, &self.connections[index].request) {
            return Err(Defect::wire(format!(
                "the greeting of {} dials {} where the ask that it stands for dials {}",
                ask.command.name(),
                dialled.uri,
                self.connections[index].request.uri
            ))
            .into());
        }
        Ok(true)
    }

    fn answer(
        &mut self,
        now: Timestamp,
        index: usize,
        ask: &Ask,
        counts: bool,
        lines: &mut Vec<Line>,
        respond: Respond<'_>,
    ) -> Result<(), Trouble> {
        let connection = &self.connections[index];
        let reply = if counts {
            respond(ask, connection.id)?
        } else {
            let answer = world::answer(connection.speaker, &ask.command);
            Some(Reply {
                echo: ask.echo.clone(),
                identity: Some(connection.speaker.identity()),
                outcome: Ok(answer),
            })
        };
        match reply {
            Some(reply) => self.reply(now, index, reply, lines),
            None => Ok(()),
        }
    }

    fn reply(
        &mut self,
        now: Timestamp,
        index: usize,
        reply: Reply,
        lines: &mut Vec<Line>,
    ) -> Result<(), Trouble> {
        let refused = reply.outcome.as_ref().err().map(Fault::name);
        let connection = &mut self.connections[index];
        let frames = match (encode(connection.server.as_mut(), now, &Line::Reply(reply)), refused) {
            (Err(Trouble::Loss(_)), Some(fault)) => {
                return Err(Defect::wire(format!(
                    "the server side cannot say the fault {fault}: every fault has a wire form"
                ))
                .into());
            }
            (outcome, _) => outcome?,
        };
        if let (Some(fault), []) = (refused, &frames[..]) {
            return Err(Defect::wire(format!(
                "an ask that is refused with {fault} is answered with no frame"
            ))
            .into());
        }
        if !connection.websocket && !matches!(frames[..], [Frame::Response(_)]) {
            return Err(Defect::wire(format!(
                "an HTTP request is answered with {} frames and not with one response",
                frames.len()
            ))
            .into());
        }
        for frame in frames {
            if connection.websocket && matches!(frame, Frame::Response(_)) {
                connection.closed = true;
            }
            self.entries.push(Entry::Server(frame.clone()));
            hear(connection.client.as_mut(), now, &frame, lines)?;
        }
        Ok(())
    }

    /// Answers an ask of an open connection, some time after it was asked.
    pub(crate) fn reply_later(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        reply: Reply,
    ) -> Result<Vec<Line>, Trouble> {
        let mut lines = Vec::new();
        if let Some(index) = self.connections.iter().position(|open| open.id == connection) {
            self.reply(now, index, reply, &mut lines)?;
            self.connections.retain(|connection| !connection.closed);
        }
        Ok(lines)
    }

    /// Tells what happened to every connection that is interested, or to those of one speaker.
    pub(crate) fn tell(
        &mut self,
        now: Timestamp,
        notice: &Arc<Notice>,
        only: Option<&Speaker>,
    ) -> Result<Vec<Heard>, Trouble> {
        let mut all = Vec::new();
        for connection in &mut self.connections {
            if only.is_some_and(|speaker| speaker != connection.speaker)
                || !interested(connection, notice)
            {
                continue;
            }
            let frames = match connection.server.delivery(notice) {
                Delivery::Skip => continue,
                Delivery::Close(close) => {
                    self.entries.push(Entry::Remark(format!(
                        "{} hears {}",
                        connection.speaker.login,
                        notice.name()
                    )));
                    self.entries.push(Entry::Closed(close));
                    connection.closed = true;
                    continue;
                }
                Delivery::Private => {
                    match encode(connection.server.as_mut(), now, &Line::Notice(notice.clone())) {
                        Err(Trouble::Loss(_)) => continue,
                        outcome => outcome?,
                    }
                }
                Delivery::Shared(variant) => {
                    let name = notice.name();
                    let rendered = self.dialect.render(notice, variant).map_err(|loss| {
                        Defect::notice(format!("{name} is to be delivered as {variant:?}, but render refuses it: {loss}"))
                    })?;
                    if self.dialect.render(notice, variant).ok().as_ref() != Some(&rendered) {
                        return Err(Defect::notice(format!(
                            "rendering {name} as {variant:?} twice gives two different frames"
                        ))
                        .into());
                    }
                    let private =
                        encode(connection.server.as_mut(), now, &Line::Notice(notice.clone()));
                    match private {
                        Ok(frames) if frames == [rendered.clone()] => frames,
                        Ok(frames) => {
                            return Err(Defect::notice(format!(
                                "{name} rendered as {variant:?} is {}, encoded for the connection alone it is {frames:?}",
                                crate::transcript::inline(&rendered)
                            ))
                            .into());
                        }
                        Err(Trouble::Loss(loss)) => {
                            return Err(Defect::notice(format!(
                                "{name} is rendered as {variant:?}, but encode says: {loss}"
                            ))
                            .into());
                        }
                        Err(trouble) => return Err(trouble),
                    }
                }
            };
            if frames.is_empty() {
                continue;
            }
            self.entries.push(Entry::Remark(format!(
                "{} hears {}",
                connection.speaker.login,
                notice.name()
            )));
            let mut lines = Vec::new();
            for frame in frames {
                self.entries.push(Entry::Server(frame.clone()));
                hear(connection.client.as_mut(), now, &frame, &mut lines)?;
            }
            all.push(Heard { speaker: connection.speaker, lines });
        }
        self.connections.retain(|connection| !connection.closed);
        Ok(all)
    }
}

impl Cast<'_> {
    /// A connection that hears a notice by a shared frame.
    pub(crate) fn listener(mut self, notice: &Notice) -> Option<Listener> {
        let shared = |connection: &mut Connection| match interested(connection, notice)
            .then(|| connection.server.delivery(notice))
        {
            Some(Delivery::Shared(variant)) => Some(variant),
            _ => None,
        };
        let (index, variant) = self
            .connections
            .iter_mut()
            .enumerate()
            .find_map(|(index, connection)| Some((index, shared(connection)?)))?;
        let Connection { client, server, .. } = self.connections.swap_remove(index);
        Some(Listener { client, server, variant })
    }
}

/// Both ends of a connection that hears a notice by a shared frame, and in which variant.
pub(crate) struct Listener {
    pub(crate) client: Box<dyn Session>,
    pub(crate) server: Box<dyn Session>,
    pub(crate) variant: Variant,
}

/// The head of a request frame.
pub(crate) fn parts_of(request: &http::Request<bytes::Bytes>) -> Parts {
    request.clone().into_parts().0
}

/// Encodes a line; on a loss, checks that nothing was put out.
pub(crate) fn encode(
    session: &mut dyn Session,
    now: Timestamp,
    line: &Line,
) -> Result<Vec<Frame>, Trouble> {
    // A frame that is already there shows whether a loss leaves `out` as it was.
    let sentinel = Frame::text("sentinel");
    let mut frames = vec![sentinel.clone()];
    match session.encode(now, line, &mut frames) {
        Ok(()) if frames.first() == Some(&sentinel) => {
            frames.remove(0);
            Ok(frames)
        }
        Ok(()) => Err(Defect::wire("encoding overwrites frames that were already put out").into()),
        Err(_) if frames != [sentinel] => {
            Err(Defect::wire("a loss does not leave the frames as they were").into())
        }
        Err(loss) => Err(loss.into()),
    }
}

fn hear(
    client: &mut dyn Session,
    now: Timestamp,
    frame: &Frame,
    lines: &mut Vec<Line>,
) -> Result<(), Trouble> {
    let before = lines.len();
    client.decode(now, frame, lines).map_err(|violation| {
        Defect::wire(format!(
            "the client side does not understand the server's {}: {}",
            crate::transcript::inline(frame),
            describe(&violation)
        ))
    })?;
    if lines[before..].iter().any(|line| matches!(line, Line::Ask(_))) {
        return Err(Defect::wire("the client side hears an ask, which only a server does").into());
    }
    Ok(())
}

fn only_ask(line: Line) -> Result<Ask, Trouble> {
    match line {
        Line::Ask(ask) => Ok(ask),
        Line::Reply(_) | Line::Notice(_) => {
            Err(Defect::wire("the server side hears a reply or a notice, which only a client does")
                .into())
        }
    }
}

/// A violation in words.
pub(crate) fn describe(violation: &Violation) -> String {
    let answer = violation.answer.as_ref().map(crate::transcript::inline).unwrap_or_default();
    format!("{} violation, answered {answer}", violation.kind.name())
}

fn interested(connection: &Connection, notice: &Notice) -> bool {
    match (connection.server.interest(), &notice.kind) {
        (Interest::Nothing, _) => false,
        (_, EventKind::SessionsEnded { user, .. }) => connection.speaker.user() == *user,
        (Interest::Flow(flow), _) => notice.flow() == Some(flow),
        // Every speaker is in every flow of this world.
        (Interest::EveryFlowOf(user), _) => connection.speaker.user() == user,
    }
}

/// How one exchange, or one happening, went over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Take {
    /// The story.
    pub(crate) story: &'static str,
    /// The place of its step in the story.
    pub(crate) index: usize,
    /// What the transcript calls it.
    pub(crate) title: String,
    /// The operation of the ask, the name of the event.
    pub(crate) operation: &'static str,
    /// The fault that it was refused with.
    pub(crate) fault: Option<&'static str>,
    /// Whether it is what somebody heard of an event.
    pub(crate) notice: bool,
    /// Who asks.
    pub(crate) speaker: Option<&'static Speaker>,
    /// The ask that was said.
    pub(crate) ask: Option<Ask>,
    /// What went over the wire.
    pub(crate) entries: Vec<Entry>,
    /// Set when this dialect does not say it.
    pub(crate) lost: Option<Loss>,
    /// Whether every line arrived exactly as it was said.
    pub(crate) exact: bool,
}

/// All stories, as one dialect tells them.
pub(crate) struct Recording {
    /// In the order of the stories: of each exchange its ask with the reply, then its event.
    pub(crate) takes: Vec<Take>,
    /// Rules that were broken on the way.
    pub(crate) defects: Vec<Defect>,
    /// How the dialect proves who asks.
    pub(crate) voice: Voice,
}

/// Which parts of a story to leave out: the place of the step, whether its event is meant, and why
/// if it is no defect.
type LeftOut = BTreeMap<(usize, bool), Option<Loss>>;

/// Plays all stories through the two sides of one dialect.
pub(crate) fn record(dialect: &dyn Dialect) -> Recording {
    let voice = find_voice(dialect);
    let mut recording = Recording { takes: Vec::new(), defects: Vec::new(), voice };
    for story in stories() {
        let (takes, defects) = record_story(dialect, voice, &story);
        recording.takes.extend(takes);
        recording.defects.extend(defects);
    }
    recording
}

/// A step that turns out not to be sayable has left its connection waiting for a reply that does
/// not come, so the story begins again without it.
fn record_story(dialect: &dyn Dialect, voice: Voice, story: &Story) -> (Vec<Take>, Vec<Defect>) {
    let mut left_out = LeftOut::new();
    let mut defects: Vec<Defect> = Vec::new();
    loop {
        // What has failed once is not played again, so this ends.
        match attempt(dialect, voice, story, &left_out) {
            Ok(takes) => return (takes, defects),
            Err((part, Trouble::Loss(loss))) => {
                left_out.insert(part, Some(loss));
            }
            Err((part, Trouble::Defect(defect))) => {
                left_out.insert(part, None);
                defects.push(Defect {
                    message: format!("{}: {}", title_of(story, part.0), defect.message),
                    ..defect
                });
            }
        }
    }
}

fn title_of(story: &Story, index: usize) -> String {
    let title = match &story.steps[index] {
        Step::Exchange(exchange) => exchange.title(),
        Step::Happening(event) => event_name(event).to_owned(),
    };
    format!("story {}, {title}", story.name)
}

fn attempt(
    dialect: &dyn Dialect,
    voice: Voice,
    story: &Story,
    left_out: &LeftOut,
) -> Result<Vec<Take>, ((usize, bool), Trouble)> {
    let mut cast = Cast::new(dialect);
    let mut takes = Vec::new();
    for (index, step) in story.steps.iter().enumerate() {
        let now = crate::translation::step_moment(index);
        let fail = |trouble| ((index, false), trouble);
        let mut origin = None;
        let event = match step {
            Step::Happening(event) => Some(event.as_ref()),
            Step::Exchange(exchange) => {
                let ask = ask_of(exchange, voice, Echo::new(Marker(now.micros().unsigned_abs())));
                let mut take = Take {
                    story: story.name,
                    index,
                    title: exchange.title(),
                    operation: exchange.operation(),
                    fault: exchange.outcome.as_ref().err().map(Fault::name),
                    notice: false,
                    speaker: Some(exchange.speaker),
                    ask: Some(ask.clone()),
                    entries: Vec::new(),
                    lost: left_out.get(&(index, false)).cloned().flatten(),
                    exact: false,
                };
                if !left_out.contains_key(&(index, false)) {
                    let said = cast
                        .say(now, exchange.speaker, &ask, &mut |heard, _| {
                            Ok(Some(reply_to(exchange, heard)))
                        })
                        .map_err(fail)?;
                    take.exact = check_exchange(exchange, &ask, &said)
                        .map_err(|defect| fail(defect.into()))?;
                    take.entries = std::mem::take(&mut cast.entries);
                    origin = Some(Origin {
                        connection: said.connection,
                        dialect: dialect.manifest().id,
                        tag: said.ask.tag.clone(),
                    });
                    takes.push(take);
                } else if take.lost.is_some() {
                    takes.push(take);
                }
                exchange.event.as_ref()
            }
        };
        if let Some(kind) = event.filter(|_| !left_out.contains_key(&(index, true))) {
            let notice = Arc::new(Event {
                occurred_at: now,
                committed_at: None,
                origin,
                kind: kind.clone(),
            });
            let heard =
                cast.tell(now, &notice, None).map_err(|trouble| ((index, true), trouble))?;
            let entries = std::mem::take(&mut cast.entries);
            let exact = heard.iter().all(|heard| {
                heard
                    .lines
                    .iter()
                    .any(|line| matches!(line, Line::Notice(notice) if notice.kind == *kind))
            });
            takes.push(Take {
                story: story.name,
                index,
                title: format!("everybody: {}", notice.name()),
                operation: notice.name(),
                fault: None,
                notice: true,
                speaker: None,
                ask: None,
                lost: entries
                    .is_empty()
                    .then(|| Loss { dialect: dialect.manifest().id, what: notice.name() }),
                entries,
                exact,
            });
        }
    }
    Ok(takes)
}

fn event_name(kind: &EventKind) -> &'static str {
    Event::new(moment(0), kind.clone()).name()
}

/// The ask of an exchange, proven in this voice.
pub(crate) fn ask_of(exchange: &Exchange, voice: Voice, echo: Echo) -> Ask {
    let proof = if exchange.proven { voice.proof(exchange.speaker) } else { Credentials::Nothing };
    Ask { echo, proof, authority: exchange.authority, tag: None, command: exchange.command.clone() }
}

/// The reply of an exchange to the ask as the server heard it.
pub(crate) fn reply_to(exchange: &Exchange, heard: &Ask) -> Reply {
    let mut outcome = exchange.outcome.clone();
    if let Ok(answer) = &mut outcome {
        fit_grant(exchange.speaker, &heard.command, answer);
    }
    let logs_in = !matches!(&heard.command, Command::Register(registration) if registration.grant == GrantKind::Nothing);
    Reply { echo: heard.echo.clone(), identity: identity_of(exchange).filter(|_| logs_in), outcome }
}

/// Who a server has recognised when it answers an exchange.
pub(crate) fn identity_of(exchange: &Exchange) -> Option<tolmach_domain::Identity> {
    let nobody = match &exchange.outcome {
        Ok(answer) => {
            matches!(
                answer,
                Answer::LoggedOut
                    | Answer::AccountDeleted { .. }
                    | Answer::RecoveryAccepted
                    | Answer::PasswordReset
            )
        }
        Err(fault) => !exchange.proven || *fault == Fault::Unauthenticated,
    };
    (!nobody).then(|| exchange.speaker.identity())
}

/// Hands out tokens in the form that the ask wants them in, as an engine (or a proxy that keeps its
/// own tokens) does.
pub(crate) fn fit_grant(speaker: &Speaker, command: &Command, answer: &mut Answer) {
    let kind = match command {
        Command::Register(registration) => registration.grant,
        Command::Login { grant, .. } => *grant,
        Command::Refresh { .. } => GrantKind::Pair,
        _ => return,
    };
    if let Answer::Granted(grant) = answer {
        grant.tokens = speaker.grant(kind).tokens;
    }
}

/// Checks what arrived against what was said; whether all of it arrived exactly.
fn check_exchange(exchange: &Exchange, ask: &Ask, said: &Said) -> Result<bool, Defect> {
    if !proves(&said.ask.proof, ask) {
        return Err(Defect::wire(format!(
            "the ask was proven by {:?} and is understood as proven by {:?}",
            ask.proof, said.ask.proof
        )));
    }
    let replies: Vec<&Reply> = said
        .lines
        .iter()
        .filter_map(|line| match line {
            Line::Reply(reply) => Some(reply),
            Line::Ask(_) | Line::Notice(_) => None,
        })
        .collect();
    let Some(reply) =
        replies.iter().find(|reply| reply.echo.get::<Marker>() == ask.echo.get::<Marker>())
    else {
        return match (&exchange.outcome, replies.is_empty()) {
            (Err(fault), true) => Err(Defect::wire(format!(
                "the client side does not hear the refusal {}",
                fault.name()
            ))),
            (_, false) => Err(Defect::wire(
                "the client side hears a reply, but does not hand back the echo of the ask",
            )),
            // This wire leaves it unsaid, or says it in the notice.
            (Ok(_), true) => Ok(false),
        };
    };
    let mut expected = exchange.outcome.clone();
    if let Ok(answer) = &mut expected {
        fit_grant(exchange.speaker, &said.ask.command, answer);
    }
    match (&reply.outcome, &expected) {
        (Ok(_), Err(fault)) => {
            Err(Defect::wire(format!("the refusal {} is heard as granted", fault.name())))
        }
        (Err(fault), Ok(_)) => {
            Err(Defect::wire(format!("what was granted is heard as refused with {}", fault.name())))
        }
        (heard, expected) => Ok(said.ask.command == ask.command && *heard == *expected),
    }
}

/// Whether what was understood is what this wire carries of the proof that was given.
fn proves(understood: &Credentials, ask: &Ask) -> bool {
    let secret = |proof: &Credentials| match proof {
        Credentials::Nothing | Credentials::Connection => None,
        Credentials::Token(secret)
        | Credentials::TokenOf(_, secret)
        | Credentials::Bearer(secret) => Some(secret.clone()),
    };
    match (understood, &ask.proof) {
        (Credentials::Connection, _) => true,
        (Credentials::Nothing, said) => *said == Credentials::Nothing,
        (Credentials::TokenOf(heard, _), Credentials::TokenOf(said, _)) if heard != said => false,
        (heard, said) => secret(heard) == secret(said),
    }
}

/// How this dialect proves who asks: the voice whose proof arrives unchanged, or else one that
/// arrives at all, or else one that can be said, so that what happens to it is seen.
fn find_voice(dialect: &dyn Dialect) -> Voice {
    let steps: Vec<Step> = stories().into_iter().flat_map(|story| story.steps).collect();
    let hears = |voice: Voice, accept: &dyn Fn(&Credentials, &Ask) -> bool, broken: bool| {
        steps.iter().any(|step| {
            let Step::Exchange(exchange) = step else { return false };
            let ask = ask_of(exchange, voice, Echo::NONE);
            let say = || {
                let respond = &mut |heard: &Ask, _| Ok(Some(reply_to(exchange, heard)));
                Cast::new(dialect).say(moment(10), exchange.speaker, &ask, respond)
            };
            exchange.proven
                && match say() {
                    Ok(said) => accept(&said.ask.proof, &ask),
                    Err(Trouble::Defect(_)) => broken,
                    Err(Trouble::Loss(_)) => false,
                }
        })
    };
    let unchanged = |voice: &Voice| hears(*voice, &|heard, ask| *heard == ask.proof, false);
    let arriving = |voice: &Voice| hears(*voice, &proves, false);
    let said = |voice: &Voice| hears(*voice, &|_, _| true, true);
    let find = |fits: &dyn Fn(&Voice) -> bool| Voice::ALL.into_iter().find(|voice| fits(voice));
    find(&unchanged)
        .or_else(|| find(&arriving))
        .or_else(|| find(&said))
        .unwrap_or(Voice::Connection)
}
