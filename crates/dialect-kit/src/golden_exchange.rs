//! One exchange of a golden transcript with its connection, so that parts of it can be repeated:
//! for benchmarks.

use crate::frame_text::inline;
use crate::play::{
    DialectPair, PlayError, PreparedRequest, Recording, Replay, SharedFrame, WireEntry, event,
    outcome_for, record, request_of, step_time,
};
use crate::project::{Project, folder_of};
use crate::revision::title_of;
use crate::stories::{Exchange, Step, stories};
use crate::transcript::transcripts;
use tolmach_dialect::{
    ClientSession, Correlation, Dialect, Event, Frame, RenderContext, Request, Response,
    ServerSession, Variant,
};
use tolmach_domain::{FlowSummary, Timestamp};

/// An exchange that both sides have completed.
pub struct GoldenExchange {
    /// The time of the exchange.
    pub now: Timestamp,
    /// The connection. It is as it was before the exchange but for what a granted request changes,
    /// so that the exchange can be repeated.
    pub sessions: SessionPair,
    /// The request, as the client session encodes it.
    pub request: Request,
    /// The frame of the request.
    pub request_frame: Frame,
    /// The response, as the server session encodes it.
    pub response: Response,
    /// The summary for the response's context.
    pub flow: Option<FlowSummary>,
    /// The frames of the response; none where this wire leaves it unsaid.
    pub response_frames: Vec<Frame>,
    /// Its event, if it reaches a connection by a shared frame.
    pub delivered: Option<DeliveredEvent>,
}

/// An event at one connection.
pub struct DeliveredEvent {
    /// The connection.
    pub sessions: SessionPair,
    /// The event.
    pub event: Event,
    /// The summary for the event's context.
    pub flow: Option<FlowSummary>,
    /// The variant.
    pub variant: Variant,
    /// The frame.
    pub frame: Frame,
}

/// Both sides of one connection.
pub struct SessionPair {
    /// The client's.
    pub client: Box<dyn ClientSession>,
    /// The server's.
    pub server: Box<dyn ServerSession>,
}

impl GoldenExchange {
    /// Plays a story up to and with the exchange that its transcript calls `title`, such as `ann:
    /// send (text)`.
    ///
    /// Fails if there is none, if the dialect has no client or no frame for it, or if a frame
    /// differs from the project's transcript.
    pub fn play(
        project: &Project,
        dialect: &dyn Dialect,
        story: &str,
        title: &str,
    ) -> Result<Self, String> {
        let id = dialect.manifest().id;
        let pair =
            DialectPair::of(dialect).ok_or_else(|| format!("the dialect {id} has no client"))?;
        let all = stories();
        let story = all.iter().find(|known| known.name == story).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|story| story.name).collect();
            format!("no story is named {story:?}; there are {names:?}")
        })?;
        let recording = record(dialect);
        check_transcript(project, dialect, &recording, story.name)?;
        let found = story.steps.iter().enumerate().find_map(|(index, step)| match step {
            Step::Exchange(exchange) if exchange.title() == title => Some((index, exchange)),
            _ => None,
        });
        let (index, exchange) =
            found.ok_or_else(|| format!("the story {:?} has no {title:?}", story.name))?;
        let replay = Replay { pair, recording: &recording, story };
        Self::play_step(replay, index, exchange)
            .map_err(|problem| format!("{id}, story {}, {title}: {problem}", story.name))
    }

    /// The response's context.
    pub fn context(&self) -> RenderContext<'_> {
        RenderContext::with_flow(self.flow.as_ref())
    }

    fn play_step(replay: Replay<'_>, index: usize, exchange: &Exchange) -> Result<Self, String> {
        let now = step_time(index);
        let request = request_of(exchange, replay.recording.credentials, Correlation::NONE);
        let prepared = replay
            .up_to(index)
            .and_then(|connections| connections.prepare(now, exchange.persona, &request))
            .map_err(in_words)?;
        let PreparedRequest { client, mut server, flows, frame, .. } = prepared;
        let mut client = client.ok_or("the dialect has no client")?;
        let request_frame = frame.ok_or("the handshake makes the request, not a frame")?;
        let golden = frames(replay, index, false, WireEntry::is_client).last();
        if golden != Some(&request_frame) {
            let found = inline(&request_frame);
            return Err(format!("the transcript has another frame than {found}"));
        }
        let decoded = server.decode(now, &request_frame).map_err(|defect| defect.message)?;
        let decoded = decoded.ok().and_then(|mut requests| requests.pop());
        let decoded = decoded
            .ok_or_else(|| format!("{} is decoded to no request", inline(&request_frame)))?;
        let outcome = outcome_for(exchange, &decoded.command);
        let flow = server.flow(&flows);
        let (response, response_frames) =
            server.respond(now, &decoded, outcome, &flows).map_err(in_words)?;
        for frame in &response_frames {
            client.decode(now, frame, &mut Vec::new()).map_err(|error| {
                format!("the client session cannot decode {}: {error}", inline(frame))
            })?;
        }
        Ok(Self {
            now,
            sessions: SessionPair { client, server: server.session },
            request,
            request_frame,
            response,
            flow,
            response_frames,
            delivered: deliver(replay, index, exchange).map_err(in_words)?,
        })
    }
}

impl DeliveredEvent {
    /// The event's context.
    pub fn context(&self) -> RenderContext<'_> {
        RenderContext::with_flow(self.flow.as_ref())
    }
}

/// Checks that the dialect plays the project's transcript of a story.
fn check_transcript(
    project: &Project,
    dialect: &dyn Dialect,
    recording: &Recording,
    story: &str,
) -> Result<(), String> {
    let path = project.transcripts(&folder_of(dialect.manifest())).join(format!("{story}.txt"));
    let golden =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if transcripts(&title_of(dialect), recording).get(story) == Some(&golden) {
        Ok(())
    } else {
        Err(format!("{}: the dialect plays something else now", path.display()))
    }
}

/// The event of an exchange at a connection that receives it.
fn deliver(
    replay: Replay<'_>,
    index: usize,
    exchange: &Exchange,
) -> Result<Option<DeliveredEvent>, PlayError> {
    let Some(kind) = &exchange.event else { return Ok(None) };
    let mut connections = replay.up_to(index)?;
    let origin = replay.exchange(&mut connections, index, exchange)?;
    let event = event(index, kind, Some(origin));
    let Some((receiver, shared)) = connections.into_receiver(&event)? else { return Ok(None) };
    let PreparedRequest { client: Some(client), server, .. } = receiver else { return Ok(None) };
    let SharedFrame { variant, flow, frame } = shared;
    let (flow, sessions) = (flow.map(|flow| *flow), SessionPair { client, server: server.session });
    Ok(Some(DeliveredEvent { sessions, event, flow, variant, frame }))
}

/// The frames of a step in the recording: of the exchange, or of its event.
fn frames<'r>(
    replay: Replay<'r>,
    index: usize,
    is_event: bool,
    wanted: fn(&WireEntry) -> bool,
) -> impl Iterator<Item = &'r Frame> {
    let step = replay.recording.find(replay.story.name, index, is_event);
    let entries = step.into_iter().flat_map(|step| &step.entries);
    entries.filter(move |entry| wanted(entry)).filter_map(|entry| match entry {
        WireEntry::Client(frame) | WireEntry::Server(frame) => Some(frame),
        _ => None,
    })
}

fn in_words(error: PlayError) -> String {
    match error {
        PlayError::Unsupported(unsupported) => unsupported.to_string(),
        PlayError::Defect(defect) => defect.message,
    }
}
