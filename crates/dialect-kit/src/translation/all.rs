//! From one dialect to another: a proxy that is a server of the source and a client of the target.
//!
//! What a proxy knows of its own connections it fills in: its proof towards the target, who its
//! client is, the tokens that it hands out, which of its connections caused an event, and versions,
//! which no wire carries and a proxy counts. All else must come through the two wires.

use crate::kit::Problems;
use crate::play::{
    Cast, Defect, Entry, Marker, Recording, Take, Trouble, ask_of, fit_grant, identity_of, record,
    reply_to,
};
use crate::project::{Deviations, Project};
use crate::stories::{Exchange, Step, Story, stories};
use crate::transcript::inline;
use crate::world::{Speaker, Voice, moment};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tolmach_dialect::{Ask, Dialect, Echo, Frame, Line, Notice, Reply};
use tolmach_domain::{
    Answer, Command, ConnectionId, Credentials, EventKind, Message, Origin, Timestamp,
};

/// How faithfully an operation comes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fidelity {
    /// Every frame is the one that a native peer would have said.
    Full,
    /// It comes through without these: places in the frames, exchanges that cannot be said,
    /// declared losses.
    Partial(BTreeSet<String>),
    /// One of the two dialects cannot say it.
    Inexpressible,
}

/// How faithfully each operation of a source dialect comes through to a target dialect and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The id of the dialect whose clients are served.
    pub source: &'static str,
    /// The id of the dialect whose server answers.
    pub target: &'static str,
    /// By the name of the command or event.
    pub operations: BTreeMap<&'static str, Fidelity>,
}

/// Plays all stories from clients of `source` through a proxy to a server of `target`, and compares
/// both ends with what native peers say. Deviations are read from the project that this kit belongs
/// to.
pub fn translation(source: &dyn Dialect, target: &dyn Dialect) -> Result<Report, Problems> {
    translation_in(&Project::of_crate(env!("CARGO_MANIFEST_DIR")), source, target)
}

/// The same for any project.
pub fn translation_in(
    project: &Project,
    source: &dyn Dialect,
    target: &dyn Dialect,
) -> Result<Report, Problems> {
    let (source_id, target_id) = (source.manifest().id, target.manifest().id);
    let deviations = [
        project.deviations(source_id).map_err(Problems)?,
        project.deviations(target_id).map_err(Problems)?,
    ];
    let (native_source, native_target) = (record(source), record(target));
    let findings = translate_stories(source, target, &native_source, &native_target);
    let (mut report, problems) = judge(&findings, &deviations, Excuse::Any, source_id, target_id);
    add_lost(&mut report, &native_source, &native_target);
    Problems::none_or(problems)?;
    Ok(report)
}

/// What came of one exchange, or one event, on its way through.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) title: String,
    pub(crate) operation: &'static str,
    pub(crate) fault: Option<&'static str>,
    pub(crate) outcome: Passage,
}

/// How it went.
#[derive(Debug)]
pub(crate) enum Passage {
    /// Both ends are what native peers say, but for these places.
    Differs(Vec<String>),
    /// A dialect cannot say what the other one could.
    Lost(String),
    /// A rule of the boundary is broken.
    Broken(Defect),
}

/// Which declared losses excuse a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// Of the operation and of the fault: what one dialect does not carry is missing in the other.
    Any,
    /// Of the fault alone: within one dialect only faults may share a form, all else is read as it
    /// was said.
    Fault,
}

/// The problems among findings: differences and losses that neither dialect declares.
pub(crate) fn judge(
    findings: &[Finding],
    deviations: &[Deviations],
    excuse: Excuse,
    source: &'static str,
    target: &'static str,
) -> (Report, Vec<String>) {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<&'static str, (usize, usize, BTreeSet<String>)> = BTreeMap::new();
    for finding in findings {
        let names = [Some(finding.operation).filter(|_| excuse == Excuse::Any), finding.fault];
        let declared = |names: &[Option<&str>]| {
            names
                .iter()
                .flatten()
                .any(|name| deviations.iter().any(|side| side.weakens(name) || side.loses(name)))
        };
        let (passed, lost, weakened) = seen.entry(finding.operation).or_default();
        match &finding.outcome {
            Passage::Differs(places) => {
                *passed += 1;
                weakened.extend(
                    places.iter().map(|place| place.split(": ").next().unwrap_or(place).to_owned()),
                );
                if !places.is_empty() && !declared(&names) {
                    let names: Vec<String> =
                        names.into_iter().flatten().map(|name| format!("`{name}`")).collect();
                    let undeclared = match &names[..] {
                        [] => String::new(),
                        names => {
                            format!(" (and no partial loss of {} is declared)", names.join(" or "))
                        }
                    };
                    problems.push(format!("{}: {}{undeclared}", finding.title, places.join("; ")));
                }
            }
            Passage::Lost(why) => {
                *lost += 1;
                weakened.insert(finding.title.clone());
                if !declared(&names) {
                    problems.push(format!(
                        "{}: {why}, though each side can say it natively and no loss excuses it",
                        finding.title
                    ));
                }
            }
            Passage::Broken(defect) => {
                problems.push(format!("{}: {}", finding.title, defect.message))
            }
        }
    }
    let operations = seen
        .into_iter()
        .map(|(operation, (passed, lost, mut weakened))| {
            let fidelity = match (passed, lost) {
                (0, _) => Fidelity::Inexpressible,
                _ if weakened.is_empty() => Fidelity::Full,
                _ => {
                    let declared = deviations.iter().flat_map(|side| side.of(operation));
                    weakened.extend(declared.map(|loss| loss.what.clone()));
                    Fidelity::Partial(weakened)
                }
            };
            (operation, fidelity)
        })
        .collect();
    (Report { source, target, operations }, problems)
}

/// Operations that one of the two never says, and those of which it says only some.
fn add_lost(report: &mut Report, source: &Recording, target: &Recording) {
    for take in source.takes.iter().chain(&target.takes) {
        if take.lost.is_none() {
            continue;
        }
        let fidelity = report.operations.entry(take.operation).or_insert(Fidelity::Inexpressible);
        match fidelity {
            // Events have no exchanges of their own to leave out: whoever is not told just was not
            // there.
            _ if take.notice => {}
            Fidelity::Full => *fidelity = Fidelity::Partial(BTreeSet::from([take.title.clone()])),
            Fidelity::Partial(what) => {
                what.insert(take.title.clone());
            }
            Fidelity::Inexpressible => {}
        }
    }
}

/// Plays every story through the proxy.
pub(crate) fn translate_stories(
    source: &dyn Dialect,
    target: &dyn Dialect,
    native_source: &Recording,
    native_target: &Recording,
) -> Vec<Finding> {
    stories()
        .iter()
        .flat_map(|story| Proxy { source, target, native_source, native_target }.tell(story))
        .collect()
}

struct Proxy<'a> {
    source: &'a dyn Dialect,
    target: &'a dyn Dialect,
    native_source: &'a Recording,
    native_target: &'a Recording,
}

/// Takes of one story in one dialect, found by the place of the step that they come from.
struct Natives<'a> {
    takes: Vec<&'a Take>,
}

impl<'a> Natives<'a> {
    fn of(recording: &'a Recording, story: &Story) -> Self {
        Self { takes: recording.takes.iter().filter(|take| take.story == story.name).collect() }
    }

    fn find(&self, index: usize, notice: bool) -> Option<&'a Take> {
        self.takes
            .iter()
            .copied()
            .find(|take| take.index == index && take.notice == notice && take.lost.is_none())
    }
}

impl Proxy<'_> {
    /// A step that cannot come through has left a connection waiting, so the story begins again
    /// with both ends told natively there.
    fn tell(&self, story: &Story) -> Vec<Finding> {
        let mut apart: BTreeMap<usize, Finding> = BTreeMap::new();
        loop {
            match self.attempt(story, &apart.keys().copied().collect()) {
                Ok(mut findings) => {
                    findings.extend(apart.into_values());
                    return findings;
                }
                Err((index, finding)) => {
                    if apart.insert(index, finding).is_some() {
                        // Even told natively it fails: the recording's own trials say why.
                        return apart.into_values().collect();
                    }
                }
            }
        }
    }

    fn attempt(
        &self,
        story: &Story,
        apart: &BTreeSet<usize>,
    ) -> Result<Vec<Finding>, (usize, Finding)> {
        let (mut source, mut target) = (Cast::new(self.source), Cast::new(self.target));
        let (native_source, native_target) =
            (Natives::of(self.native_source, story), Natives::of(self.native_target, story));
        let mut findings = Vec::new();
        for (index, step) in story.steps.iter().enumerate() {
            let now = step_moment(index);
            let (title, operation, fault) = match step {
                Step::Exchange(exchange) => (
                    exchange.title(),
                    exchange.operation(),
                    exchange.outcome.as_ref().err().map(tolmach_domain::Fault::name),
                ),
                Step::Happening(kind) => {
                    ("everybody".to_owned(), notice_of(now, kind, None).name(), None)
                }
            };
            let title = format!("story {}, {title}", story.name);
            let fail = |trouble| {
                let outcome = passage(trouble);
                (index, Finding { title: title.clone(), operation, fault, outcome })
            };
            let linked = !apart.contains(&index);
            let mut link = Link {
                source: &mut source,
                target: &mut target,
                voices: [self.native_source.voice, self.native_target.voice],
                ids: [self.source.manifest().id, self.target.manifest().id],
            };
            let (exchange, event) = match step {
                Step::Exchange(exchange) => (Some(exchange.as_ref()), exchange.event.as_ref()),
                Step::Happening(kind) => (None, Some(kind.as_ref())),
            };
            let natives =
                |notice| (native_source.find(index, notice), native_target.find(index, notice));
            let passed = link
                .play(now, exchange, event, natives(false), natives(true), linked)
                .map_err(fail)?;
            for (native, passed, notice) in
                [(natives(false), passed.exchange, false), (natives(true), passed.notice, true)]
            {
                let ((Some(native_source), Some(native_target)), Some(passed)) = (native, passed)
                else {
                    continue;
                };
                let mut places =
                    differences("server", &passed.source, &native_source.entries, Entry::is_server);
                places.extend(differences(
                    "client",
                    &passed.target,
                    &native_target.entries,
                    Entry::is_client,
                ));
                let operation = if notice { native_source.operation } else { operation };
                let title = if notice { format!("{title}, {operation}") } else { title.clone() };
                findings.push(Finding {
                    title,
                    operation,
                    fault: fault.filter(|_| !notice),
                    outcome: Passage::Differs(places),
                });
            }
        }
        Ok(findings)
    }
}

/// The moment of a step, in recordings as in translations.
pub(crate) fn step_moment(index: usize) -> Timestamp {
    moment(10 + u64::try_from(index).unwrap_or(u64::MAX))
}

fn notice_of(at: Timestamp, kind: &EventKind, origin: Option<Origin>) -> Arc<Notice> {
    Arc::new(Event { occurred_at: at, committed_at: None, origin, kind: kind.clone() })
}

fn passage(trouble: Trouble) -> Passage {
    match trouble {
        Trouble::Loss(loss) => Passage::Lost(loss.to_string()),
        Trouble::Defect(defect) => Passage::Broken(defect),
    }
}

/// What the two ends said in one step.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Of the exchange, where it came through the proxy.
    pub(crate) exchange: Option<Ends>,
    /// Of its event, where that did.
    pub(crate) notice: Option<Ends>,
}

/// Entries of both ends.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) source: Vec<Entry>,
    pub(crate) target: Vec<Entry>,
}

/// The two ends of a proxy.
pub(crate) struct Link<'l, 'd> {
    pub(crate) source: &'l mut Cast<'d>,
    pub(crate) target: &'l mut Cast<'d>,
    pub(crate) voices: [Voice; 2],
    pub(crate) ids: [&'static str; 2],
}

/// An ask that has gone through, and waits perhaps for its answer.
struct Pending {
    source: (ConnectionId, Ask),
    target: (ConnectionId, Ask),
    answered: bool,
}

impl Link<'_, '_> {
    /// Plays a step: through the proxy where both dialects say it natively, else each end for
    /// itself, so that both stay in step with their recordings.
    pub(crate) fn play(
        &mut self,
        now: Timestamp,
        exchange: Option<&Exchange>,
        event: Option<&EventKind>,
        native: (Option<&Take>, Option<&Take>),
        native_event: (Option<&Take>, Option<&Take>),
        linked: bool,
    ) -> Result<Passed, Trouble> {
        let mut passed = Passed::default();
        let mut pending = None;
        let mut origins = [None, None];
        if let Some(exchange) = exchange {
            if linked && native.0.is_some() && native.1.is_some() {
                let link = self.ask(now, exchange)?;
                let origin = |(connection, ask): &(ConnectionId, Ask), id| {
                    Some(Origin { connection: *connection, dialect: id, tag: ask.tag.clone() })
                };
                origins = [origin(&link.source, self.ids[0]), origin(&link.target, self.ids[1])];
                pending = Some(link);
            } else {
                let [source_voice, target_voice] = self.voices;
                if native.0.is_some() {
                    origins[0] =
                        Some(said_alone(self.source, self.ids[0], source_voice, now, exchange)?);
                }
                if native.1.is_some() {
                    origins[1] =
                        Some(said_alone(self.target, self.ids[1], target_voice, now, exchange)?);
                }
            }
        }
        let [source_origin, target_origin] = origins;
        let mut so_far = Ends { source: take(self.source), target: take(self.target) };
        let Some(kind) = event else {
            if let (Some(pending), Some(exchange)) = (pending, exchange) {
                self.settle(now, exchange, pending, &[])?;
                so_far.source.extend(take(self.source));
                passed.exchange = Some(so_far);
            }
            return Ok(passed);
        };
        let heard = self.target.tell(now, &notice_of(now, kind, target_origin), None)?;
        let target_entries = take(self.target);
        if let (Some(pending), Some(exchange)) = (pending, exchange) {
            let lines: Vec<Line> = heard
                .iter()
                .filter(|heard| heard.speaker == exchange.speaker)
                .flat_map(|heard| heard.lines.clone())
                .collect();
            self.settle(now, exchange, pending, &lines)?;
            so_far.source.extend(take(self.source));
            passed.exchange = Some(so_far);
        }
        let closes = |take: Option<&Take>| {
            take.is_some_and(|take| {
                take.entries.iter().any(|entry| matches!(entry, Entry::Closed(_)))
            })
        };
        let through = linked && native_event.0.is_some() && native_event.1.is_some();
        if !through || closes(native_event.0) || closes(native_event.1) {
            // A close says nothing that could be passed on.
            self.source.tell(now, &notice_of(now, kind, source_origin), None)?;
            take(self.source);
            return Ok(passed);
        }
        let mut told: Vec<&Speaker> = Vec::new();
        for heard in heard {
            if told.contains(&heard.speaker) {
                continue;
            }
            for line in heard.lines {
                if let Line::Notice(notice) = line {
                    let mut notice =
                        Notice { origin: source_origin.clone(), ..Notice::clone(&notice) };
                    count_notice(&mut notice.kind, kind);
                    let notice = Arc::new(notice);
                    self.source.tell(now, &notice, Some(heard.speaker))?;
                    told.push(heard.speaker);
                }
            }
        }
        passed.notice = Some(Ends { source: take(self.source), target: target_entries });
        Ok(passed)
    }

    fn ask(&mut self, now: Timestamp, exchange: &Exchange) -> Result<Pending, Trouble> {
        let ask = ask_of(exchange, self.voices[0], Echo::new(Marker(0)));
        let marker = now.micros().unsigned_abs();
        let target_voice = self.voices[1];
        let target = &mut *self.target;
        let mut passed = None;
        let said = self.source.say(now, exchange.speaker, &ask, &mut |heard, connection| {
            let proof = if exchange.proven {
                target_voice.proof(exchange.speaker)
            } else {
                Credentials::Nothing
            };
            let mut onward = Ask { echo: Echo::new(Marker(marker)), proof, ..heard.clone() };
            fit_tokens(&mut onward.command, &exchange.command);
            let said = target.say(now, exchange.speaker, &onward, &mut |heard, _| {
                Ok(Some(reply_to(exchange, heard)))
            })?;
            let reply =
                reply_among(&said.lines, marker).map(|reply| fit_reply(exchange, heard, reply));
            passed = Some(Pending {
                source: (connection, heard.clone()),
                target: (said.connection, said.ask),
                answered: reply.is_some(),
            });
            Ok(reply)
        })?;
        passed.ok_or_else(|| {
            Defect::wire(format!("{} was said and never passed on", said.ask.command.name())).into()
        })
    }

    /// Answers what is still waiting: by a reply that came with the event, by the event itself, or
    /// by the absence of a refusal.
    fn settle(
        &mut self,
        now: Timestamp,
        exchange: &Exchange,
        pending: Pending,
        lines: &[Line],
    ) -> Result<(), Trouble> {
        if pending.answered || exchange.outcome.is_err() {
            return Ok(());
        }
        let (connection, heard) = pending.source;
        let reply = reply_among(lines, now.micros().unsigned_abs()).cloned().or_else(|| {
            let answer = implied(&heard.command, lines)?;
            Some(Reply { echo: Echo::NONE, identity: None, outcome: Ok(answer) })
        });
        if let Some(reply) = reply {
            self.source.reply_later(now, connection, fit_reply(exchange, &heard, &reply))?;
        }
        Ok(())
    }
}

/// Passes one exchange through a proxy from a dialect to itself, after a login where its wire has
/// one. `None` where the dialect does not say it.
pub(crate) fn through(
    dialect: &dyn Dialect,
    voice: Voice,
    login: &Exchange,
    exchange: &Exchange,
) -> Option<Passage> {
    let logged_in = |cast: &mut Cast<'_>| {
        said_alone(cast, dialect.manifest().id, voice, moment(1), login).is_ok()
    };
    let mut native = Cast::new(dialect);
    if !logged_in(&mut native) {
        native = Cast::new(dialect);
    }
    let mut heard = None;
    let ask = ask_of(exchange, voice, Echo::NONE);
    let said = native.say(moment(2), exchange.speaker, &ask, &mut |ask, _| {
        heard = Some(ask.command.clone());
        Ok(Some(reply_to(exchange, ask)))
    });
    if heard
        .is_some_and(|heard| exchange.outcome.as_ref().is_ok_and(|answer| !answers(&heard, answer)))
    {
        return None;
    }
    match said {
        Ok(_) => {}
        Err(Trouble::Loss(_)) => return None,
        Err(Trouble::Defect(defect)) => return Some(Passage::Broken(defect)),
    }
    let (mut source, mut target) = (Cast::new(dialect), Cast::new(dialect));
    for cast in [&mut source, &mut target] {
        if !logged_in(cast) {
            *cast = Cast::new(dialect);
        }
        cast.entries.clear();
    }
    let id = dialect.manifest().id;
    let mut link =
        Link { source: &mut source, target: &mut target, voices: [voice; 2], ids: [id; 2] };
    let outcome = link
        .ask(moment(2), exchange)
        .and_then(|pending| link.settle(moment(2), exchange, pending, &[]));
    Some(match outcome {
        Err(trouble) => passage(trouble),
        Ok(()) => {
            let mut places =
                differences("server", &source.entries, &target.entries, Entry::is_server);
            places.extend(differences(
                "client",
                &target.entries,
                &source.entries,
                Entry::is_client,
            ));
            Passage::Differs(places)
        }
    })
}

/// Whether an engine may answer what was heard like this: a wire may narrow down which kinds of
/// flow are meant.
fn answers(heard: &Command, answer: &Answer) -> bool {
    match (heard, answer) {
        (Command::GetFlow { kinds, .. }, Answer::Flow(overview)) => {
            kinds.include(overview.flow.kind)
        }
        (Command::History { kinds, .. }, Answer::History(page)) => {
            page.messages.iter().all(|message| kinds.include(message.flow_kind))
        }
        (Command::Send(draft), Answer::Sent { message: Some(message), .. }) => {
            draft.kinds.include(message.flow_kind)
        }
        _ => true,
    }
}

fn take(cast: &mut Cast<'_>) -> Vec<Entry> {
    std::mem::take(&mut cast.entries)
}

fn said_alone(
    cast: &mut Cast<'_>,
    id: &'static str,
    voice: Voice,
    now: Timestamp,
    exchange: &Exchange,
) -> Result<Origin, Trouble> {
    let ask = ask_of(exchange, voice, Echo::NONE);
    let said =
        cast.say(now, exchange.speaker, &ask, &mut |heard, _| Ok(Some(reply_to(exchange, heard))))?;
    Ok(Origin { connection: said.connection, dialect: id, tag: said.ask.tag })
}

fn reply_among(lines: &[Line], marker: u64) -> Option<&Reply> {
    lines.iter().find_map(|line| match line {
        Line::Reply(reply) if reply.echo.get::<Marker>() == Some(&Marker(marker)) => Some(reply),
        _ => None,
    })
}

/// A reply of the target as the proxy passes it on: with the echo of its own client's ask, and what
/// it knows of that client.
fn fit_reply(exchange: &Exchange, heard: &Ask, reply: &Reply) -> Reply {
    let mut outcome = reply.outcome.clone();
    if let Ok(answer) = &mut outcome {
        fit_grant(exchange.speaker, &heard.command, answer);
        if let Ok(counted) = &exchange.outcome {
            count_answer(answer, counted);
        }
    }
    Reply {
        echo: heard.echo.clone(),
        identity: reply.identity.or_else(|| identity_of(exchange)),
        outcome,
    }
}

/// A proxy keeps the tokens that the target hands out, and asks for whatever kind that is.
fn fit_tokens(onward: &mut Command, native: &Command) {
    match (onward, native) {
        (Command::Register(onward), Command::Register(native)) => onward.grant = native.grant,
        (Command::Login { grant: onward, .. }, Command::Login { grant: native, .. }) => {
            *onward = *native
        }
        _ => {}
    }
}

fn count_message(message: &mut Message, counted: &Message) {
    (message.posted, message.version) = (counted.posted, counted.version);
}

fn count_answer(answer: &mut Answer, counted: &Answer) {
    match (answer, counted) {
        (Answer::History(page), Answer::History(counted)) => {
            page.version = counted.version;
            for message in &mut page.messages {
                if let Some(counted) =
                    counted.messages.iter().find(|counted| counted.id == message.id)
                {
                    count_message(message, counted);
                }
            }
        }
        (
            Answer::Sent { message: Some(message), .. },
            Answer::Sent { message: Some(counted), .. },
        ) => count_message(message, counted),
        (Answer::Edited(message), Answer::Edited(counted)) => count_message(message, counted),
        _ => {}
    }
}

fn count_notice(kind: &mut EventKind, counted: &EventKind) {
    match (kind, counted) {
        (EventKind::Posted(message), EventKind::Posted(counted))
        | (EventKind::Edited(message), EventKind::Edited(counted)) => {
            count_message(message, counted);
        }
        (EventKind::Deleted { messages, .. }, EventKind::Deleted { messages: counted, .. }) => {
            for ((_, version), (_, counted)) in messages.iter_mut().zip(counted) {
                *version = *counted;
            }
        }
        _ => {}
    }
}

/// What a command is answered with on a wire that leaves a grant unsaid.
fn implied(command: &Command, lines: &[Line]) -> Option<Answer> {
    let told = lines.iter().find_map(|line| match line {
        Line::Notice(notice) => Some(&notice.kind),
        Line::Ask(_) | Line::Reply(_) => None,
    });
    match (command, told) {
        (Command::Send(_), Some(EventKind::Posted(message))) => {
            Some(Answer::Sent { message: Some(Box::new(message.clone())), repeated: false })
        }
        (Command::Send(_), _) => Some(Answer::Sent { message: None, repeated: false }),
        (Command::Edit { .. }, Some(EventKind::Edited(message))) => {
            Some(Answer::Edited(Box::new(message.clone())))
        }
        (Command::Delete { messages, .. }, _) => {
            Some(Answer::Deleted { deleted: messages.clone(), left: Vec::new() })
        }
        (Command::ShowTyping { .. }, _) => Some(Answer::TypingShown),
        (Command::DeleteFlow { flow, .. }, _) => Some(Answer::FlowDeleted { flow: *flow }),
        (Command::Logout { .. }, _) => Some(Answer::LoggedOut),
        _ => None,
    }
}

/// Where what was said differs from what a native peer says. Connections hear an event in no
/// particular order.
pub(crate) fn differences(
    end: &str,
    said: &[Entry],
    native: &[Entry],
    of_end: fn(&Entry) -> bool,
) -> Vec<String> {
    let sorted = |entries: &[Entry]| {
        let mut kept: Vec<Entry> = entries.iter().filter(|entry| of_end(entry)).cloned().collect();
        kept.sort_by_cached_key(|entry| match entry {
            Entry::Client(frame) | Entry::Server(frame) => inline(frame),
            _ => String::new(),
        });
        kept
    };
    let (said, native) = (sorted(said), sorted(native));
    if said == native {
        return Vec::new();
    }
    if said.len() != native.len() {
        return vec![format!(
            "{end}: {} frames where a native peer says {}",
            said.len(),
            native.len()
        )];
    }
    let mut places = BTreeSet::new();
    for (said, native) in said.iter().zip(&native).filter(|(said, native)| said != native) {
        match (said, native) {
            (Entry::Client(said), Entry::Client(native))
            | (Entry::Server(said), Entry::Server(native)) => {
                places.extend(
                    frame_differences(said, native)
                        .into_iter()
                        .map(|place| format!("{end} {place}")),
                );
            }
            _ => {
                places.insert(format!("{end} connection"));
            }
        }
    }
    places.into_iter().collect()
}

fn frame_differences(said: &Frame, native: &Frame) -> Vec<String> {
    let json = |frame: &Frame| {
        crate::project::json_of(frame)
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
    };
    let mut places = Vec::new();
    match (json(said), json(native)) {
        (Some(said), Some(native)) if said != native => {
            value_differences("", &said, &native, &mut places)
        }
        _ if said.payload() != native.payload() => places.push(format!(
            "payload: {} where a native peer says {}",
            inline(said),
            inline(native)
        )),
        _ => {}
    }
    match (said, native) {
        (Frame::Request(a), Frame::Request(b))
            if a.uri() != b.uri() || a.method() != b.method() =>
        {
            places.push(format!(
                "address: {} {} where a native peer says {} {}",
                a.method(),
                a.uri(),
                b.method(),
                b.uri()
            ));
        }
        (Frame::Response(a), Frame::Response(b)) if a.status() != b.status() => {
            places.push(format!("status: {} where a native peer says {}", a.status(), b.status()));
        }
        _ => {}
    }
    if places.is_empty() {
        places.push(format!("form: {} where a native peer says {}", inline(said), inline(native)));
    }
    places
}

fn value_differences(path: &str, said: &Value, native: &Value, places: &mut Vec<String>) {
    match (said, native) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                value_differences(
                    &format!("{path}/{key}"),
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    places,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (said, native)) in a.iter().zip(b).enumerate() {
                value_differences(&format!("{path}/{index}"), said, native, places);
            }
        }
        _ if said != native => {
            places.push(format!("{path}: {said} where a native peer says {native}"))
        }
        _ => {}
    }
}
