//! Plays the lines of a capture, one after another.

use crate::commands::replay::recording::Recording;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::replay_arguments::Speed;
use http::StatusCode;
use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tolmach_capture::{CapturedFrame, Close, Line, Open, OpenRequest, Sender, Transport};
use tolmach_client::{Cause, Endpoint, Link, LinkArrival, LinkContent, LinkTarget, Trust};
use tolmach_dialect::{DOC, Frame};
use tolmach_migration::compare::{Capture, Meanings};
use tolmach_migration::replay::{Learned, Playback};

/// The frames that may wait until they are written.
const CAPACITY: usize = 1_024;
/// The part of the longest wait that a connection gets which lacked a frame before.
const PART_AFTER_A_MISS: u32 = 50;

/// The way of playing.
pub(crate) struct Way {
    /// The pace.
    pub(crate) speed: Speed,
    /// The longest wait for a frame.
    pub(crate) wait: Duration,
    /// The most open connections.
    pub(crate) max_connections: usize,
    /// The dialect and the revision of all connections, in place of those of the capture.
    pub(crate) dialect: Option<(String, String)>,
}

/// The sums of a replay.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    connections: u64,
    sent: u64,
    received: u64,
    /// Frames of the captured server whose counterparts did not come in time.
    missing: u64,
    /// Frames of clients whose connection had ended.
    unsent: u64,
    /// WebSockets that the server rejected, and the status of the first rejection.
    rejected: u64,
    rejection: Option<StatusCode>,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, sent, received, missing, unsent, rejected, rejection } = self;
        write!(
            formatter,
            "{connections} connections, {sent} frames sent, {received} received; {missing} \
             captured frames had no counterpart in time, {unsent} frames were not sent because the \
             server had closed"
        )?;
        match rejection {
            Some(status) => write!(
                formatter,
                "; the server rejected {rejected} WebSockets, the first one with {status}"
            ),
            None => Ok(()),
        }
    }
}

/// A captured connection with its socket.
struct Played {
    playback: Playback,
    /// `None` once it has ended.
    link: Option<Link>,
    transport: Transport,
    dialect: Option<(String, String)>,
    /// True while an end is awaited.
    is_ending: bool,
    /// True once the captured connection has ended.
    has_ended: bool,
    /// The side that ends it.
    ended_by: Sender,
    /// True after a frame did not come in time, until one comes.
    has_missed: bool,
}

impl Played {
    /// True if something of it has to come.
    fn is_awaited(&self) -> bool {
        self.awaited() > 0
    }

    /// The number of what has to come.
    fn awaited(&self) -> usize {
        if self.link.is_none() {
            return 0;
        }
        self.playback.expected() + usize::from(self.is_ending)
    }

    /// True after a miss. The answer to a close of the client comes after all other frames, so it
    /// is always waited for.
    fn is_waited_for_briefly(&self) -> bool {
        self.has_missed && !(self.is_ending && self.ended_by == Sender::Client)
    }
}

/// Plays captured clients against a server, and records what it does.
pub(crate) struct Player<'m> {
    target: LinkTarget,
    arrivals: mpsc::Receiver<LinkArrival>,
    way: Way,
    meanings: &'m Meanings,
    learned: Learned,
    recording: Recording,
    connections: BTreeMap<u64, Played>,
    started: Instant,
    summary: Summary,
}

impl<'m> Player<'m> {
    /// A player against this server.
    pub(crate) fn new(
        endpoint: Endpoint,
        trust: Trust,
        way: Way,
        meanings: &'m Meanings,
        learned: Learned,
        recording: Recording,
    ) -> Self {
        let (sender, arrivals) = mpsc::channel(CAPACITY);
        Self {
            target: LinkTarget { endpoint, trust, arrivals: sender },
            arrivals,
            way,
            meanings,
            learned,
            recording,
            connections: BTreeMap::new(),
            started: Instant::now(),
            summary: Summary::default(),
        }
    }

    /// Plays all lines.
    pub(crate) async fn play<R: BufRead>(
        &mut self,
        mut capture: Capture<R>,
    ) -> Result<Summary, CliError> {
        self.started = Instant::now();
        while let Some(line) = capture.reader.next() {
            let line = line.map_err(UsageError::from)?;
            let place = format!("{}:{}", capture.name, capture.reader.line());
            self.keep_pace(&line).await?;
            match line {
                Line::Capture(_) | Line::Gap(_) => {}
                Line::Open(open) => {
                    self.settle(Some(open.connection)).await?;
                    self.open(*open, &place).await?;
                }
                Line::Frame(frame) => {
                    frame.frame().map_err(|source| UsageError::CaptureFrame {
                        place: place.clone(),
                        source,
                    })?;
                    self.frame(frame, &place).await?;
                }
                Line::Close(close) => {
                    self.settle(Some(close.connection)).await?;
                    self.close(&close).await?;
                }
            }
        }
        self.settle(None).await?;
        let mut closing = Vec::new();
        for played in self.connections.values_mut() {
            if let Some(link) = &played.link
                && !played.is_ending
            {
                played.is_ending = true;
                played.ended_by = Sender::Client;
                closing.push(link.clone());
            }
        }
        for link in closing {
            self.while_receiving(link.close(None)).await?;
        }
        self.settle(None).await?;
        Ok(self.summary)
    }

    /// Ends the recording.
    pub(crate) fn finish(self) -> Result<(), RuntimeError> {
        self.recording.finish()
    }

    fn at(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Waits for the time of a line, where the pace is the captured one.
    async fn keep_pace(&mut self, line: &Line) -> Result<(), CliError> {
        let Speed::Times(times) = self.way.speed else { return Ok(()) };
        let is_of_server = matches!(line, Line::Frame(frame) if frame.from == Sender::Server);
        if is_of_server {
            return Ok(());
        }
        let micros = line.at() as f64 / times;
        let after = Duration::try_from_secs_f64(micros / 1e6).unwrap_or(Duration::MAX);
        let Some(time) = self.started.checked_add(after) else { return Ok(()) };
        while let Ok(arrival) = timeout_at(time, self.arrivals.recv()).await {
            let Some(arrival) = arrival else { return Ok(()) };
            self.arrive(arrival)?;
        }
        Ok(())
    }

    /// Waits until everything has come that is expected: of all connections when the pace is the
    /// fastest, else of this one. What does not come in time is given up: frames that nothing waits
    /// for do not prolong the wait.
    async fn settle(&mut self, connection: Option<u64>) -> Result<(), CliError> {
        let of = match (self.way.speed, connection) {
            (Speed::Fast, _) => None,
            (Speed::Times(_), connection) => connection,
        };
        let counts = |number: &u64| of.is_none_or(|of| of == *number);
        let mut left = usize::MAX;
        let mut deadline = Instant::now();
        // Frames that have arrived by the deadline count, although they have not been read.
        let mut late = 0;
        while late <= CAPACITY {
            let awaited = || {
                let all = self.connections.iter();
                all.filter(|(number, played)| counts(number) && played.is_awaited())
            };
            let count: usize = awaited().map(|(_, played)| played.awaited()).sum();
            if count == 0 {
                return Ok(());
            }
            if count < left {
                left = count;
                late = 0;
                let is_brief = awaited().all(|(_, played)| played.is_waited_for_briefly());
                let wait = if is_brief { self.way.wait / PART_AFTER_A_MISS } else { self.way.wait };
                deadline = Instant::now() + wait;
            }
            match timeout_at(deadline, self.arrivals.recv()).await {
                Ok(Some(arrival)) => self.arrive(arrival)?,
                Ok(None) => return Ok(()),
                Err(_) => break,
            }
            late += usize::from(Instant::now() >= deadline);
        }
        let mut ended = Vec::new();
        for (number, played) in &mut self.connections {
            if counts(number) && played.is_awaited() {
                self.summary.missing += played.playback.give_up() as u64;
                played.has_missed = true;
                if played.is_ending {
                    ended.push(*number);
                }
            }
        }
        for number in ended {
            self.end(number, Sender::Client, None)?;
        }
        Ok(())
    }

    async fn open(&mut self, open: Open, place: &str) -> Result<(), CliError> {
        if self.connections.len() >= self.way.max_connections {
            let max = self.way.max_connections;
            return Err(UsageError::ReplayConnections { place: place.to_owned(), max }.into());
        }
        let number = open.connection;
        let mut played = Played {
            playback: Playback::new(&open, &[]),
            link: None,
            transport: open.transport,
            dialect: None,
            is_ending: false,
            has_ended: false,
            ended_by: Sender::Client,
            has_missed: false,
        };
        let named = (open.dialect.as_ref(), open.revision.as_ref());
        self.set_dialect(&mut played, named, place)?;
        let request =
            open.request.as_ref().map(|request| played.playback.opening(request, &self.learned));
        let line = Open {
            at: self.at(),
            of: Some(number),
            address: None,
            user: None,
            continued: false,
            request: request.clone(),
            ..open
        };
        self.recording.write(&Line::Open(Box::new(line)))?;
        self.summary.connections += 1;
        let lost = |source| UsageError::ReplayLost { place: place.to_owned(), source };
        match (played.transport, request) {
            (Transport::Tcp, _) => {
                played.link = Some(self.target.tcp(number).await.map_err(lost)?);
            }
            (Transport::Http, _) => played.link = Some(self.target.http(number)),
            (Transport::WebSocket, request) => {
                let head = head(request.as_ref()).map_err(|source| UsageError::CaptureFrame {
                    place: place.to_owned(),
                    source: tolmach_capture::InvalidFrame::Http(source),
                })?;
                match self.target.websocket(number, head).await.map_err(lost)? {
                    Ok(link) => played.link = Some(link),
                    Err(rejection) => {
                        if let Frame::Response(response) = &rejection {
                            self.summary.rejected += 1;
                            self.summary.rejection.get_or_insert(response.status());
                        }
                        let frame = self.received(number, &rejection)?;
                        played.playback.arrive(frame, &mut self.learned);
                        let close = Close {
                            connection: number,
                            at: self.at(),
                            by: Some(Sender::Server),
                            code: None,
                        };
                        self.recording.write(&Line::Close(close))?;
                    }
                }
            }
        }
        self.connections.insert(number, played);
        Ok(())
    }

    fn set_dialect(
        &self,
        played: &mut Played,
        named: (Option<&String>, Option<&String>),
        place: &str,
    ) -> Result<(), UsageError> {
        let known = match (named, &played.dialect) {
            ((Some(id), revision), _) => {
                Some((id.clone(), revision.cloned().unwrap_or_else(|| DOC.to_owned())))
            }
            ((None, Some(revision)), Some((id, _))) => Some((id.clone(), revision.clone())),
            _ => None,
        };
        let Some(named) = self.way.dialect.clone().or(known) else { return Ok(()) };
        if played.dialect.as_ref() == Some(&named) {
            return Ok(());
        }
        let Some(rules) = self.meanings.rules(&named) else {
            return Err(UsageError::ReplayDialect {
                place: place.to_owned(),
                dialect: format!("{}/{}", named.0, named.1),
                existing: self.meanings.names().join(", "),
            });
        };
        played.playback.set_rules(rules);
        played.dialect = Some(named);
        Ok(())
    }

    async fn frame(&mut self, frame: Box<CapturedFrame>, place: &str) -> Result<(), CliError> {
        let number = frame.connection;
        if frame.from == Sender::Client {
            self.settle(Some(number)).await?;
        }
        // A capture that goes on where another ended may have frames without their opening.
        let Some(mut played) = self.connections.remove(&number) else { return Ok(()) };
        let named = (frame.dialect.as_ref(), frame.revision.as_ref());
        self.set_dialect(&mut played, named, place)?;
        if frame.from == Sender::Client {
            self.connections.insert(number, played);
            return self.send(&frame, place).await;
        }
        if played.link.is_some() {
            played.playback.expect(frame, &mut self.learned);
        }
        self.connections.insert(number, played);
        Ok(())
    }

    async fn send(&mut self, captured: &CapturedFrame, place: &str) -> Result<(), CliError> {
        let number = captured.connection;
        let Some(played) = self.connections.get_mut(&number) else { return Ok(()) };
        let put = played.playback.request(captured, &self.learned);
        let frame = put
            .frame()
            .map_err(|source| UsageError::CaptureFrame { place: place.to_owned(), source })?;
        if played.link.is_none() && played.transport == Transport::Http && !played.has_ended {
            played.link = Some(self.target.http(number));
        }
        let is_sent = match played.link.clone() {
            Some(link) => self.while_receiving(link.send(frame)).await?,
            None => false,
        };
        if is_sent {
            self.summary.sent += 1;
            let put = CapturedFrame { at: self.at(), ..put };
            self.recording.write(&Line::Frame(Box::new(put)))?;
        } else {
            self.summary.unsent += 1;
        }
        Ok(())
    }

    /// Takes what arrives until something is handed to a link. A server that does not read until
    /// its own frames are read would stop both otherwise.
    async fn while_receiving<T>(
        &mut self,
        sending: impl Future<Output = T>,
    ) -> Result<T, CliError> {
        let mut sending = pin!(sending);
        loop {
            let arrival = tokio::select! {
                biased;
                sent = &mut sending => return Ok(sent),
                Some(arrival) = self.arrivals.recv() => arrival,
            };
            self.arrive(arrival)?;
        }
    }

    async fn close(&mut self, close: &Close) -> Result<(), CliError> {
        let Some(played) = self.connections.get_mut(&close.connection) else { return Ok(()) };
        played.has_ended = true;
        let by_server = close.by == Some(Sender::Server) && played.transport != Transport::Http;
        match &played.link {
            None => {
                self.connections.remove(&close.connection);
            }
            Some(_) if by_server => {
                played.is_ending = true;
                played.ended_by = Sender::Server;
            }
            Some(link) => {
                played.is_ending = true;
                played.ended_by = Sender::Client;
                let link = link.clone();
                self.while_receiving(link.close(close.code)).await?;
            }
        }
        Ok(())
    }

    fn arrive(&mut self, arrival: LinkArrival) -> Result<(), CliError> {
        let LinkArrival { link: number, content } = arrival;
        match content {
            LinkContent::Frame(frame) => {
                // One that has ended was given up.
                if !self.connections.contains_key(&number) {
                    return Ok(());
                }
                let frame = self.received(number, &frame)?;
                if let Some(played) = self.connections.get_mut(&number) {
                    let expected = played.playback.expected();
                    played.playback.arrive(frame, &mut self.learned);
                    if played.playback.expected() < expected {
                        played.has_missed = false;
                    }
                }
                Ok(())
            }
            LinkContent::Closed(code) => {
                let by = match self.connections.get(&number) {
                    Some(played) if played.is_ending => played.ended_by,
                    _ => Sender::Server,
                };
                self.end(number, by, code)
            }
            LinkContent::Broken(cause) => {
                let is_http = self
                    .connections
                    .get(&number)
                    .is_some_and(|played| played.transport == Transport::Http);
                if is_http && matches!(cause, Cause::Io(_)) {
                    let place = format!("connection {number}");
                    return Err(UsageError::ReplayLost { place, source: cause }.into());
                }
                self.end(number, Sender::Server, None)
            }
        }
    }

    /// Records a frame of the target.
    fn received(&mut self, number: u64, frame: &Frame) -> Result<Box<CapturedFrame>, CliError> {
        self.summary.received += 1;
        let frame = Box::new(CapturedFrame::new(number, self.at(), Sender::Server, frame));
        self.recording.write(&Line::Frame(frame.clone()))?;
        Ok(frame)
    }

    /// Records the end of a connection.
    fn end(&mut self, number: u64, by: Sender, code: Option<u16>) -> Result<(), CliError> {
        let at = self.at();
        let Some(played) = self.connections.get_mut(&number) else { return Ok(()) };
        played.link = None;
        played.is_ending = false;
        self.summary.missing += played.playback.give_up() as u64;
        // Over HTTP a connection of the target may end before that of the capture.
        if played.transport == Transport::Http && !played.has_ended {
            return Ok(());
        }
        if played.has_ended {
            self.connections.remove(&number);
        }
        let close = Close { connection: number, at, by: Some(by), code };
        self.recording.write(&Line::Close(close))?;
        Ok(())
    }
}

/// The request of a handshake.
fn head(request: Option<&OpenRequest>) -> Result<http::request::Parts, http::Error> {
    let uri = request.map_or("/", |request| request.uri.as_str());
    let mut head = http::Request::get(uri);
    for (name, value) in request.into_iter().flat_map(|request| &request.headers) {
        head = head.header(name, value);
    }
    Ok(head.body(())?.into_parts().0)
}
