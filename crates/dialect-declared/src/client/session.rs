//! The state of a client's connection.

use super::agreement::{agrees, event_agrees, field, item_agrees};
use super::answers::answer;
use super::events::event;
use super::objects::Reading;
use super::outcomes::{Said, cells, is_row, outcome, violation};
use super::requests::{EncodedRequest, Proof, Writing, encode, fill, most_precise};
use crate::decode::{FieldProblem, Match, Matcher};
use crate::encode::Me;
use crate::fixed::fill_in;
use crate::model::{Datum, Found, Operation, Record, RecordError, Source, read_named};
use crate::plan::{Compiled, CredentialsPlace, Empty, EventRule, Plan, RequestRule};
use crate::syntax::{Kind, Syntax, Value, Writer};
use bytes::Bytes;
use std::collections::HashSet;
use std::sync::Arc;
use tolmach_dialect::known_messages::KnownMessages;
use tolmach_dialect::pending::PendingRequests;
use tolmach_dialect::{
    ClientSession, Correlation, Event, Frame, Handshake, Incoming, InvalidReply, Request, Response,
    Unsupported, WideIdNumbers,
};
use tolmach_domain::{
    Answer, Authority, Command, Credentials, EventKind, Fault, Secret, Timestamp, Tokens,
};

/// The most bytes that the frames of one answer may have.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The bytes that a frame of an answer counts for beside its own.
const FRAME_OVERHEAD: usize = 128;

/// The state of a connection.
pub(crate) struct Session {
    file: Arc<Compiled>,
    id: &'static str,
    max_json_depth: usize,
    is_tcp: bool,
    me: Me,
    memory: Vec<Option<i64>>,
    /// The form of each choice that requests are written in.
    chosen: Vec<u8>,
    pending: PendingRequests<Pending>,
    /// The number of the latest request, for its id.
    sent: u64,
    /// The token of a login of the connection itself, added to its requests where the wire has no
    /// such login.
    connection_token: Option<Secret>,
    known: KnownMessages,
    numbers: Option<Arc<WideIdNumbers>>,
}

/// A request that waits for its response.
struct Pending {
    correlation: Correlation,
    rule: usize,
    tag: Option<Bytes>,
    asked: Command,
    said: Command,
    /// True if the response only shows that the answer before it is complete.
    is_fence: bool,
    /// True if the request has the token of the connection.
    by_connection: bool,
    /// The items that have come in a frame each, and the size of their frames in bytes.
    items: Vec<Found>,
    size: usize,
}

/// The meaning of a frame for a request that waits.
enum Reply {
    Granted(Record),
    Item(Found),
    Refused(Fault),
    /// The fence, or the frame of an answer without items.
    End,
}

impl Session {
    pub(crate) fn new(file: Arc<Compiled>, id: &'static str, handshake: &Handshake<'_>) -> Self {
        Self {
            id,
            max_json_depth: handshake.max_json_depth,
            is_tcp: handshake.request.is_none(),
            me: Me::default(),
            memory: vec![None; file.memory.len()],
            chosen: most_precise(&file),
            pending: PendingRequests::default(),
            sent: 0,
            connection_token: None,
            known: KnownMessages::default(),
            numbers: handshake.wide_id_numbers.cloned(),
            file,
        }
    }

    fn frame(&self, bytes: Bytes) -> Frame {
        if self.is_tcp { Frame::Value(bytes) } else { Frame::Text(bytes) }
    }

    fn unsupported(&self, what: &'static str) -> Unsupported {
        Unsupported { dialect: self.id, what }
    }

    /// True if a request's credentials have no place on the wire.
    fn is_unprovable(&self, request: &Request) -> bool {
        let is_anonymous = Operation::of(&request.command).is_some_and(Operation::is_anonymous);
        let has_token =
            !matches!(request.credentials, Credentials::Nothing | Credentials::Connection);
        let by_login = self.file.credentials.first() == Some(&CredentialsPlace::Connection);
        by_login && has_token && !is_anonymous
    }

    fn matcher<'a>(&'a self, file: &'a Compiled) -> Matcher<'a> {
        Matcher {
            syntax: file.syntax,
            tables: &file.tables,
            numbers: self.numbers.as_deref(),
            is_of_server: true,
        }
    }

    fn reading(&self, now: Timestamp) -> Reading<'_> {
        Reading { now, me: &self.me, known: &self.known }
    }

    fn incoming(
        &mut self,
        now: Timestamp,
        value: &Value<'_>,
        size: usize,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        if !matches!(value.kind(), Kind::Object | Kind::List) {
            return Err(InvalidReply::SHAPE.with_reason("an object or a list is expected"));
        }
        let file = self.file.clone();
        let response_path = file.response_name_path.as_deref();
        let event_path = file.event_name_path.as_deref();
        let is_named = |name: &Value<'static>| is_name(response_path, value, name);
        let is_event_named = |name: &Value<'static>| is_name(event_path, value, name);
        let is_known = file.requests.iter().any(|rule| is_named(&rule.answer))
            || file.events.iter().any(|rule| is_event_named(&rule.name));
        if !is_known {
            // The response to a frame that the server could not read.
            let fault = violation(&file, value).ok_or_else(|| {
                InvalidReply::SHAPE.with_reason("no request and no event has its name")
            })?;
            return self.refuse(0, fault, out);
        }
        let pushed = self.event(&file, value, is_event_named);
        let mut fitting = None;
        let position = self.pending.position(|pending| {
            let rule = &file.requests[pending.rule];
            if !is_named(&rule.answer) {
                return false;
            }
            fitting = self.reply(&file, rule, pending, value, pushed.is_some());
            fitting.is_some()
        });
        let is_event = match (&pushed, position.and_then(|position| self.pending.get(position))) {
            (Some((rule, _)), Some(pending)) => {
                let response = file.requests[pending.rule].response.frame();
                let is_refused = matches!(fitting, Some(Reply::Refused(_)));
                !is_refused && needs(&rule.plan) > response.map_or(usize::MAX, needs)
            }
            (pushed, None) => pushed.is_some(),
            (None, Some(_)) => false,
        };
        match (pushed, position, fitting) {
            (Some((rule, found)), _, _) if is_event => self.push(now, rule, found, out),
            (_, Some(position), Some(reply)) => self.answer(now, position, reply, size, out),
            _ => Err(self.mismatch(&file, value, is_named, is_event_named)),
        }
    }

    /// The first key of a frame that fits neither a response that is waited for nor an event.
    fn mismatch(
        &self,
        file: &Compiled,
        value: &Value<'_>,
        is_named: impl Fn(&Value<'static>) -> bool,
        is_event_named: impl Fn(&Value<'static>) -> bool,
    ) -> InvalidReply {
        let waiting = (0..).map_while(|position| self.pending.get(position));
        let answered = waiting
            .map(|pending| &file.requests[pending.rule])
            .filter(|rule| is_named(&rule.answer))
            .filter_map(|rule| rule.response.frame());
        let events = file.events.iter().filter(|rule| is_event_named(&rule.name));
        let mut plans = answered.chain(events.map(|rule| &rule.plan));
        let matcher = self.matcher(file);
        let problem = plans.find_map(|plan| matcher.find(plan, value).err());
        InvalidReply::SHAPE.with_reason(match problem {
            Some(FieldProblem { key, reason, .. }) if key.is_empty() => reason.into_owned(),
            Some(FieldProblem { key, reason, .. }) => format!("{key}: {reason}"),
            None => "no request waits for it, and it is no event".to_owned(),
        })
    }

    /// The event of a frame, with the fields that were found.
    fn event<'f>(
        &self,
        file: &'f Compiled,
        value: &Value<'_>,
        is_named: impl Fn(&Value<'static>) -> bool,
    ) -> Option<(&'f EventRule, Match)> {
        let matcher = self.matcher(file);
        file.events.iter().filter(|rule| is_named(&rule.name)).find_map(|rule| {
            let cells = cells(file, &rule.plan, value);
            if !is_row(&cells, &file.outcomes[rule.ok].cells) {
                return None;
            }
            let mut found = match &rule.each {
                None => matcher.find(&rule.plan, value).ok()?,
                Some(list) => {
                    let (mut found, item) = matcher.find_item(&rule.plan, value).ok()?;
                    found.record.put(&list.path, Found::List(vec![item]));
                    found
                }
            };
            for (path, expected) in &rule.only {
                if let Some(kind) = crate::forms::kind_of(expected) {
                    found.record.put(path, Found::FlowKind(kind));
                }
            }
            Some((rule, found))
        })
    }

    /// The meaning of a frame for a request that waits; `None` if it is not for it.
    fn reply(
        &self,
        file: &Compiled,
        rule: &RequestRule,
        pending: &Pending,
        value: &Value<'_>,
        is_event: bool,
    ) -> Option<Reply> {
        let matcher = self.matcher(file);
        let said = outcome(file, rule, value);
        let plan = match (rule.response.frame(), &rule.refused) {
            (Some(plan), _) | (None, crate::plan::Refusal::Frame(plan)) => plan,
            (None, _) => return None,
        };
        let tag = matcher.envelope(plan, value).tag;
        if tag.is_some() && pending.tag.is_some() && tag != pending.tag {
            return None;
        }
        if pending.is_fence {
            return Some(Reply::End);
        }
        match (said, rule.response.frame()) {
            (Said::Refused(_), _) if is_event => None,
            (Said::Refused(fault), _) => Some(Reply::Refused(fault)),
            // The response is the event.
            (_, None) => self.own_event(file, rule, pending, value),
            (Said::Empty, Some(_)) if rule.each.is_some() => Some(Reply::End),
            (said, Some(plan)) if rule.each.is_none() => {
                let found = match (matcher.find(plan, value), said) {
                    (Ok(found), _) => found,
                    (Err(_), Said::Empty) => Match::default(),
                    (Err(_), _) => return self.empty(&matcher, rule, pending, value),
                };
                let is_right = agrees(rule.operation, &found, &pending.said, self.me.id);
                is_right.then_some(Reply::Granted(found.record))
            }
            (_, Some(plan)) => match matcher.find_item(plan, value) {
                Ok((_, Found::Record(item))) if !item_agrees(&item, &pending.said) => None,
                Ok((_, item)) => Some(Reply::Item(item)),
                Err(_) => self.empty(&matcher, rule, pending, value),
            },
        }
    }

    /// The frame of an answer without items, if it is one.
    fn empty(
        &self,
        matcher: &Matcher<'_>,
        rule: &RequestRule,
        pending: &Pending,
        value: &Value<'_>,
    ) -> Option<Reply> {
        let Some(Empty::Frame(plan)) = &rule.empty else { return None };
        let found = matcher.find(plan, value).ok()?;
        agrees(rule.operation, &found, &pending.said, self.me.id).then_some(Reply::End)
    }

    /// The answer of a request whose response is the event that it causes.
    fn own_event(
        &self,
        file: &Compiled,
        rule: &RequestRule,
        pending: &Pending,
        value: &Value<'_>,
    ) -> Option<Reply> {
        let (event, found) = self.event(file, value, |name| *name == rule.answer)?;
        let mut record = found.record;
        let is_edit = matches!((rule.operation, event.event), (Operation::Edit, "edited"));
        // Without a request id, an event of another connection is no response.
        if pending.tag.is_none() || found.tag != pending.tag {
            return None;
        }
        if !event_agrees(rule.operation, &record, &pending.said) {
            return None;
        }
        if is_edit {
            record = record.record("message")?;
        }
        Some(Reply::Granted(record))
    }

    /// Takes in an event.
    fn push(
        &mut self,
        now: Timestamp,
        rule: &EventRule,
        found: Match,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let occurred_at = found.now.unwrap_or(now);
        let reading = Reading { now: occurred_at, ..self.reading(now) };
        let mut record = found.record;
        // A wire that leaves it out means the flow whose events are delivered.
        if let Some(flow) = rule.to.and_then(|cell| self.memory[cell]) {
            let path: &[&'static str] = match rule.event {
                "posted" | "edited" => &["message", "flow"],
                _ => &["flow"],
            };
            if record.get(path).is_none() {
                record.put(path, Found::Integer(flow));
            }
        }
        let kind = event(rule.event, record, reading).map_err(unreadable)?;
        if let EventKind::Posted(message) = &kind {
            self.known.insert(message);
        }
        out.push(Event::new(occurred_at, kind).into());
        Ok(())
    }

    /// Takes in a frame for the request at a place.
    fn answer(
        &mut self,
        now: Timestamp,
        position: usize,
        reply: Reply,
        size: usize,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        match reply {
            Reply::Refused(fault) => self.refuse(position, fault, out),
            Reply::Item(item) => {
                let pending = self.pending.get_mut(position).ok_or(InvalidReply::SHAPE)?;
                pending.size += size + FRAME_OVERHEAD;
                if pending.size > MAX_ANSWER_BYTES {
                    return Err(InvalidReply::SHAPE);
                }
                pending.items.push(item);
                Ok(())
            }
            Reply::End => self.end(now, position, out),
            Reply::Granted(record) => self.grant(now, position, record, out),
        }
    }

    /// Refuses the request at a place.
    fn refuse(
        &mut self,
        position: usize,
        fault: Fault,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let pending = self.pending.take(position).ok_or(InvalidReply::SHAPE)?;
        if !pending.is_fence {
            out.push(Incoming::Response(Response::new(pending.correlation, Err(fault))));
        }
        Ok(())
    }

    /// Ends an answer of a frame an item: the one at a place, or the one before the fence there.
    fn end(
        &mut self,
        now: Timestamp,
        position: usize,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let is_fence = self.pending.get(position).is_some_and(|pending| pending.is_fence);
        let mut ended = position;
        if is_fence {
            let requests = &self.file.requests;
            let waits =
                |pending: &Pending| !pending.is_fence && requests[pending.rule].each.is_some();
            // Responses come in order: the answer that waits before the fence is the one it ends.
            let before = self.pending.position(waits).filter(|before| *before < position);
            let Some(before) = before else {
                self.pending.take(position);
                return Ok(());
            };
            ended = before;
        }
        let pending = self.pending.get_mut(ended).ok_or(InvalidReply::SHAPE)?;
        let items = last_of_each(std::mem::take(&mut pending.items));
        let mut record = Record::default();
        if let Some(list) = &self.file.requests[pending.rule].each {
            record.put(&list.path, Found::List(items));
        }
        if is_fence {
            self.pending.take(position);
        }
        self.grant(now, ended, record, out)
    }

    /// Answers the request at a place.
    fn grant(
        &mut self,
        now: Timestamp,
        position: usize,
        mut record: Record,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let file = self.file.clone();
        let pending = self.pending.get(position).ok_or(InvalidReply::SHAPE)?;
        let rule = &file.requests[pending.rule];
        let request = |path: &[&'static str]| field(&pending.said, path, self.me.id);
        fill_in(&rule.response_set, &mut record, &self.memory, &self.me, request);
        let token = ["token", "access"].into_iter().find_map(|name| match record.get(&[name]) {
            Some(Found::Text(token)) => Some(Secret::new(token.as_str())),
            _ => None,
        });
        let commands = (&pending.asked, &pending.said);
        let answer =
            answer(rule.operation, record, commands, self.reading(now)).map_err(unreadable)?;
        let pending = self.pending.take(position).ok_or(InvalidReply::SHAPE)?;
        self.learn(&pending, rule, &answer, token);
        out.push(Incoming::Response(Response::new(pending.correlation, Ok(answer))));
        Ok(())
    }

    /// Keeps what a granted request changes on the connection.
    fn learn(
        &mut self,
        pending: &Pending,
        rule: &RequestRule,
        answer: &Answer,
        token: Option<Secret>,
    ) {
        let login = match &pending.said {
            Command::Login { identifier, .. } => Some(identifier.as_str().to_owned()),
            Command::Register(new) => new.login.clone(),
            _ => None,
        };
        match answer {
            Answer::Granted(grant) => {
                if grant.tokens != Tokens::Nothing {
                    self.me.login = login;
                    self.me.id = grant.user.as_ref().map(|user| user.id);
                }
                if grant.tokens == Tokens::Connection {
                    self.connection_token = token;
                }
            }
            Answer::LoggedOut if pending.by_connection => self.connection_token = None,
            Answer::Sent { message: Some(message), .. } => self.known.insert(message),
            Answer::History(page) => {
                page.messages.iter().for_each(|message| self.known.insert(message));
            }
            _ => {}
        }
        for (cell, path, from_request) in &rule.remember {
            let start = if *from_request {
                Datum::Object(Source::Command(&pending.said))
            } else {
                Datum::Object(Source::Answer(answer))
            };
            let found = path.iter().fold(start, |datum, name| match datum.first() {
                Datum::Object(source) => read_named(source, name, self.me.id),
                _ => Datum::None,
            });
            self.memory[*cell] = match found {
                Datum::Integer(number) => Some(number),
                _ => None,
            };
        }
        for cell in &rule.forget {
            self.memory[*cell] = None;
        }
    }
}

/// A frame whose fields are no answer or event.
fn unreadable(error: RecordError) -> InvalidReply {
    InvalidReply::SHAPE.with_reason(match error {
        RecordError::Missing(field) => format!("<{field}> is missing"),
        RecordError::Fault(Fault::Invalid { field, reason }) => format!("<{field}> {reason}"),
        RecordError::Fault(fault) => fault.to_string(),
    })
}

/// A request id as a text, for wires that have no other ones.
fn text_tag(tag: Bytes) -> Bytes {
    if tag.starts_with(b"\"") {
        return tag;
    }
    let mut writer = Writer::default();
    Syntax::Json.write_text(&mut writer, &String::from_utf8_lossy(&tag));
    writer.finish()
}

impl ClientSession for Session {
    fn request(
        &mut self,
        now: Timestamp,
        request: &Request,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        if request.authority != Authority::Member {
            return Err(self.unsupported(request.command.name()));
        }
        if self.is_unprovable(request) {
            return Err(self.unsupported("a token"));
        }
        let file = self.file.clone();
        let proof = Proof::of(&request.credentials, self.connection_token.as_ref());
        let number = self.sent + 1;
        let tag = request.client_tag.clone().unwrap_or_else(|| number.to_string().into());
        let tag = if file.has_text_tags { text_tag(tag) } else { tag };
        let writing = Writing {
            file: &file,
            now,
            me: &self.me,
            memory: &self.memory,
            chosen: &self.chosen,
            tag: &tag,
            proof: &proof,
            numbers: self.numbers.as_deref(),
        };
        let encoded = encode(writing, &request.command);
        let unsupported = self.unsupported(request.command.name());
        let EncodedRequest { rule: index, frame, said, tag } = encoded.ok_or(unsupported)?;
        let rule = &file.requests[index];
        let fence = rule.fence.as_ref().and_then(|fence| {
            let end = file.requests.iter().position(|other| other.name == fence.name)?;
            Some((end, fill(writing, &file.requests[end], None).frame(&fence.plan)))
        });
        self.pending.reserve(self.id, 1 + usize::from(fence.is_some()))?;
        self.sent = number;
        out.push(self.frame(frame));
        let pending = Pending {
            correlation: request.correlation.clone(),
            rule: index,
            tag,
            asked: request.command.clone(),
            said,
            is_fence: false,
            by_connection: request.credentials == Credentials::Connection,
            items: Vec::new(),
            size: 0,
        };
        let fence = fence.map(|(rule, frame)| {
            let fence = Pending {
                correlation: Correlation::NONE,
                rule,
                tag: None,
                asked: pending.asked.clone(),
                said: pending.said.clone(),
                is_fence: true,
                by_connection: false,
                items: Vec::new(),
                size: 0,
            };
            (fence, frame)
        });
        self.pending.push(pending);
        if let Some((fence, frame)) = fence {
            out.push(self.frame(frame));
            self.pending.push(fence);
        }
        Ok(())
    }

    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let bytes = match frame {
            Frame::Text(bytes) | Frame::Value(bytes) => bytes.clone(),
            Frame::Binary(_) | Frame::Request(_) | Frame::Response(_) => {
                return Err(InvalidReply::FRAME_KIND);
            }
        };
        let (syntax, depth) = (self.file.syntax, self.max_json_depth);
        let read = syntax.read(&bytes, depth, |value| self.incoming(now, &value, bytes.len(), out));
        read.map_err(|error| InvalidReply::new(error.violation_kind()))?
    }
}

/// The items without those whose id a later one has: on a wire whose events are such frames too, an
/// event that comes before the answer is taken for its first item.
fn last_of_each(items: Vec<Found>) -> Vec<Found> {
    let mut seen = HashSet::new();
    let mut last: Vec<Found> = items
        .into_iter()
        .rev()
        .filter(|item| match item {
            Found::Record(record) => match record.get(&["id"]) {
                Some(Found::Integer(id)) => seen.insert(*id),
                _ => true,
            },
            _ => true,
        })
        .collect();
    last.reverse();
    last
}

/// True if a frame has this name at the place of names, or if there is no such place.
fn is_name(path: Option<&[String]>, frame: &Value<'_>, name: &Value<'static>) -> bool {
    path.is_none_or(|path| path.iter().try_fold(frame, |value, key| value.get(key)) == Some(name))
}

/// The number of keys that a frame of a plan has always.
fn needs(plan: &Plan) -> usize {
    match plan {
        Plan::Object(members) => members
            .iter()
            .filter(|member| !member.is_optional)
            .map(|member| 1 + needs(&member.plan))
            .sum(),
        _ => 0,
    }
}
