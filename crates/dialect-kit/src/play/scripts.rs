//! Plays scripts: a client's frames, without a client session.

use crate::fixtures::{self, ANN};
use crate::play::failure::PlayError;
use crate::play::flow_states::FlowStates;
use crate::play::handshake::{accept, is_websocket, parts_of};
use crate::play::prepared::PreparedRequest;
use crate::play::responses::step_time;
use crate::play::server_side::{Delivered, ServerSide};
use crate::play::wire_entry::WireEntry;
use crate::revision::default_revision;
use crate::script::{Script, ScriptStep};
use http::request::Parts;
use std::collections::VecDeque;
use tolmach_dialect::{Credentials, Dialect, Frame, Request, Revision};
use tolmach_domain::{ConnectionId, Event, EventKind, Fault, Timestamp};

/// The connection of every script.
const CONNECTION: ConnectionId = ConnectionId(1);

/// A script that was played.
pub(crate) struct PlayedScript {
    /// The transcript.
    pub(crate) entries: Vec<WireEntry>,
    /// True if the session spoke the default revision throughout.
    pub(crate) default_revision: bool,
    /// The names of the events that were pushed.
    pub(crate) pushed: Vec<&'static str>,
}

/// A frame of a script that the session decodes to requests.
pub(crate) struct ScriptPoint {
    /// The place of its step.
    pub(crate) index: usize,
    /// The title of its step.
    pub(crate) title: String,
    /// The name of the first request's command.
    pub(crate) operation: &'static str,
    /// The server's frames that answer it.
    pub(crate) answers: Vec<Frame>,
}

/// Plays a script to its end.
pub(crate) fn play_script(dialect: &dyn Dialect, script: &Script) -> Result<PlayedScript, String> {
    let mut player = Player::start(dialect, script)?;
    for index in 0..script.steps.len() {
        player.step(index)?;
    }
    let Player { entries, default_revision, pushed, .. } = player;
    Ok(PlayedScript { entries, default_revision, pushed })
}

/// The frames of a script that the session decodes to requests.
pub(crate) fn script_points(
    dialect: &dyn Dialect,
    script: &Script,
) -> Result<Vec<ScriptPoint>, String> {
    let mut player = Player::start(dialect, script)?;
    let mut points = Vec::new();
    for (index, step) in script.steps.iter().enumerate() {
        let before = player.entries.len();
        player.operation = None;
        player.step(index)?;
        if let (ScriptStep::Frame(title, _), Some(operation)) = (step, player.operation) {
            let answers = player.entries[before..].iter().filter_map(|entry| match entry {
                WireEntry::Server(frame) => Some(frame.clone()),
                _ => None,
            });
            let title = format!("script {}, {title}", script.name);
            points.push(ScriptPoint { index, title, operation, answers: answers.collect() });
        }
    }
    Ok(points)
}

/// True if a session that a script opens answers a frame as a violation.
pub(crate) fn violates(dialect: &dyn Dialect, script: &Script, frame: &Frame) -> bool {
    let server = Player::start(dialect, script).ok().and_then(|player| player.server);
    server.is_some_and(|mut server| matches!(server.decode(step_time(0), frame), Ok(Err(_))))
}

/// Plays a script up to the step at `index`, whose frame the session has not decoded.
pub(crate) fn prepare_script(
    dialect: &dyn Dialect,
    script: &Script,
    index: usize,
) -> Result<PreparedRequest, String> {
    let mut player = Player::start(dialect, script)?;
    for earlier in 0..index {
        player.step(earlier)?;
    }
    let Some(ScriptStep::Frame(_, frame)) = script.steps.get(index) else {
        return Err(player.problem(format_args!("step {index} is no frame")));
    };
    if let (Frame::Request(request), false) = (frame, player.websocket) {
        player.opening = parts_of(request);
        let session = accept(dialect, &player.opening, None, CONNECTION)
            .map_err(|_| player.problem(format_args!("step {index} is rejected")))?;
        player.server = Some(ServerSide::new(dialect, session, &ANN));
    }
    let closed = player.problem("the connection is closed");
    Ok(PreparedRequest {
        persona: &ANN,
        id: CONNECTION,
        opening: player.opening,
        websocket: player.websocket,
        client: None,
        server: player.server.ok_or(closed)?,
        flows: player.flows,
        frame: Some(frame.clone()),
    })
}

/// A script that is being played.
struct Player<'a> {
    dialect: &'a dyn Dialect,
    script: &'a Script,
    opening: Parts,
    websocket: bool,
    /// True if the WebSocket handshake was rejected: nothing more is played.
    rejected: bool,
    /// `None` where no connection is open.
    server: Option<ServerSide>,
    flows: FlowStates,
    entries: Vec<WireEntry>,
    /// The revision that sessions have by default.
    revision: Revision,
    default_revision: bool,
    pushed: Vec<&'static str>,
    /// The name of the command that was decoded last.
    operation: Option<&'static str>,
}

impl<'a> Player<'a> {
    /// Opens the connection.
    fn start(dialect: &'a dyn Dialect, script: &'a Script) -> Result<Self, String> {
        let opening = script.opening.clone().into_parts().0;
        let mut player = Self {
            dialect,
            script,
            websocket: is_websocket(&opening),
            opening,
            rejected: false,
            server: None,
            flows: FlowStates::default(),
            entries: Vec::new(),
            revision: default_revision(dialect),
            default_revision: true,
            pushed: Vec::new(),
            operation: None,
        };
        if player.websocket {
            player.open_websocket()?;
        }
        Ok(player)
    }

    fn open_websocket(&mut self) -> Result<(), String> {
        let first_frame = self.script.steps.iter().find_map(|step| match step {
            ScriptStep::Frame(_, frame) => Some(frame),
            ScriptStep::Event(_) => None,
        });
        self.entries.push(WireEntry::Opened(Box::new(self.opening.clone())));
        match accept(self.dialect, &self.opening, first_frame, CONNECTION) {
            Err(rejection) => {
                self.entries.push(WireEntry::Server(Frame::Response(rejection.response)));
                self.rejected = true;
            }
            Ok(session) => {
                let mut server = ServerSide::new(self.dialect, session, &ANN);
                let mut requests = Vec::new();
                server.session.initial_requests(step_time(0), &mut requests);
                self.server = Some(server);
                self.respond(step_time(0), requests)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, index: usize) -> Result<(), String> {
        if self.rejected {
            return Ok(());
        }
        let now = step_time(index);
        match &self.script.steps[index] {
            ScriptStep::Frame(title, frame) => self.frame(now, title, frame)?,
            ScriptStep::Event(kind) => self.event(now, kind)?,
        }
        let revision = self.server.as_ref().map(|server| server.session.revision());
        self.default_revision &= revision.is_none_or(|revision| revision == self.revision);
        Ok(())
    }

    fn frame(&mut self, now: Timestamp, title: &str, frame: &Frame) -> Result<(), String> {
        self.entries.push(WireEntry::Remark(format!("\n# {title}")));
        if let (Frame::Request(request), false) = (frame, self.websocket) {
            match accept(self.dialect, &parts_of(request), None, CONNECTION) {
                Ok(session) => {
                    self.server = Some(ServerSide::new(self.dialect, session, &ANN));
                }
                Err(rejection) => {
                    self.entries.push(WireEntry::Client(frame.clone()));
                    self.entries.push(WireEntry::Server(Frame::Response(rejection.response)));
                    return Ok(());
                }
            }
        }
        let Some(server) = &mut self.server else {
            return Err(self.problem(format_args!("{title}: the connection is closed")));
        };
        self.entries.push(WireEntry::Client(frame.clone()));
        match server.decode(now, frame) {
            Err(defect) => Err(self.problem(format_args!("{title}: {}", defect.message))),
            Ok(Ok(requests)) => self.respond(now, requests),
            Ok(Err(violation)) => {
                self.entries.extend(violation.answer.map(WireEntry::Server));
                if let Some(close) = violation.close {
                    self.entries.push(WireEntry::Closed(close));
                    self.server = None;
                }
                Ok(())
            }
        }
    }

    fn event(&mut self, now: Timestamp, kind: &EventKind) -> Result<(), String> {
        let event = Event::new(now, kind.clone());
        let Some(server) = &mut self.server else {
            return Err(self.problem(format_args!("{}: no connection is open", event.name())));
        };
        self.entries.push(WireEntry::Remark(format!("\n# {}", event.name())));
        self.flows.apply(kind);
        let delivered = server.deliver(self.dialect, &event, &self.flows);
        let frames = match delivered.map_err(|error| self.failed(event.name(), &error))? {
            Delivered::Nothing => return Ok(()),
            Delivered::Private(frames) => frames,
            Delivered::Shared(shared) => vec![shared.frame],
            Delivered::Closed(close) => {
                self.entries.push(WireEntry::Closed(close));
                self.server = None;
                return Ok(());
            }
        };
        self.pushed.push(event.name());
        self.entries.extend(frames.into_iter().map(WireEntry::Server));
        Ok(())
    }

    /// Grants requests with the answers of the fixtures. A connection without identity is refused.
    fn respond(&mut self, now: Timestamp, requests: Vec<Request>) -> Result<(), String> {
        let mut requests = VecDeque::from(requests);
        while let Some(request) = requests.pop_front() {
            let name = request.command.name();
            self.operation.get_or_insert(name);
            let Some(server) = &mut self.server else {
                return Err(self.problem("the connection is closed"));
            };
            let by_connection = request.credentials == Credentials::Connection;
            let outcome = if by_connection && !server.is_authenticated() {
                Err(Fault::Unauthenticated)
            } else {
                Ok(fixtures::answer(&ANN, &request.command))
            };
            let frames = server.respond(now, &request, outcome, &self.flows);
            let mut follow_ups = Vec::new();
            server.session.follow_ups(&mut follow_ups);
            let (_, frames) = frames.map_err(|error| self.failed(name, &error))?;
            self.entries.extend(frames.into_iter().map(WireEntry::Server));
            follow_ups.into_iter().rev().for_each(|request| requests.push_front(request));
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: &PlayError) -> String {
        match error {
            PlayError::Unsupported(unsupported) => {
                self.problem(format_args!("{what}: {unsupported}"))
            }
            PlayError::Defect(defect) => self.problem(format_args!("{what}: {}", defect.message)),
        }
    }

    fn problem(&self, what: impl std::fmt::Display) -> String {
        format!("script {}: {what}", self.script.name)
    }
}
