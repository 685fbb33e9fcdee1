//! One exchange of a golden transcript with the connections that it goes over, for whoever says
//! parts of it again and again: micro benches.

use crate::play::{Cast, Entry, Listener, Recording, Staged, Trouble, ask_of, record, reply_to};
use crate::project::Project;
use crate::stories::{Exchange, Step, Story, stories};
use crate::transcript::{inline, transcripts};
use crate::translation::step_moment;
use std::sync::Arc;
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Notice, Reply, Session, Variant};
use tolmach_domain::{Origin, Timestamp};

/// An exchange, when both sides have said and heard all of it.
pub struct Scene {
    /// When it happens.
    pub now: Timestamp,
    /// The connection of whoever asks. It is as it was before the exchange but for what a granted
    /// ask changes, so that all of it can be said again.
    pub ends: Ends,
    /// What is asked, as the client's end is told it.
    pub ask: Ask,
    /// The frame that asks it.
    pub asked: Frame,
    /// What it is answered with, as the server's end is told it.
    pub reply: Reply,
    /// The frames that answer it; none where this wire leaves it unsaid.
    pub answered: Vec<Frame>,
    /// What somebody hears of it, if its event reaches anybody by a shared frame.
    pub told: Option<Told>,
}

/// An event as one connection hears it.
pub struct Told {
    /// The connection.
    pub ends: Ends,
    /// What is told.
    pub notice: Arc<Notice>,
    /// In which variant.
    pub variant: Variant,
    /// The frame that tells it.
    pub frame: Frame,
}

/// Both ends of one connection.
pub struct Ends {
    /// Says asks.
    pub client: Box<dyn Session>,
    /// Hears them.
    pub server: Box<dyn Session>,
}

impl Scene {
    /// Plays a story up to the exchange that its transcript calls `title`, such as `ann: send
    /// (text)`.
    ///
    /// Fails if there is none, if the dialect does not say it, or if a frame is not the one in the
    /// project's transcript.
    pub fn of(
        project: &Project,
        dialect: &dyn Dialect,
        story: &str,
        title: &str,
    ) -> Result<Self, String> {
        let id = dialect.manifest().id;
        let recording = record(dialect);
        let told = stories().into_iter().find(|known| known.name == story).ok_or_else(|| {
            let names: Vec<_> = stories().iter().map(|story| story.name).collect();
            format!("no story is named {story:?}; there are {names:?}")
        })?;
        let path = project.transcripts(id).join(format!("{story}.txt"));
        let golden = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        if transcripts(id, &recording).get(story) != Some(&golden) {
            return Err(format!("{}: the dialect says something else now", path.display()));
        }
        let exchange =
            |step: &Step| matches!(step, Step::Exchange(exchange) if exchange.title() == title);
        let index = told
            .steps
            .iter()
            .position(exchange)
            .ok_or_else(|| format!("the story {story:?} has no {title:?}"))?;
        let Step::Exchange(exchange) = &told.steps[index] else {
            unreachable!("it was found among exchanges")
        };
        let play = Play { dialect, recording: &recording, story: &told, index };
        play.scene(exchange)
            .map_err(|trouble| format!("{id}, story {story}, {title}: {trouble:?}"))?
    }
}

/// A story that is played up to a step.
struct Play<'p> {
    dialect: &'p dyn Dialect,
    recording: &'p Recording,
    story: &'p Story,
    index: usize,
}

impl<'p> Play<'p> {
    fn scene(&self, exchange: &Exchange) -> Result<Result<Scene, String>, Trouble> {
        let now = step_moment(self.index);
        let ask = ask_of(exchange, self.recording.voice, Echo::NONE);
        let Staged { client, server, frame, .. } =
            self.cast()?.stage(now, exchange.speaker, &ask)?;
        let mut ends = Ends { client, server };
        let Some(asked) = frame else {
            return Ok(Err("the opening of the connection asks it, not a frame".to_owned()));
        };
        let heard = match self.frames(false, Entry::is_client).last() {
            Some(Entry::Client(golden)) if *golden == asked => ends.hear(now, &asked),
            _ => Err(format!("the transcript has another frame than {}", inline(&asked))),
        };
        let reply = match heard {
            Ok(heard) => reply_to(exchange, &heard),
            Err(problem) => return Ok(Err(problem)),
        };
        let mut answered = Vec::new();
        ends.server.encode(now, &Line::Reply(reply.clone()), &mut answered)?;
        for frame in &answered {
            if let Err(violation) = ends.client.decode(now, frame, &mut Vec::new()) {
                return Ok(Err(format!(
                    "the client does not understand {}: {violation:?}",
                    inline(frame)
                )));
            }
        }
        Ok(Ok(Scene { now, ends, ask, asked, reply, answered, told: self.told(exchange)? }))
    }

    fn told(&self, exchange: &Exchange) -> Result<Option<Told>, Trouble> {
        let Some(kind) = &exchange.event else { return Ok(None) };
        let mut cast = self.cast()?;
        let origin = Some(self.say(&mut cast, self.index, exchange)?);
        let notice = Arc::new(Event {
            occurred_at: step_moment(self.index),
            committed_at: None,
            origin,
            kind: kind.clone(),
        });
        let Some(Entry::Server(frame)) = self.frames(true, Entry::is_server).next() else {
            return Ok(None);
        };
        let listener = cast.listener(&notice);
        Ok(listener.map(|Listener { client, server, variant }| Told {
            ends: Ends { client, server },
            notice,
            variant,
            frame: frame.clone(),
        }))
    }

    /// What went over the wire at the step: of the exchange, or of its event.
    fn frames(&self, notice: bool, wanted: fn(&Entry) -> bool) -> impl Iterator<Item = &'p Entry> {
        let (story, index) = (self.story.name, self.index);
        let takes =
            self.recording.takes.iter().filter(move |take| {
                (take.story, take.index, take.notice) == (story, index, notice)
            });
        takes.flat_map(|take| &take.entries).filter(move |entry| wanted(entry))
    }

    /// Everybody's connections just before the step.
    fn cast(&self) -> Result<Cast<'p>, Trouble> {
        let mut cast = Cast::new(self.dialect);
        for (index, step) in self.story.steps[..self.index].iter().enumerate() {
            let (exchange, kind) = match step {
                Step::Exchange(exchange) => (Some(exchange), exchange.event.as_ref()),
                Step::Happening(kind) => (None, Some(kind.as_ref())),
            };
            let said = exchange.filter(|_| self.is_said(index, false));
            let origin = said.map(|exchange| self.say(&mut cast, index, exchange)).transpose()?;
            if let Some(kind) = kind.filter(|_| self.is_said(index, true)) {
                cast.tell(
                    step_moment(index),
                    &Arc::new(Event {
                        occurred_at: step_moment(index),
                        committed_at: None,
                        origin,
                        kind: kind.clone(),
                    }),
                    None,
                )?;
            }
        }
        Ok(cast)
    }

    fn is_said(&self, index: usize, notice: bool) -> bool {
        let mut takes = self.recording.takes.iter();
        takes.any(|take| {
            (take.story, take.index, take.notice) == (self.story.name, index, notice)
                && take.lost.is_none()
        })
    }

    fn say(
        &self,
        cast: &mut Cast<'p>,
        index: usize,
        exchange: &Exchange,
    ) -> Result<Origin, Trouble> {
        let ask = ask_of(exchange, self.recording.voice, Echo::NONE);
        let said = cast.say(step_moment(index), exchange.speaker, &ask, &mut |heard, _| {
            Ok(Some(reply_to(exchange, heard)))
        })?;
        Ok(Origin {
            connection: said.connection,
            dialect: self.dialect.manifest().id,
            tag: said.ask.tag,
        })
    }
}

impl Ends {
    fn hear(&mut self, now: Timestamp, frame: &Frame) -> Result<Ask, String> {
        let mut lines = Vec::new();
        match (self.server.decode(now, frame, &mut lines), lines.pop()) {
            (Ok(()), Some(Line::Ask(ask))) => Ok(ask),
            (outcome, line) => {
                Err(format!("{} is understood as {line:?}, {outcome:?}", inline(frame)))
            }
        }
    }
}
