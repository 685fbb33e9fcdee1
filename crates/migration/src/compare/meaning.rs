//! The meaning of two frames, in the canonical form of the dialect.

use crate::compare::differences::Payload;
use crate::compare::id_map::IdMap;
use crate::fields::{FrameRules, PlaceInBody, RoleOfPart, Route, Value, part_of, value_of};
use crate::payload::{Document, Leaf, Node};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use tolmach_capture::{CapturedFrame, FrameKind, Open, Sender};
use tolmach_dialect::{
    ClientSession, Dialect, FieldRole, FieldRule, Frame, Handshake, Incoming, Pinned, Place,
};
use tolmach_domain::{Answer, ConnectionId, Event, Fault, Timestamp};

/// The time at which all frames are read, in microseconds, so that a wire without times gives both
/// the same.
const NOW: i64 = 1_700_000_000_000_000;

/// The dialects by which frames are understood, by id and revision.
#[derive(Default)]
pub struct Meanings(BTreeMap<(String, String), Arc<dyn Dialect>>);

/// Two frames that answer one request, or two events.
pub(crate) struct Exchange<'e> {
    /// The dialect and the revision.
    pub(crate) dialect: Option<&'e (String, String)>,
    /// The opening of the connection.
    pub(crate) open: Option<&'e Open>,
    /// The client's frame; `None` for events.
    pub(crate) request: Option<&'e CapturedFrame>,
    /// The rules of the dialect.
    pub(crate) rules: &'static [FieldRule],
    /// The route of the request or the connection.
    pub(crate) route: Option<&'e Route>,
    /// The first server's frame.
    pub(crate) a: Payload<'e>,
    /// The second server's frame.
    pub(crate) b: Payload<'e>,
}

/// The value that a client reads from a frame.
#[derive(Debug, PartialEq)]
enum Meaning {
    Response(Result<Answer, Fault>),
    Event(Box<Event>),
}

impl Meanings {
    /// By these dialects, each in all of its revisions. Of several with one revision, the first is
    /// taken.
    pub fn new(dialects: impl IntoIterator<Item = Arc<dyn Dialect>>) -> Self {
        let mut all = BTreeMap::new();
        for dialect in dialects {
            let manifest = dialect.manifest();
            for revision in manifest.revisions {
                let name = (manifest.id.to_owned(), (*revision).to_owned());
                all.entry(name).or_insert_with(|| dialect.clone());
            }
        }
        Self(all)
    }

    /// The places of values in the frames of a revision; `None` if there is no such revision.
    pub fn rules(&self, (id, revision): &(String, String)) -> Option<&'static [FieldRule]> {
        let dialect = self.0.get(&(id.clone(), revision.clone()))?;
        Some(dialect.manifest().field_rules(revision))
    }

    /// The dialects with their revisions, such as `mode/doc`, in order.
    pub fn names(&self) -> Vec<String> {
        self.0.keys().map(|(id, revision)| format!("{id}/{revision}")).collect()
    }

    /// True if a client understands the same by both frames, once the ids, tokens and times of the
    /// second stand as those of the first. False also where one of them is not understood.
    pub(crate) fn is_same(&self, exchange: &Exchange<'_>, ids: &IdMap) -> bool {
        let Some(with_ids_of_a) = in_terms_of_a(exchange, ids) else { return false };
        let of_a = self.meaning(exchange, exchange.a.1);
        of_a.is_some() && of_a == self.meaning_of(exchange, exchange.b.0, &with_ids_of_a)
    }

    fn meaning(&self, exchange: &Exchange<'_>, payload: &[u8]) -> Option<Vec<Meaning>> {
        self.meaning_of(exchange, exchange.a.0, payload)
    }

    fn meaning_of(
        &self,
        exchange: &Exchange<'_>,
        line: &CapturedFrame,
        payload: &[u8],
    ) -> Option<Vec<Meaning>> {
        let name = exchange.dialect?;
        let dialect = Pinned::new(self.0.get(name)?.clone(), &name.1)?;
        let (mut session, correlations) = session_after(&dialect, exchange)?;
        let frame = with_payload(line, Bytes::copy_from_slice(payload))?;
        let frame = with_correlations(frame, &correlations);
        let mut incoming = Vec::new();
        let now = Timestamp::from_micros(NOW);
        session.decode(now, &frame, &mut incoming).ok()?;
        let meaning = |incoming| match incoming {
            Incoming::Response(response) => Meaning::Response(response.outcome),
            Incoming::Event(event) => Meaning::Event(Box::new((*event).clone())),
        };
        let meanings: Vec<Meaning> = incoming.into_iter().map(meaning).collect();
        (!meanings.is_empty()).then_some(meanings)
    }
}

/// Values of correlations in the captured frame, and those that the client session has for them.
type Correlations = Vec<(String, String)>;

/// A client session that has made the request of an exchange.
fn session_after(
    dialect: &dyn Dialect,
    exchange: &Exchange<'_>,
) -> Option<(Box<dyn ClientSession>, Correlations)> {
    let head = head_of(exchange)?;
    let numbers = Arc::default();
    let handshake = |head| {
        let handshake = Handshake::new(ConnectionId(1)).wide_id_numbers(&numbers);
        match head {
            Some(head) => handshake.request(head),
            None => handshake,
        }
    };
    let client = dialect.client()?;
    let mut session = client.connect(&handshake(head.as_ref())).ok()?;
    let Some(request) = exchange.request else { return Some((session, Vec::new())) };
    let frame = request.frame().ok()?;
    let mut server = dialect.accept(&handshake(head.as_ref()).first_frame(&frame)).ok()?;
    let now = Timestamp::from_micros(NOW);
    let mut requests = Vec::new();
    server.decode(now, &frame, &mut requests).ok()?;
    let mut frames = Vec::new();
    for request in &requests {
        session.request(now, request, &mut frames).ok()?;
    }
    let captured = correlations(exchange.rules, frame.payload());
    let own = frames.first().map(|frame| correlations(exchange.rules, frame.payload()));
    let pairs = captured.into_iter().zip(own.unwrap_or_default());
    Some((session, pairs.filter(|(captured, own)| captured != own).collect()))
}

/// The head of the handshake, or of the HTTP request. `None` if it is none of HTTP.
fn head_of(exchange: &Exchange<'_>) -> Option<Option<http::request::Parts>> {
    if let Some(request) = exchange.request
        && request.kind == FrameKind::Request
    {
        let Ok(Frame::Request(request)) = request.frame() else { return None };
        return Some(Some(request.into_parts().0));
    }
    let Some(handshake) = exchange.open.and_then(|open| open.request.as_ref()) else {
        return Some(None);
    };
    let mut request = http::Request::builder().method("GET").uri(&handshake.uri);
    for (name, value) in &handshake.headers {
        request = request.header(name, value);
    }
    Some(Some(request.body(()).ok()?.into_parts().0))
}

fn correlations(rules: &'static [FieldRule], payload: &[u8]) -> Vec<String> {
    let Some(document) = Document::new(payload) else { return Vec::new() };
    let Some(root) = document.root() else { return Vec::new() };
    let mut found = Vec::new();
    for rule in rules {
        if let (FieldRole::Correlation, Place::Body(place)) = (rule.role, rule.place) {
            crate::fields::any_leaf(&root, place, &mut |text| {
                found.push(text.to_owned());
                false
            });
        }
    }
    found
}

/// The same frame with another payload.
fn with_payload(line: &CapturedFrame, payload: Bytes) -> Option<Frame> {
    Some(match line.frame().ok()? {
        Frame::Text(_) => Frame::Text(payload),
        Frame::Binary(_) => Frame::Binary(payload),
        Frame::Value(_) => Frame::Value(payload),
        Frame::Request(request) => Frame::request(request.map(|_| payload)),
        Frame::Response(response) => Frame::response(response.map(|_| payload)),
    })
}

/// The frame with the correlations that the session expects.
fn with_correlations(frame: Frame, correlations: &Correlations) -> Frame {
    if correlations.is_empty() {
        return frame;
    }
    let replaced = replaced(frame.payload(), &mut |leaf| {
        let text = leaf.text();
        let own = correlations.iter().find(|(captured, _)| *captured == text);
        own.map(|(_, own)| leaf.in_form(own))
    });
    match (frame, replaced) {
        (Frame::Text(_), Some(payload)) => Frame::Text(payload),
        (Frame::Binary(_), Some(payload)) => Frame::Binary(payload),
        (Frame::Value(_), Some(payload)) => Frame::Value(payload),
        (frame, _) => frame,
    }
}

/// A payload with those leaves replaced for which `new` gives a value.
fn replaced(payload: &[u8], new: &mut dyn FnMut(&Leaf<'_>) -> Option<String>) -> Option<Bytes> {
    fn visit(
        node: &Node<'_>,
        new: &mut dyn FnMut(&Leaf<'_>) -> Option<String>,
        pieces: &mut Vec<(Range<usize>, String)>,
    ) {
        match node {
            Node::Object(members) => {
                members.iter().for_each(|(_, value)| visit(value, new, pieces));
            }
            Node::List(items) => items.iter().for_each(|item| visit(item, new, pieces)),
            Node::Leaf(leaf) => {
                pieces.extend(new(leaf).map(|value| (leaf.span.clone(), value)));
            }
        }
    }
    let document = Document::new(payload)?;
    let root = document.root()?;
    let mut pieces = Vec::new();
    visit(&root, new, &mut pieces);
    Some(document.replaced(&pieces).into())
}

/// The second frame with the ids, tokens and times of the first. An id that is not known stays.
fn in_terms_of_a(exchange: &Exchange<'_>, ids: &IdMap) -> Option<Vec<u8>> {
    let (document_a, document_b) = (Document::new(exchange.a.1)?, Document::new(exchange.b.1)?);
    let (Some(root_a), Some(root_b)) = (document_a.root(), document_b.root()) else {
        return Some(exchange.b.1.to_vec());
    };
    let place =
        |root| FrameRules::new(exchange.rules, Sender::Server, exchange.route, Some(root)).body();
    let mut pieces = Vec::new();
    unify(Some((&root_a, &place(&root_a))), (&root_b, &place(&root_b)), ids, &mut pieces);
    Some(document_b.replaced(&pieces).into_bytes())
}

type Placed<'v, 'd> = (&'v Node<'d>, &'v PlaceInBody);

fn unify(
    a: Option<Placed<'_, '_>>,
    b: Placed<'_, '_>,
    ids: &IdMap,
    pieces: &mut Vec<(Range<usize>, String)>,
) {
    match b.0 {
        Node::Object(members) => {
            for (key, value) in members {
                let place = a.map(|(_, place)| place.key(key));
                let of_a = a.and_then(|(node, _)| node.get(key)).zip(place.as_ref());
                unify(of_a, (value, &b.1.key(key)), ids, pieces);
            }
        }
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let of_a = a.and_then(|(node, place)| match node {
                    Node::List(items) => Some((items.get(index)?, place.item(index))),
                    Node::Object(_) | Node::Leaf(_) => None,
                });
                let of_a = of_a.as_ref().map(|(node, place)| (*node, &**place));
                unify(of_a, (item, &b.1.item(index)), ids, pieces);
            }
        }
        Node::Leaf(leaf) => {
            let role = b.1.role();
            let of_a = a.and_then(|(node, place)| match node {
                Node::Leaf(leaf) => Some((leaf, place.role())),
                Node::Object(_) | Node::List(_) => None,
            });
            pieces.extend(value_of_a(of_a, leaf, role, ids).map(|new| (leaf.span.clone(), new)));
        }
    }
}

fn value_of_a(
    a: Option<(&Leaf<'_>, Option<RoleOfPart>)>,
    b: &Leaf<'_>,
    role: Option<RoleOfPart>,
    ids: &IdMap,
) -> Option<String> {
    match value_of(b, role) {
        Value::Plain(_) => None,
        Value::Noise(_) => {
            let (of_a, role_of_a) = a?;
            let is_noise = matches!(value_of(of_a, role_of_a), Value::Noise(_));
            (is_noise && of_a.is_text() == b.is_text()).then(|| of_a.raw.to_owned())
        }
        Value::Id(kind, id) => {
            let of_a = ids.of_b(&(kind, id.into()))?;
            let part = part_of(b.text(), role?.1)?;
            Some(b.in_form(&format!("{}{of_a}{}", part.before, part.after)))
        }
    }
}
