//! The server's side of a connection.

use crate::decode::{FieldProblem, Match, Matcher};
use crate::echo::{event_of, is_in_answer};
use crate::encode::{Fill, Me};
use crate::fixed::completed;
use crate::model::{self, Datum, Found, Operation, Record, RecordError, Source, read_named};
use crate::outcome::{filled_cells, own_cells, row_of};
use crate::paging::{Page, not_older};
use crate::plan::{
    Compiled, CredentialsPlace, Empty, EventRule, FollowUp, Refusal, RequestRule, ResponsePlan,
};
use crate::syntax::{Kind, Value};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tolmach_dialect::{
    Correlation, Credentials, Delivery, Event, Frame, Handshake, RenderContext, Request, Response,
    Revision, ServerSession, Subscription, Unsupported, Variant, Violation, ViolationKind,
    WideIdNumbers, WideIds, stand_in_index,
};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, ExternalId, Fault, FlowId, Identity, ObjectId,
    Origin, Secret, Timestamp, UserId, UserRef,
};

/// The longest part of an unknown name that is repeated, in characters.
const MAX_UNKNOWN_NAME: usize = 64;

/// The name of a frame that has none.
static NO_NAME: Value<'static> = Value::Null;

/// The state of a connection.
pub(crate) struct Session {
    file: Arc<Compiled>,
    id: &'static str,
    revision: Revision,
    connection: ConnectionId,
    max_json_depth: usize,
    is_tcp: bool,
    /// The token of the handshake.
    token: Option<Secret>,
    /// The right that every request claims.
    authority: Authority,
    subprotocol: Option<&'static str>,
    me: Me,
    /// True if the server knows external ids of the dialect's objects.
    has_external_ids: bool,
    numbers: Option<Arc<WideIdNumbers>>,
    /// The wide id of the connection's own user, as the latest response has it.
    my_wide_id: Option<ExternalId>,
    memory: Vec<Option<i64>>,
    /// The chosen form of each choice, by the latest request.
    chosen: Vec<u8>,
    /// The requests that the latest response leads to.
    next: Vec<Request>,
}

/// The parts of a request that its response needs.
struct Pending {
    rule: usize,
    tag: Option<Bytes>,
    chosen: Vec<u8>,
    /// The request, if the response repeats a part of it.
    command: Option<Command>,
    /// The identifier of a login.
    login: Option<String>,
    remembered: Vec<(usize, Option<i64>)>,
    page: Option<Page>,
    /// The id of the oldest message that a history is to hold.
    from: Option<i64>,
    /// The fields of the same frame for the requests that may follow, by rule.
    later: Option<Later>,
}

/// The fields of one frame for each of several rules.
type Later = Arc<[(usize, Match)]>;

/// The parts of a frame that all requests of it have in common.
struct FrameParts {
    tag: Option<Bytes>,
    chosen: Vec<u8>,
    later: Option<Later>,
}

/// The request that proves the token of a handshake.
struct HandshakeProof;

/// The response to a handshake without a valid token.
pub(crate) fn forbidden() -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::FORBIDDEN;
    response
}

/// A frame that is refused before the engine sees it.
struct Refused {
    kind: ViolationKind,
    name: Value<'static>,
    outcome: usize,
    field: String,
    reason: String,
    tag: Option<Bytes>,
    chosen: Vec<u8>,
    /// The rule whose refusal is sent; none for the frame of a violation.
    rule: Option<usize>,
}

impl Session {
    pub(crate) fn new(
        file: Arc<Compiled>,
        (id, revision): (&'static str, Revision),
        handshake: &Handshake<'_>,
        (token, subprotocol): (Option<Secret>, Option<&'static str>),
    ) -> Self {
        Self {
            id,
            revision,
            connection: handshake.connection,
            max_json_depth: handshake.max_json_depth,
            is_tcp: handshake.request.is_none(),
            token,
            authority: authority(&file, handshake),
            subprotocol,
            me: Me::default(),
            has_external_ids: handshake.has_external_ids,
            numbers: handshake.wide_id_numbers.cloned(),
            my_wide_id: None,
            memory: vec![None; file.memory.len()],
            chosen: vec![0; file.tables.choices.len()],
            next: Vec::new(),
            file,
        }
    }

    fn frame(&self, bytes: Bytes) -> Frame {
        if self.is_tcp { Frame::Value(bytes) } else { Frame::Text(bytes) }
    }

    fn matcher<'a>(&'a self, file: &'a Compiled) -> Matcher<'a> {
        Matcher {
            syntax: file.syntax,
            tables: &file.tables,
            numbers: self.numbers.as_deref(),
            is_of_server: false,
        }
    }

    /// Fills in frames about no command.
    fn fill<'a>(&'a self, now: Timestamp, name: &'a Value<'static>) -> Fill<'a> {
        Fill {
            syntax: self.file.syntax,
            tables: &self.file.tables,
            root: None,
            request: None,
            me: &self.me,
            name,
            request_name: name,
            outcome: &[],
            now,
            tag: None,
            token: None,
            token_user: None,
            memory: &self.memory,
            page: None,
            chosen: &self.chosen,
            wide_ids: None,
            numbers: self.numbers.as_deref(),
        }
    }

    fn violation(&self, now: Timestamp, refused: Refused) -> Violation {
        let Refused { kind, name, outcome, field, reason, tag, chosen, rule } = refused;
        let cells = &self.file.outcomes[outcome].cells;
        let row = &self.file.outcomes[outcome].name;
        let cells = match rule {
            Some(rule) => own_cells(&self.file.requests[rule], row, cells),
            None => cells.clone(),
        };
        let cells = filled_cells(&cells, &field, &reason, &name);
        let request_name = rule.map_or(&name, |rule| &self.file.requests[rule].name);
        let (tag, chosen) = (tag.as_deref(), chosen.as_slice());
        let fill = Fill { request_name, outcome: &cells, tag, chosen, ..self.fill(now, &name) };
        let fault = self.file.outcomes[outcome].name.as_str();
        let plan = match (rule.map(|rule| &self.file.requests[rule].refused), kind) {
            (Some(Refusal::Nothing), _) => None,
            (Some(Refusal::Frame(plan)), _) => Some(plan),
            (Some(Refusal::ByFault(frames)), _) => frames.get(fault).or(frames.get("*")),
            (None, ViolationKind::UnknownMethod) => self.file.unknown.as_ref(),
            (None, _) => self.file.malformed.as_ref(),
        };
        let answer = plan.map(|plan| self.frame(fill.frame(plan)));
        Violation { kind, answer, close: None }
    }

    fn malformed(&self, kind: ViolationKind, reason: String) -> Refused {
        let outcome = self.file.outcome("malformed").or(self.file.outcome("*"));
        Refused {
            kind,
            name: NO_NAME.clone(),
            outcome: outcome.unwrap_or_default(),
            field: String::new(),
            reason,
            tag: None,
            chosen: vec![0; self.chosen.len()],
            rule: None,
        }
    }

    /// The request of a value.
    fn request(&mut self, value: &Value<'_>) -> Result<Request, Box<Refused>> {
        let file = self.file.clone();
        let syntax = file.syntax.title();
        let kind = if file.is_list { Kind::List } else { Kind::Object };
        if value.kind() != kind {
            let reason = match kind {
                Kind::List => kind.expected().to_owned(),
                _ => crate::syntax::not_an_object(syntax).into_owned(),
            };
            return Err(self.malformed(ViolationKind::Shape, reason).into());
        }
        let name = file.name_path.iter().try_fold(value, |value, key| value.get(key));
        let key = file.name_path.last().map_or("", String::as_str);
        let Some(name) = name else {
            let expected = name_expected(&file);
            let refused = self.malformed(ViolationKind::Shape, format!("{key}: {expected}"));
            let (tag, chosen) = self.envelope(&file, value);
            return Err(Refused { field: key.to_owned(), tag, chosen, ..refused }.into());
        };
        let Some((rule_index, frame_index)) = frame_named(&file, name, value) else {
            return Err(self.unknown(&file, name, value, key).into());
        };
        let rule = &file.requests[rule_index];
        let matcher = self.matcher(&file);
        let read = matcher
            .find_more(&rule.frames[frame_index].plan, value, Match::new(self.has_external_ids))
            .and_then(|found| {
                let later = later(&file, rule, value, &matcher, self.has_external_ids)?;
                Ok((found, later))
            });
        let (found, later) =
            read.map_err(|problem| Box::new(self.mismatch(&file, rule_index, value, problem)))?;
        let parts =
            FrameParts { tag: found.tag.clone(), chosen: self.choices(&found.chosen), later };
        self.chosen.clone_from(&parts.chosen);
        self.request_of(&file, (rule_index, frame_index), found, parts)
    }

    /// The request of a rule, of the fields that were found in one of its frames.
    fn request_of(
        &self,
        file: &Compiled,
        (rule_index, frame_index): (usize, usize),
        found: Match,
        FrameParts { tag, chosen, later }: FrameParts,
    ) -> Result<Request, Box<Refused>> {
        let rule = &file.requests[rule_index];
        let frame = &rule.frames[frame_index];
        let refused = |outcome: usize, field: &str, reason: String| Refused {
            kind: ViolationKind::Shape,
            name: rule.answer.clone(),
            outcome,
            field: field.to_owned(),
            reason,
            tag: tag.clone(),
            chosen: chosen.clone(),
            rule: Some(rule_index),
        };
        for (cell, must_be_set, outcome) in &rule.needs {
            if self.memory[*cell].is_some() != *must_be_set {
                return Err(refused(*outcome, "", String::new()).into());
            }
        }
        if let Err((field, reason)) = self.agrees(&found) {
            let key = frame.keys.get(field).map_or(field, String::as_str);
            return Err(refused(row_of(file, "invalid"), key, reason.to_owned()).into());
        }
        let fault = |fault: Fault| {
            let (field, reason) = match &fault {
                Fault::Invalid { field, reason } => (*field, reason.clone()),
                _ => ("", String::new()),
            };
            let key = frame.keys.get(field).map_or(field, String::as_str);
            refused(row_of(file, fault.name()), key, reason)
        };
        let credentials = self.credentials(rule, &found).map_err(&fault)?;
        let login = found.record.get(&["identifier"]).or(found.record.get(&["login"]));
        let login = match login {
            Some(Found::Text(login)) if rule.operation.is_anonymous() => Some(login.clone()),
            _ => None,
        };
        let wide_ids = found.wide_ids.unwrap_or_default();
        let mut record = completed(rule, found.record, &self.memory, &self.me);
        let from = match rule.operation {
            Operation::History => record.integer("from"),
            _ => None,
        };
        let remembered = self.remembered(rule, &record);
        let mut command = model::command(rule.operation, record).map_err(|error| match error {
            RecordError::Fault(error) => fault(error),
            RecordError::Missing(field) => {
                let key = frame.keys.get(field).map_or(field, String::as_str);
                refused(row_of(file, "mistyped"), key, "missing".to_owned())
            }
        })?;
        let page = if rule.is_paged { Page::of(&mut command) } else { None };
        let kept = rule.keeps_request.then(|| command.clone());
        let client_tag = tag.clone();
        let rule = rule_index;
        let pending =
            Pending { rule, tag, chosen, command: kept, login, remembered, page, from, later };
        let mut request = Request::new(Correlation::new(pending), credentials, command);
        request.client_tag = client_tag;
        request.authority = self.authority;
        request.wide_ids = wide_ids;
        Ok(request)
    }

    /// A name that no request has.
    fn unknown(
        &mut self,
        file: &Compiled,
        name: &Value<'_>,
        value: &Value<'_>,
        key: &str,
    ) -> Refused {
        let kinds: Vec<Kind> = file.requests.iter().map(|rule| rule.name.kind()).collect();
        let repeated = match name {
            Value::Text(text) => {
                Value::Text(text.chars().take(MAX_UNKNOWN_NAME).collect::<String>().into())
            }
            Value::Integer(number) => Value::Integer(*number),
            _ => Value::Null,
        };
        let (tag, chosen) = self.envelope(file, value);
        if !kinds.contains(&name.kind()) {
            let reason = format!("{key}: {}", name_expected(file));
            let refused = self.malformed(ViolationKind::Shape, reason);
            return Refused { field: key.to_owned(), tag, chosen, ..refused };
        }
        self.chosen.clone_from(&chosen);
        Refused {
            kind: ViolationKind::UnknownMethod,
            name: repeated,
            outcome: row_of(file, "unknown"),
            field: key.to_owned(),
            reason: String::new(),
            tag,
            chosen,
            rule: None,
        }
    }

    /// A field that does not match.
    fn mismatch(
        &mut self,
        file: &Compiled,
        rule: usize,
        value: &Value<'_>,
        problem: FieldProblem,
    ) -> Refused {
        let (tag, chosen) = self.envelope(file, value);
        self.chosen.clone_from(&chosen);
        let name = if problem.is_range { "invalid" } else { "mistyped" };
        Refused {
            kind: ViolationKind::Shape,
            name: file.requests[rule].answer.clone(),
            outcome: row_of(file, name),
            field: problem.key,
            reason: problem.reason.into_owned(),
            tag,
            chosen,
            rule: Some(rule),
        }
    }

    /// The request id and the chosen forms of a frame, as far as its envelope can be read.
    fn envelope(&self, file: &Compiled, value: &Value<'_>) -> (Option<Bytes>, Vec<u8>) {
        let matcher = self.matcher(file);
        for rule in &file.requests {
            for frame in &rule.frames {
                let found = matcher.envelope(&frame.plan, value);
                if found.tag.is_some() || !found.chosen.is_empty() {
                    return (found.tag, self.choices(&found.chosen));
                }
            }
        }
        (None, vec![0; self.chosen.len()])
    }

    fn choices(&self, found: &[(usize, usize)]) -> Vec<u8> {
        let mut chosen = vec![0; self.chosen.len()];
        for (choice, index) in found {
            chosen[*choice] = u8::try_from(*index).unwrap_or_default();
        }
        chosen
    }

    /// Values that name the caller must name the connection's own user.
    fn agrees(&self, found: &Match) -> Result<(), (&'static str, &'static str)> {
        for (field, value) in &found.mine {
            let agrees = match (*field, value, &self.me) {
                ("login", Found::Text(login), Me { login: Some(mine), .. }) => {
                    login.to_lowercase() == mine.to_lowercase()
                }
                ("id", Found::Integer(id), Me { id: Some(mine), .. }) => {
                    match (stand_in_index(*id), &found.wide_ids) {
                        (Some(index), Some(wide_ids)) if index < wide_ids.len() => {
                            self.my_wide_id == Some(wide_ids[index])
                        }
                        _ => *id == mine.get(),
                    }
                }
                // Without a user the engine refuses the request.
                _ => true,
            };
            if !agrees {
                return Err(match *field {
                    "login" => ("me.login", "your own login is expected"),
                    _ => ("me.id", "your own id is expected"),
                });
            }
        }
        let differs = found.memory.iter().any(|(cell, value)| match value {
            Found::Integer(number) => self.memory[*cell].is_some_and(|known| known != *number),
            _ => true,
        });
        if differs { Err(("", "another value is expected")) } else { Ok(()) }
    }

    fn credentials(&self, rule: &RequestRule, found: &Match) -> Result<Credentials, Fault> {
        // A token that such a request has beside its own proof must be valid, too.
        if rule.operation.is_anonymous() && found.token.is_none() {
            return Ok(Credentials::Nothing);
        }
        Ok(match self.file.credentials.first() {
            None | Some(CredentialsPlace::Connection) => Credentials::Connection,
            Some(CredentialsPlace::Field) => {
                if !rule.needs_token {
                    return Ok(Credentials::Nothing);
                }
                let token = found.token.as_deref().ok_or(Fault::Unauthenticated)?;
                match found.token_user {
                    None => Credentials::Token(Secret::new(token)),
                    Some(user) => {
                        let user = UserId::new(user).map_err(|_| Fault::Unauthenticated)?;
                        Credentials::TokenOf(user, Secret::new(token))
                    }
                }
            }
            Some(_) => Credentials::Bearer(self.token.clone().ok_or(Fault::Unauthenticated)?),
        })
    }

    /// The memory that a granted request sets from its own fields.
    fn remembered(&self, rule: &RequestRule, record: &Record) -> Vec<(usize, Option<i64>)> {
        let from_request = rule.remember.iter().filter(|(_, _, from_request)| *from_request);
        from_request
            .filter_map(|(cell, path, _)| match record.get(path) {
                Some(Found::Integer(number)) => Some((*cell, Some(*number))),
                _ => None,
            })
            .collect()
    }

    fn answer(
        &self,
        now: Timestamp,
        wide_ids: Option<&WideIds>,
        rule: &RequestRule,
        pending: &Pending,
        answer: &Answer,
        out: &mut Vec<Frame>,
    ) {
        let plan = match &rule.response {
            ResponsePlan::Frame(plan) => plan,
            ResponsePlan::Event => {
                return self.answer_by_event(now, wide_ids, rule, pending, answer, out);
            }
            ResponsePlan::Nothing => return,
        };
        let cells = &self.file.outcomes[rule.ok].cells;
        let from = pending.from.map(|id| wide_ids.map_or(id, |wide_ids| wide_ids.resolved(id)));
        let answer = not_older(answer, from);
        let (answer, page) = match pending.page {
            Some(page) => {
                let (answer, facts) = page.cut(answer);
                (answer, Some(facts))
            }
            None => (answer, None),
        };
        let answer = answer.as_ref();
        let fill = Fill {
            root: Some(Source::Answer(answer)),
            page,
            request: pending.command.as_ref(),
            request_name: &rule.name,
            outcome: cells,
            tag: pending.tag.as_deref(),
            chosen: &pending.chosen,
            wide_ids,
            ..self.fill(now, &rule.answer)
        };
        let items = match &rule.each {
            Some(list) => fill.items(list),
            None => {
                let is_empty = rule.empty.is_some() && is_empty(answer);
                if !is_empty {
                    out.push(self.frame(fill.frame(plan)));
                    return;
                }
                Vec::new()
            }
        };
        if items.is_empty() {
            match &rule.empty {
                Some(Empty::Frame(plan)) => out.push(self.frame(fill.frame(plan))),
                Some(Empty::Outcome(row)) => {
                    let fill = Fill { outcome: &self.file.outcomes[*row].cells, ..fill };
                    let plan = rule.without_items.as_ref().unwrap_or(plan);
                    out.push(self.frame(fill.frame(plan)));
                }
                None => {}
            }
        }
        for item in items {
            out.push(self.frame(fill.frame_of(plan, Some(item))));
        }
    }

    /// The frames of the event that the request has caused, which others receive too.
    fn answer_by_event(
        &self,
        now: Timestamp,
        wide_ids: Option<&WideIds>,
        rule: &RequestRule,
        pending: &Pending,
        answer: &Answer,
        out: &mut Vec<Frame>,
    ) {
        let kind =
            pending.command.as_ref().and_then(|command| event_of(command, answer, self.me.id));
        let Some(kind) = kind else { return };
        let mut event = Event::new(now, kind);
        event.origin = Some(Origin {
            connection: self.connection,
            dialect: self.id,
            client_tag: pending.tag.clone(),
        });
        let rules = self.file.events.iter().filter(|event| event.name == rule.answer);
        let fitting = rules.into_iter().find(|rule| matches_event(rule, &event, self.me.id));
        let Some(rule) = fitting else { return };
        let frames = event_frames(&self.file, rule, &event, &self.me, (&pending.chosen, wide_ids));
        out.extend(frames.into_iter().map(|bytes| self.frame(bytes)));
    }

    fn refuse(
        &self,
        now: Timestamp,
        wide_ids: Option<&WideIds>,
        rule: &RequestRule,
        pending: &Pending,
        fault: &Fault,
        out: &mut Vec<Frame>,
    ) {
        let plan = match &rule.refused {
            Refusal::Nothing => return,
            Refusal::Frame(plan) => plan,
            Refusal::ByFault(frames) => match frames.get(fault.name()).or(frames.get("*")) {
                Some(plan) => plan,
                None => return,
            },
        };
        let row = &self.file.outcomes[row_of(&self.file, fault.name())].cells;
        let cells = own_cells(rule, fault.name(), row);
        let (field, reason) = match fault {
            Fault::Invalid { field, reason } => {
                (key_of(&self.file, rule, field), Cow::Borrowed(reason.as_str()))
            }
            other => ("", Cow::Owned(other.to_string())),
        };
        let cells = filled_cells(&cells, field, &reason, &rule.answer);
        let fill = Fill {
            request: pending.command.as_ref(),
            request_name: &rule.name,
            outcome: &cells,
            tag: pending.tag.as_deref(),
            chosen: &pending.chosen,
            wide_ids,
            ..self.fill(now, &rule.answer)
        };
        out.push(self.frame(fill.frame(plan)));
    }

    /// Makes the requests of the same frame that follow one with this fault, or without any.
    fn follow(
        &mut self,
        now: Timestamp,
        file: &Compiled,
        pending: &Pending,
        fault: Option<&str>,
        out: &mut Vec<Frame>,
    ) {
        let Some(later) = &pending.later else { return };
        for next in follow_ups(&file.requests[pending.rule], fault) {
            let Some((rule, found)) = later.iter().find(|(rule, _)| *rule == next.rule) else {
                continue;
            };
            let (tag, chosen) = (pending.tag.clone(), pending.chosen.clone());
            let parts = FrameParts { tag, chosen, later: Some(later.clone()) };
            match self.request_of(file, (*rule, 0), found.clone(), parts) {
                Ok(request) => self.next.push(request),
                Err(refused) => out.extend(self.violation(now, *refused).answer),
            }
        }
    }

    /// The rules of an event that this connection receives.
    fn event_rule(&self, event: &Event) -> Option<&EventRule> {
        let rule = self.file.events.iter().find(|rule| matches_event(rule, event, self.me.id))?;
        match rule.to {
            Some(cell) => {
                let flow = event.flow().map(FlowId::get);
                (flow.is_some() && self.memory[cell] == flow).then_some(rule)
            }
            None => Some(rule),
        }
    }
}

impl ServerSession for Session {
    fn initial_requests(&mut self, _now: Timestamp, out: &mut Vec<Request>) {
        if let Some(token) = self.token.clone() {
            let command = Command::GetUser { user: UserRef::Me };
            let correlation = Correlation::new(HandshakeProof);
            let request = Request::new(correlation, Credentials::Bearer(token), command);
            out.push(Request { authority: self.authority, ..request });
        }
    }

    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let bytes = match frame {
            Frame::Text(bytes) | Frame::Value(bytes) => bytes.clone(),
            Frame::Binary(bytes) if self.is_tcp => bytes.clone(),
            Frame::Binary(_) | Frame::Request(_) | Frame::Response(_) => {
                let mut refused =
                    self.malformed(ViolationKind::FrameKind, "a text frame is expected".to_owned());
                refused.chosen.clone_from(&self.chosen);
                return Err(self.violation(now, refused));
            }
        };
        if self.file.ignore.iter().any(|text| text.as_bytes() == &*bytes) {
            return Ok(());
        }
        let file = self.file.clone();
        let read = file.syntax.read(&bytes, self.max_json_depth, |value| self.request(&value));
        match read {
            Ok(Ok(request)) => {
                out.push(request);
                Ok(())
            }
            Ok(Err(refused)) => Err(self.violation(now, *refused)),
            Err(error) => {
                let reason = error.expectation(file.syntax.title()).into_owned();
                Err(self.violation(now, self.malformed(error.violation_kind(), reason)))
            }
        }
    }

    fn respond(
        &mut self,
        now: Timestamp,
        response: &Response,
        context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        if response.correlation.get::<HandshakeProof>().is_some() {
            if response.outcome.is_err() {
                out.push(Frame::response(forbidden()));
            }
            return Ok(());
        }
        let what = "a response to another session's request";
        let unknown = Unsupported { dialect: self.id, what };
        let pending = response.correlation.get::<Pending>().ok_or(unknown)?;
        let file = self.file.clone();
        let wide_ids = context.wide_ids;
        if let (Some(wide_ids), Some(me)) = (wide_ids, self.me.id) {
            self.my_wide_id = wide_ids.get(ObjectId::User(me));
        }
        let rule = &file.requests[pending.rule];
        let fault = response.outcome.as_ref().err().map(Fault::name);
        match &response.outcome {
            // Another request of the same frame answers in its place.
            Err(_) if follow_ups(rule, fault).next().is_some() => {}
            // Without a token on the wire there is nothing to prove.
            Err(Fault::Unauthenticated) if is_unproven(&file, rule) => {
                self.answer(now, wide_ids, rule, pending, &Answer::LoggedOut, out);
            }
            Err(fault) => self.refuse(now, wide_ids, rule, pending, fault, out),
            // A wire that does not name what is left says that there is no such message.
            Ok(Answer::Deleted { deleted, .. }) if deleted.is_empty() && !rule.says_left => {
                self.refuse(now, wide_ids, rule, pending, &Fault::NoSuchMessage, out);
            }
            Ok(answer) => {
                if let Answer::Granted(grant) = answer
                    && !matches!(grant.tokens, tolmach_domain::Tokens::Nothing)
                {
                    self.me.login.clone_from(&pending.login);
                }
                for (cell, value) in &pending.remembered {
                    let resolved = |id| wide_ids.map_or(id, |wide_ids| wide_ids.resolved(id));
                    self.memory[*cell] = value.map(resolved);
                }
                for (cell, path, from_request) in &rule.remember {
                    if !from_request {
                        self.memory[*cell] = id_in(answer, path, self.me.id);
                    }
                }
                self.answer(now, wide_ids, rule, pending, answer, out);
                for cell in &rule.forget {
                    self.memory[*cell] = None;
                }
            }
        }
        self.follow(now, &file, pending, fault, out);
        Ok(())
    }

    fn follow_ups(&mut self, out: &mut Vec<Request>) {
        out.append(&mut self.next);
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        self.me.id = identity.map(|identity| identity.user);
        if identity.is_none() {
            self.me.login = None;
            self.memory.iter_mut().for_each(|cell| *cell = None);
        }
    }

    fn subscription(&self) -> Subscription {
        if !self.file.push || self.file.events.is_empty() || self.me.id.is_none() {
            return Subscription::None;
        }
        let mut cells = self.file.events.iter().map(|rule| rule.to);
        match cells.next().flatten() {
            // Every event is for the one flow in memory.
            Some(first) if cells.all(|cell| cell == Some(first)) => {
                let flow = self.memory[first].and_then(|flow| FlowId::new(flow).ok());
                flow.map_or(Subscription::None, Subscription::Flow)
            }
            _ => Subscription::AllFlows,
        }
    }

    fn deliver(&mut self, event: &Event, context: &RenderContext<'_>) -> Delivery {
        let Some(rule) = self.event_rule(event) else { return Delivery::Skip };
        let is_own = event.is_caused_by(self.connection);
        let answers = |name| {
            self.file
                .requests
                .iter()
                .any(|request| request.response.is_event() && request.name == name)
        };
        // The response was, or is, such a frame.
        if is_own && (is_in_answer(rule.event) || !answers(rule.name.clone())) {
            return Delivery::Skip;
        }
        if rule.is_private || rule.each.is_some() {
            let frames =
                event_frames(&self.file, rule, event, &self.me, (&self.chosen, context.wide_ids));
            return Delivery::Private(frames.into_iter().map(|bytes| self.frame(bytes)).collect());
        }
        Delivery::Shared(variant_of(&self.file, &self.chosen, self.is_tcp))
    }

    fn subprotocol(&self) -> Option<&'static str> {
        self.subprotocol
    }

    fn pace(&self) -> Option<Duration> {
        self.file.pace
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}

/// The rule of a frame with this name, and the number of the frame in it: of those whose conditions
/// it fulfils the one with the most, or else the first of that name.
fn frame_named(file: &Compiled, name: &Value<'_>, value: &Value<'_>) -> Option<(usize, usize)> {
    let (mut first, mut best) = (None, None);
    for (index, rule) in file.requests.iter().enumerate() {
        if rule.name != *name || !rule.after.is_empty() {
            continue;
        }
        for (number, frame) in rule.frames.iter().enumerate() {
            first = first.or(Some((index, number)));
            let count = frame.conditions.len();
            let is_better = best.is_none_or(|(_, most)| count > most);
            if is_better && Matcher::fits(&frame.conditions, value) {
                best = Some(((index, number), count));
            }
        }
    }
    best.map(|(place, _)| place).or(first)
}

/// The requests that follow one of this rule with this fault, or without any.
fn follow_ups<'a>(
    rule: &'a RequestRule,
    fault: Option<&'a str>,
) -> impl Iterator<Item = &'a FollowUp> {
    rule.follow_ups.iter().filter(move |next| next.fault == fault)
}

/// The fields of a frame for all requests that may follow that of a rule. `None` without any.
fn later(
    file: &Compiled,
    rule: &RequestRule,
    value: &Value<'_>,
    matcher: &Matcher<'_>,
    has_external_ids: bool,
) -> Result<Option<Later>, FieldProblem> {
    if rule.follow_ups.is_empty() {
        return Ok(None);
    }
    let mut found: Vec<(usize, Match)> = Vec::new();
    let mut waiting: Vec<usize> = rule.follow_ups.iter().map(|next| next.rule).collect();
    while let Some(index) = waiting.pop() {
        if found.iter().all(|(rule, _)| *rule != index) {
            let rule = &file.requests[index];
            let plan = &rule.frames[0].plan;
            let fields = matcher.find_more(plan, value, Match::new(has_external_ids))?;
            found.push((index, fields));
            waiting.extend(rule.follow_ups.iter().map(|next| next.rule));
        }
    }
    Ok(Some(found.into()))
}

/// The right that a connection's requests claim, by its path.
fn authority(file: &Compiled, handshake: &Handshake<'_>) -> Authority {
    let path = handshake.request.map_or("", |request| request.uri.path());
    let trimmed = |path: &str| path.trim_end_matches('/').to_owned();
    if file.administrator_paths.iter().any(|own| trimmed(own) == trimmed(path)) {
        Authority::Administrator
    } else {
        Authority::Member
    }
}

/// True for the command `nothing` without a token, where the wire has tokens in its requests.
fn is_unproven(file: &Compiled, rule: &RequestRule) -> bool {
    rule.operation == Operation::Nothing
        && !rule.needs_token
        && file.credentials.first() == Some(&CredentialsPlace::Field)
}

/// The key on the wire of a field: that of the request, or of any other one.
fn key_of<'a>(file: &'a Compiled, rule: &'a RequestRule, field: &'a str) -> &'a str {
    let key = |rule: &'a RequestRule| {
        let names = || std::iter::once(field).chain(names_of(field));
        rule.frames.iter().find_map(|frame| names().find_map(|name| frame.keys.get(name)))
    };
    let mut others = file.requests.iter();
    key(rule).or_else(|| others.find_map(key)).map_or(field, String::as_str)
}

/// The fields of commands that a fault names otherwise.
fn names_of(field: &str) -> impl Iterator<Item = &str> {
    const NAMES: [(&str, &str); 5] = [
        ("name", "title"),
        ("user", "with"),
        ("user", "who"),
        ("users", "members"),
        ("login", "identifier"),
    ];
    NAMES.into_iter().filter(move |(other, _)| *other == field).map(|(_, name)| name)
}

/// True if an answer has no items.
fn is_empty(answer: &Answer) -> bool {
    match answer {
        Answer::Flows(flows) => flows.is_empty(),
        Answer::Users(users) => users.is_empty(),
        Answer::History(page) => page.messages.is_empty(),
        Answer::Changes(changes) => changes.messages.is_empty() && changes.flows.is_empty(),
        _ => false,
    }
}

/// The id at a path of an answer; of a list, in its first item.
fn id_in(answer: &Answer, path: &[&'static str], viewer: Option<UserId>) -> Option<i64> {
    let start = Datum::Object(Source::Answer(answer));
    let found = path.iter().fold(start, |datum, name| match datum.first() {
        Datum::Object(source) => read_named(source, name, viewer),
        _ => Datum::None,
    });
    match found {
        Datum::Integer(number) => Some(number),
        _ => None,
    }
}

/// True if a rule is about an event.
pub(crate) fn matches_event(rule: &EventRule, event: &Event, viewer: Option<UserId>) -> bool {
    rule.event == event.name()
        && rule.only.iter().all(|(path, expected)| {
            let start = Datum::Object(Source::Event(event));
            let found = path.iter().fold(start, |datum, name| match datum {
                Datum::Object(source) => read_named(source, name, viewer),
                _ => Datum::None,
            });
            match found {
                Datum::FlowKind(kind) => crate::forms::kind_name(kind) == expected,
                Datum::ContentType(content_type) => {
                    crate::forms::content_type_name(content_type) == expected
                }
                Datum::Word(word) => word == expected,
                Datum::Text(text) => text == *expected,
                Datum::Flag(flag) => flag.to_string() == *expected,
                _ => false,
            }
        })
}

/// The frames of an event for one user.
pub(crate) fn event_frames(
    file: &Compiled,
    rule: &EventRule,
    event: &Event,
    me: &Me,
    (chosen, wide_ids): (&[u8], Option<&WideIds>),
) -> Vec<Bytes> {
    // Another dialect's request ids are of another form.
    let origin = event.origin.as_ref().filter(|origin| origin.dialect == file.id);
    let tag = origin.and_then(|origin| origin.client_tag.as_deref());
    let fill = Fill {
        syntax: file.syntax,
        tables: &file.tables,
        root: Some(Source::Event(event)),
        request: None,
        me,
        name: &rule.name,
        request_name: &NO_NAME,
        outcome: &file.outcomes[rule.ok].cells,
        now: event.occurred_at,
        tag,
        token: None,
        token_user: None,
        memory: &[],
        page: None,
        chosen,
        wide_ids,
        numbers: None,
    };
    match &rule.each {
        None => vec![fill.frame(&rule.plan)],
        Some(list) => {
            let items = fill.items(list);
            items.into_iter().map(|item| fill.frame_of(&rule.plan, Some(item))).collect()
        }
    }
}

/// The variant of events for these chosen forms.
fn variant_of(file: &Compiled, chosen: &[u8], is_tcp: bool) -> Variant {
    let mut number = 0;
    for (choice, forms) in file.tables.choices.iter().enumerate() {
        let index = chosen.get(choice).copied().map_or(0, usize::from);
        number = number * forms.len() + index;
    }
    let number = number * 2 + usize::from(is_tcp);
    Variant(u8::try_from(number).unwrap_or_default())
}

/// The chosen forms of a variant, and whether it is for a TCP stream.
pub(crate) fn chosen_of(file: &Compiled, variant: Variant) -> (Vec<u8>, bool) {
    let mut number = usize::from(variant.0);
    let is_tcp = number % 2 == 1;
    number /= 2;
    let mut chosen = vec![0; file.tables.choices.len()];
    for (choice, forms) in file.tables.choices.iter().enumerate().rev() {
        let length = forms.len().max(1);
        chosen[choice] = u8::try_from(number % length).unwrap_or_default();
        number /= length;
    }
    (chosen, is_tcp)
}

/// The expectation of a name.
fn name_expected(file: &Compiled) -> &'static str {
    file.requests.first().map_or("a name is expected", |rule| rule.name.kind().expected())
}
