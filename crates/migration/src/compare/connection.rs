//! One connection, as two servers have served it.

use crate::compare::attribution::{Attribution, Marks};
use crate::compare::differences::{Payload, differences};
use crate::compare::id_map::IdMap;
use crate::compare::meaning::{Exchange, Meanings};
use crate::compare::normal::Normal;
use crate::fields::{Id, Route};
use crate::payload::{Document, payload_of};
use crate::report::{Cited, Example, FieldDifference, Report, Verdict, cut};
use std::collections::{BTreeMap, HashMap, VecDeque};
use tolmach_capture::{CapturedFrame, Close, FrameKind, Open, Sender};
use tolmach_dialect::{FieldRole, FieldRule};

/// The requests after which frames that are alone are reported.
const PATIENCE: u64 = 32;
/// The frames of one side that may wait for one of the other.
const MAX_WAITING: usize = 8_192;
/// The latest pairs of a flow, or of the answers, that the order of the next is compared with.
const MAX_PAIRS: usize = 64;
/// The flows of a connection whose order is known at a time.
const MAX_FLOWS: usize = 1_024;

/// The two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// A frame of one server that waits for one of the other.
#[derive(Debug)]
struct Waiting {
    /// The place among the server's frames of the connection.
    order: u64,
    /// The line of the capture.
    line: u64,
    /// The number of the newest request when it came.
    after: u64,
    /// The request that it answers; `None` for an event.
    answers: Option<u64>,
    name: Option<String>,
    normal: Normal,
    frame: Box<CapturedFrame>,
}

/// A client's frame.
#[derive(Debug)]
struct Request {
    operation: String,
    route: Option<Route>,
    /// On the first side alone: the clients are the same.
    frame: Option<Box<CapturedFrame>>,
}

#[derive(Debug, Default)]
struct SideState {
    attribution: Attribution,
    /// Client's frames that may still be answered, by their numbers.
    requests: BTreeMap<u64, Request>,
    waiting: VecDeque<Waiting>,
    /// Of those that wait: how many have a signature. Spares most searches.
    signatures: HashMap<u64, usize>,
    /// The frames so far.
    count: u64,
    close: Option<Close>,
    is_open: bool,
}

/// One connection on both sides.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    rules: &'static [FieldRule],
    dialect: Option<(String, String)>,
    open: Option<Box<Open>>,
    sides: [SideState; 2],
    /// The newest request that the first server answered.
    answered_by_a: Option<u64>,
    /// The place of the newest frame of the second server that has one of the first.
    paired_of_b: u64,
    /// The latest pairs of frames, by flow; `None` for answers.
    pairs: HashMap<Option<Id>, VecDeque<(u64, u64)>>,
    /// The bytes of the pairs, about.
    pair_bytes: usize,
    /// The bytes of the frames that are held.
    held: usize,
    /// The number in the second capture.
    number_in_b: Option<u64>,
}

/// The state that the comparison of all connections shares.
pub(crate) struct Shared<'s> {
    /// The ids that are known.
    pub(crate) ids: &'s mut IdMap,
    /// The result.
    pub(crate) report: &'s mut Report,
    /// The dialects, for meanings.
    pub(crate) meanings: &'s Meanings,
}

impl Connection {
    /// A connection with this number in the first capture.
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            rules: &[],
            dialect: None,
            open: None,
            sides: Default::default(),
            answered_by_a: None,
            paired_of_b: 0,
            pairs: HashMap::new(),
            pair_bytes: 0,
            held: 0,
            number_in_b: None,
        }
    }

    /// Notes the opening on one side.
    pub(crate) fn open(&mut self, side: Side, open: Box<Open>) {
        self.sides[side as usize].is_open = true;
        if side == Side::B {
            self.number_in_b = Some(open.connection);
        }
        if side == Side::A || self.open.is_none() {
            self.open = Some(open);
        }
    }

    /// Sets the dialect and its revision, with their rules.
    pub(crate) fn set_dialect(
        &mut self,
        dialect: Option<(String, String)>,
        rules: &'static [FieldRule],
    ) {
        self.dialect = dialect;
        self.rules = rules;
    }

    /// The dialect and the revision, where they are known.
    pub(crate) fn dialect(&self) -> Option<&(String, String)> {
        self.dialect.as_ref()
    }

    /// The bytes that are held, about: frames, requests that may be answered, the order of pairs
    /// and the opening.
    pub(crate) fn held(&self) -> usize {
        let of_requests: usize = self.sides.iter().map(|side| side.attribution.size()).sum();
        self.held + self.pair_bytes + of_requests + self.open.as_deref().map_or(0, size_of_opening)
    }

    /// The number in the second capture, where it was opened there.
    pub(crate) fn number_in_b(&self) -> Option<u64> {
        self.number_in_b
    }

    /// True if so many frames of the first capture wait that those of the second are to be read.
    pub(crate) fn is_ahead(&self) -> bool {
        self.sides[Side::A as usize].waiting.len() > MAX_WAITING / 2
    }

    /// Notes the end on one side.
    pub(crate) fn close(&mut self, side: Side, close: Close) {
        self.sides[side as usize].close = Some(close);
    }

    /// True if it has ended on both sides.
    pub(crate) fn has_ended(&self) -> bool {
        self.sides.iter().all(|side| side.close.is_some())
    }

    /// Adds a frame of one side; `line` is that of its capture.
    pub(crate) fn frame(
        &mut self,
        side: Side,
        line: u64,
        frame: Box<CapturedFrame>,
        shared: &mut Shared<'_>,
    ) {
        let payload = payload_of(&frame);
        let is_http = matches!(frame.kind, FrameKind::Request | FrameKind::Response);
        let document = Document::new(&payload);
        let root = document.as_ref().and_then(Document::root);
        let marks = Marks::new(self.rules, root.as_ref(), is_http);
        if frame.from == Sender::Client {
            drop(root);
            drop(document);
            drop(payload);
            self.request(side, &marks, frame);
            self.settle_the_old(shared);
            return;
        }
        let state = &mut self.sides[side as usize];
        let answers = state.attribution.answered(&marks);
        state.count += 1;
        let (order, after) = (state.count, state.attribution.count());
        if side == Side::A {
            self.answered_by_a = self.answered_by_a.max(answers);
        }
        let route = self.route(side, answers);
        let normal = Normal::new(&frame, &payload, root.as_ref(), self.rules, route.as_ref());
        drop(root);
        drop(document);
        drop(payload);
        let arrived = Waiting { order, line, after, answers, name: marks.name, normal, frame };
        match self.counterpart(side, &arrived, shared.ids) {
            Some(other) => {
                let (a, b) = match side {
                    Side::A => (arrived, other),
                    Side::B => (other, arrived),
                };
                self.paired_of_b = self.paired_of_b.max(b.order);
                self.same(&a, &b, shared);
            }
            None => self.wait(side, arrived),
        }
        if self.sides[side as usize].waiting.len() > MAX_WAITING {
            self.settle(u64::MAX, shared);
        }
    }

    /// Judges all frames that wait, although their counterparts may come, and forgets everything
    /// that is held.
    pub(crate) fn settle_all(&mut self, shared: &mut Shared<'_>) {
        self.settle(u64::MAX, shared);
        self.sides.iter_mut().for_each(|side| side.attribution.forget());
        (self.pairs, self.pair_bytes) = (HashMap::new(), 0);
        if let Some(request) = self.open.as_mut().and_then(|open| open.request.as_mut()) {
            request.headers = Vec::new();
        }
    }

    /// Reports what is left, once nothing more comes.
    pub(crate) fn finish(&mut self, shared: &mut Shared<'_>) {
        self.settle(u64::MAX, shared);
        let [a, b] = &self.sides;
        if !b.is_open && a.is_open {
            let number = self.number;
            shared.report.note(format!("connection {number} is in the first capture only"));
        } else if a.attribution.count() > b.attribution.count() && b.is_open {
            let count = a.attribution.count() - b.attribution.count();
            let number = self.number;
            shared.report.note(format!(
                "connection {number}: {count} frames of the client are in the first capture only"
            ));
        }
        let by_server = |state: &SideState| {
            let close = state.close.as_ref().filter(|close| close.by == Some(Sender::Server));
            close.map(|close| close.code)
        };
        let (of_a, of_b) = (by_server(a), by_server(b));
        let verdict = match (of_a, of_b) {
            (None, None) => return,
            (Some(a), Some(b)) if a == b => {
                shared.report.add_same("close");
                return;
            }
            (Some(_), Some(_)) => Verdict::Differs,
            (Some(_), None) => Verdict::Missing,
            (None, Some(_)) => Verdict::Extra,
        };
        let cited = |code: Option<Option<u16>>| {
            let frame = match code? {
                Some(code) => format!("closed with {code}"),
                None => "closed".to_owned(),
            };
            Some(Cited { line: 0, frame })
        };
        let example = Example {
            verdict,
            connection: self.number,
            request: None,
            a: cited(of_a),
            b: cited(of_b),
            fields: Vec::new(),
        };
        shared.report.add("close", example);
    }

    fn request(&mut self, side: Side, marks: &Marks, frame: Box<CapturedFrame>) {
        let state = &mut self.sides[side as usize];
        let number = state.attribution.request(marks);
        let route = match (&frame.method, &frame.uri) {
            (Some(method), Some(uri)) => Some(Route::new(method, uri)),
            _ => None,
        };
        let operation = match (&frame.command, &marks.name, &route) {
            (Some(command), _, _) => command.clone(),
            (None, Some(name), _) => name.clone(),
            (None, None, Some(route)) => {
                format!("{} {}", route.method, without_numbers(&route.path))
            }
            (None, None, None) => "(unnamed)".to_owned(),
        };
        let frame = (side == Side::A).then_some(frame);
        let request = Request { operation, route, frame };
        self.held += request.size();
        state.requests.insert(number, request);
    }

    /// The route of the request that a frame answers, or of the connection.
    fn route(&self, side: Side, answers: Option<u64>) -> Option<Route> {
        let request = answers.and_then(|number| self.sides[side as usize].requests.get(&number));
        let own = request.and_then(|request| request.route.clone());
        let of_handshake = || {
            let handshake = self.open.as_ref()?.request.as_ref()?;
            Some(Route::new(&handshake.method, &handshake.uri))
        };
        own.or_else(of_handshake)
    }

    /// Takes the frame of the other side that is the same, if it has come.
    fn counterpart(&mut self, side: Side, arrived: &Waiting, ids: &IdMap) -> Option<Waiting> {
        let other = &mut self.sides[1 - side as usize];
        if !other.signatures.contains_key(&arrived.normal.signature) {
            return None;
        }
        let mut best: Option<(usize, usize)> = None;
        for (index, waiting) in other.waiting.iter().enumerate() {
            if waiting.normal.signature != arrived.normal.signature
                || waiting.answers != arrived.answers
            {
                continue;
            }
            let (a, b) = in_order(side, arrived, waiting);
            if !ids.agree(&a.normal.ids, &b.normal.ids) {
                continue;
            }
            let known = ids.known(&a.normal.ids, &b.normal.ids);
            if known == a.normal.ids.len() {
                best = Some((index, known));
                break;
            }
            if best.is_none_or(|(_, most)| known > most) {
                best = Some((index, known));
            }
        }
        best.map(|(index, _)| self.take(1 - side as usize, index))
    }

    fn wait(&mut self, side: Side, frame: Waiting) {
        self.held += frame.size();
        let state = &mut self.sides[side as usize];
        *state.signatures.entry(frame.normal.signature).or_default() += 1;
        state.waiting.push_back(frame);
    }

    fn take(&mut self, side: usize, index: usize) -> Waiting {
        let state = &mut self.sides[side];
        let frame = state.waiting.remove(index).expect("the index is of this queue");
        if let Some(count) = state.signatures.get_mut(&frame.normal.signature) {
            *count -= 1;
            if *count == 0 {
                state.signatures.remove(&frame.normal.signature);
            }
        }
        self.held = self.held.saturating_sub(frame.size());
        frame
    }

    /// Counts two frames that are the same but for ids, tokens and times; learns their ids.
    fn same(&mut self, a: &Waiting, b: &Waiting, shared: &mut Shared<'_>) {
        for (a, b) in a.normal.ids.iter().zip(&b.normal.ids) {
            shared.ids.learn(a, b);
        }
        if self.is_in_order(a, b) {
            let operation = self.operation(a);
            shared.report.add_same(&operation);
        } else {
            self.report(Verdict::Order, Some(a), Some(b), Vec::new(), shared);
        }
    }

    /// True if the two frames stand on the same side of every other pair of answers, or of events
    /// of their flow. An answer and an event have no order.
    fn is_in_order(&mut self, a: &Waiting, b: &Waiting) -> bool {
        // Events that name no flow are taken for those of one.
        let no_flow = || (FieldRole::Flow, Box::from(""));
        let group = match (a.answers, b.answers) {
            (Some(_), Some(_)) => None,
            (None, None) => Some(a.normal.flow().cloned().unwrap_or_else(no_flow)),
            _ => return true,
        };
        if self.pairs.len() > MAX_FLOWS {
            self.pairs.retain(|group, _| group.is_none());
            self.pair_bytes = self.pairs.iter().map(|(of, pairs)| size_of_pairs(of, pairs)).sum();
        }
        let is_new = !self.pairs.contains_key(&group);
        if is_new {
            self.pair_bytes += size_of_pairs(&group, &VecDeque::new());
        }
        let pairs = self.pairs.entry(group).or_default();
        let is_in_order = pairs.iter().all(|(of_a, of_b)| (*of_a < a.order) == (*of_b < b.order));
        pairs.push_back((a.order, b.order));
        if pairs.len() > MAX_PAIRS {
            pairs.pop_front();
        } else {
            self.pair_bytes += size_of::<(u64, u64)>();
        }
        is_in_order
    }

    /// Reports frames that are alone for many requests, and forgets those requests.
    fn settle_the_old(&mut self, shared: &mut Shared<'_>) {
        let [a, b] = &self.sides;
        let count = a.attribution.count().min(b.attribution.count());
        let oldest = |state: &SideState| state.requests.keys().next().copied();
        let oldest = oldest(a).into_iter().chain(oldest(b)).min().unwrap_or(count);
        if count > oldest + 2 * PATIENCE {
            self.settle(count - PATIENCE, shared);
        }
    }

    /// Judges the frames that came before the request with this number.
    fn settle(&mut self, before: u64, shared: &mut Shared<'_>) {
        let mut rest = [Vec::new(), Vec::new()];
        for (side, rest) in rest.iter_mut().enumerate() {
            while self.sides[side].waiting.front().is_some_and(|front| front.after < before) {
                rest.push(Some(self.take(side, 0)));
            }
        }
        let [mut of_a, mut of_b] = rest;
        // The same frame, of another request or class: a wire that gives events the names of
        // answers. Then frames of one request, events of one name, frames of one name.
        let mut passes: Vec<fn(&Waiting, &Waiting) -> bool> =
            vec![|a, b| a.normal.signature == b.normal.signature];
        passes.push(|a, b| a.answers.is_some() && a.answers == b.answers);
        passes.push(|a, b| a.answers.is_none() && b.answers.is_none() && a.name == b.name);
        passes.push(|a, b| a.name.is_some() && a.name == b.name);
        for (pass, is_pair) in passes.into_iter().enumerate() {
            for of_a in &mut of_a {
                let Some(a) = &of_a else { continue };
                let fits = |b: &Option<Waiting>| {
                    b.as_ref().is_some_and(|b| {
                        is_pair(a, b)
                            && (pass > 0 || shared.ids.agree(&a.normal.ids, &b.normal.ids))
                    })
                };
                if let Some(index) = of_b.iter().position(fits)
                    && let (Some(a), Some(b)) = (of_a.take(), of_b[index].take())
                {
                    self.paired_of_b = self.paired_of_b.max(b.order);
                    if pass == 0 && is_out_of_turn(&a, &b) {
                        self.report(Verdict::Order, Some(&a), Some(&b), Vec::new(), shared);
                    } else {
                        self.judge(&a, &b, shared);
                    }
                }
            }
        }
        for a in of_a.into_iter().flatten() {
            self.report(Verdict::Missing, Some(&a), None, Vec::new(), shared);
        }
        let (late, extra): (Vec<_>, Vec<_>) =
            of_b.into_iter().flatten().partition(|b| self.is_late(b));
        for b in extra {
            self.report(Verdict::Extra, None, Some(&b), Vec::new(), shared);
        }
        if !late.is_empty() {
            let (number, count) = (self.number, late.len());
            let frames = if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") };
            shared.report.note(format!(
                "connection {number}: not compared: {frames} of the second server that came after \
                 all of the first one's, where the client closed the connection first"
            ));
        }
        for state in &mut self.sides {
            let kept = if before == u64::MAX {
                BTreeMap::new()
            } else {
                state.requests.split_off(&before)
            };
            let settled = std::mem::replace(&mut state.requests, kept);
            let bytes: usize = settled.values().map(Request::size).sum();
            self.held = self.held.saturating_sub(bytes);
        }
    }

    /// True for a frame of the second server that the first one's client may have closed the
    /// connection before: the last ones, but for a further answer to one request.
    fn is_late(&self, b: &Waiting) -> bool {
        let close = self.sides[Side::A as usize].close.as_ref();
        close.is_some_and(|close| close.by == Some(Sender::Client))
            && b.order > self.paired_of_b
            && b.answers.is_none_or(|to| Some(to) > self.answered_by_a)
    }

    /// Compares two frames field by field, and by meaning where they differ.
    fn judge(&mut self, a: &Waiting, b: &Waiting, shared: &mut Shared<'_>) {
        let route = self.route(Side::A, a.answers);
        let (of_a, of_b) = (payload_of(&a.frame), payload_of(&b.frame));
        let of_a: Payload<'_> = (&a.frame, &of_a);
        let of_b: Payload<'_> = (&b.frame, &of_b);
        let fields = differences(of_a, of_b, self.rules, route.as_ref(), shared.ids);
        if fields.is_empty() {
            self.same(a, b, shared);
            return;
        }
        let request = a.answers.and_then(|number| self.sides[0].requests.get(&number));
        let exchange = Exchange {
            dialect: self.dialect.as_ref(),
            open: self.open.as_deref(),
            request: request.and_then(|request| request.frame.as_deref()),
            rules: self.rules,
            route: route.as_ref(),
            a: of_a,
            b: of_b,
        };
        let verdict = if shared.meanings.is_same(&exchange, shared.ids) {
            Verdict::SameMeaning
        } else {
            Verdict::Differs
        };
        self.report(verdict, Some(a), Some(b), fields, shared);
    }

    fn report(
        &self,
        verdict: Verdict,
        a: Option<&Waiting>,
        b: Option<&Waiting>,
        fields: Vec<FieldDifference>,
        shared: &mut Shared<'_>,
    ) {
        let Some(first) = a.or(b) else { return };
        let request = first.answers.and_then(|number| self.request_of(number));
        let sent = request.and_then(|request| request.frame.as_deref());
        let cited = |frame: &Waiting| Cited { line: frame.line, frame: frame_text(&frame.frame) };
        let example = Example {
            verdict,
            connection: self.number,
            request: sent.map(frame_text),
            a: a.map(cited),
            b: b.map(cited),
            fields,
        };
        let operation = match request {
            Some(request) => request.operation.clone(),
            None => self.operation(first),
        };
        shared.report.add(&operation, example);
    }

    /// The request with this number, of the first side where it is remembered there.
    fn request_of(&self, number: u64) -> Option<&Request> {
        let [a, b] = &self.sides;
        a.requests.get(&number).or_else(|| b.requests.get(&number))
    }

    /// The operation of a frame: of the request that it answers, or the name of the event.
    fn operation(&self, frame: &Waiting) -> String {
        if let Some(request) = frame.answers.and_then(|number| self.request_of(number)) {
            return request.operation.clone();
        }
        match (&frame.frame.command, &frame.name, frame.answers) {
            (_, _, Some(0)) => "handshake".to_owned(),
            (Some(command), _, _) => command.clone(),
            (None, Some(name), _) => format!("event {name}"),
            (None, None, _) => "(unnamed)".to_owned(),
        }
    }
}

impl Waiting {
    /// The bytes that it takes, about.
    fn size(&self) -> usize {
        let of_ids = self.normal.ids.iter().map(|(_, id)| size_of::<Id>() + id.len());
        let name = self.name.as_ref().map_or(0, String::len);
        size_of::<Self>() + name + size_of_frame(&self.frame) + of_ids.sum::<usize>()
    }
}

impl Request {
    /// The bytes that it takes, about.
    fn size(&self) -> usize {
        size_of::<Self>() + self.frame.as_deref().map_or(0, size_of_frame)
    }
}

/// Two frames, the one of A first.
fn in_order<'w>(
    side: Side,
    arrived: &'w Waiting,
    other: &'w Waiting,
) -> (&'w Waiting, &'w Waiting) {
    match side {
        Side::A => (arrived, other),
        Side::B => (other, arrived),
    }
}

/// True for two frames that answer different requests, and for an answer of one server that the
/// other has sent before it got the request.
fn is_out_of_turn(a: &Waiting, b: &Waiting) -> bool {
    match (a.answers, b.answers) {
        (Some(a), Some(b)) => a != b,
        (Some(number), None) => b.after < number,
        (None, Some(number)) => a.after < number,
        (None, None) => false,
    }
}

/// The bytes that a frame takes, about.
fn size_of_frame(frame: &CapturedFrame) -> usize {
    let headers = frame.headers.iter().map(|(name, value)| name.len() + value.len() + 48);
    let text = frame.text.as_ref().or(frame.base64.as_ref()).map_or(0, String::len);
    size_of::<CapturedFrame>() + text + headers.sum::<usize>()
}

/// The bytes of an opening that [`Connection::settle_all`] gives back, about.
fn size_of_opening(open: &Open) -> usize {
    let headers = open.request.iter().flat_map(|request| &request.headers);
    headers.map(|(name, value)| name.len() + value.len() + 48).sum()
}

/// The bytes of the pairs of a flow, about.
fn size_of_pairs(flow: &Option<Id>, pairs: &VecDeque<(u64, u64)>) -> usize {
    let id = flow.as_ref().map_or(0, |(_, id)| id.len());
    size_of::<(Option<Id>, VecDeque<(u64, u64)>)>() + id + pairs.len() * size_of::<(u64, u64)>()
}

/// A path whose numbers and long names stand as `*`.
fn without_numbers(path: &str) -> String {
    let part = |part: &str| {
        let is_id = part.len() > 24 || part.bytes().any(|byte| byte.is_ascii_digit());
        // `v1` and the like are versions.
        let is_version = part.len() < 4 && part.starts_with('v');
        if is_id && !is_version { "*".to_owned() } else { part.to_owned() }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A frame for a person.
fn frame_text(frame: &CapturedFrame) -> String {
    let body = frame.text.as_deref().unwrap_or_default();
    let binary = frame.base64.as_ref().map(|base64| format!("({} bytes)", base64.len() / 4 * 3));
    let body = binary.as_deref().unwrap_or(body);
    let head = match (&frame.method, &frame.uri, frame.status) {
        (Some(method), Some(uri), _) => format!("{method} {uri}"),
        (_, _, Some(status)) => status.to_string(),
        _ => return cut(body),
    };
    if body.is_empty() { cut(&head) } else { cut(&format!("{head}\n{body}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_paths_are_left_out_of_names() {
        for (path, name) in [
            ("/api/v1/chat/17", "/api/v1/chat/*"),
            ("/api/v1/me", "/api/v1/me"),
            ("/u/0b8e2c1a-7f7e-4b1e-9d59-7a1d2f3c4b5a", "/u/*"),
        ] {
            assert_eq!(without_numbers(path), name);
        }
    }
}
