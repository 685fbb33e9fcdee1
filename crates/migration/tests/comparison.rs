//! Captures of all stories, dialects and revisions are compared: with those of a server that does
//! the same, and with those of servers that do not.

mod captures;

use captures::{dialects, stories, title};
use serde_json::Value;
use std::io::Cursor;
use tolmach_capture::{CapturedFrame, Header, Line, Reader, Recorder, Sender, Writer};
use tolmach_dialect::{Dialect, FieldMap, FieldRole, FieldValue, Frame, Route};
use tolmach_migration::compare::{Capture, Meanings, compare};
use tolmach_migration::report::{self, Report};

/// The mutations that are tried, over all dialects and revisions.
const MUTATIONS: usize = 200;

#[test]
fn a_server_that_does_the_same_with_other_ids_tokens_and_times_does_not_differ() {
    let meanings = Meanings::new(dialects());
    for dialect in dialects() {
        let title = title(&*dialect);
        let lines = lines(&*dialect);
        let other = of_another_server(&*dialect, &lines);
        assert_ne!(lines, other, "{title}");
        for b in [&lines, &other] {
            let report = compared(&meanings, &lines, b);
            assert!(report.is_same(), "{title}\n{}", report::text(&report));
            assert!(report.total.same > 20, "{title}: {:?}", report.total);
        }
    }
}

/// A change to the frames of a server, with its name.
type Mutation = (&'static str, fn(&mut Vec<Line>, &[bool], usize) -> bool);

const KINDS: [Mutation; 7] = [
    ("a field dropped", |lines, events, seed| drop_field(lines, events, seed)),
    ("a status changed", |lines, events, seed| change_status(lines, events, seed)),
    ("an order swapped", |lines, events, seed| swap_answers(lines, events, seed)),
    ("a push missing", drop_push),
    ("an answer missing", drop_answer),
    ("an answer twice", double_answer),
    ("a text changed", |lines, events, seed| change_text(lines, events, seed)),
];

#[test]
fn every_planted_difference_is_found() {
    let meanings = Meanings::new(dialects());
    let captures: Vec<_> = dialects()
        .iter()
        .map(|dialect| {
            let (lines, events): (Vec<Line>, Vec<bool>) = stories(&**dialect).into_iter().unzip();
            (title(&**dialect), of_another_server(&**dialect, &lines), lines, events)
        })
        .collect();
    let (mut planted, mut missed) = (0, Vec::new());
    for seed in 0.. {
        let (title, other, lines, events) = &captures[seed % captures.len()];
        let (kind, mutate) = KINDS[(seed / captures.len()) % KINDS.len()];
        let mut mutated = other.clone();
        if !mutate(&mut mutated, events, seed.wrapping_mul(7_919)) {
            continue;
        }
        planted += 1;
        let report = compared(&meanings, lines, &mutated);
        if report.is_same() {
            let changed = changed(other, &mutated);
            missed.push(format!("{title}: {kind}, seed {seed}: {changed}"));
        }
        if planted == MUTATIONS {
            break;
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}

/// The first line that was changed, and what it became.
fn changed(before: &[Line], after: &[Line]) -> String {
    let place = before.iter().zip(after).position(|(before, after)| before != after);
    let shown = |lines: &[Line]| format!("{:?}", place.and_then(|place| lines.get(place)));
    format!("{} became {}", shown(before), shown(after))
}

fn lines(dialect: &dyn Dialect) -> Vec<Line> {
    stories(dialect).into_iter().map(|(line, _)| line).collect()
}

/// The places of a server's frames that fit, and one of them by the seed.
fn pick(lines: &[Line], seed: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let is_server = |line: &Line| matches!(line, Line::Frame(of) if of.from == Sender::Server);
    let places: Vec<usize> =
        (0..lines.len()).filter(|index| is_server(&lines[*index]) && fits(*index)).collect();
    (!places.is_empty()).then(|| places[seed % places.len()])
}

fn body(line: &Line) -> Option<Value> {
    let Line::Frame(frame) = line else { return None };
    serde_json::from_str(frame.text.as_deref()?).ok().filter(Value::is_object)
}

fn set_body(line: &mut Line, body: &Value) {
    let Line::Frame(line) = line else { panic!("a frame was picked") };
    let payload = body.to_string();
    let frame = match line.frame().expect("the stories have frames") {
        Frame::Text(_) => Frame::text(payload),
        Frame::Binary(_) => Frame::Binary(payload.into()),
        Frame::Value(_) => Frame::Value(payload.into()),
        Frame::Request(request) => Frame::request(request.map(|_| payload.into())),
        Frame::Response(response) => Frame::response(response.map(|_| payload.into())),
    };
    put(line, &frame);
}

/// Removes the member of an object with this number, counted through all levels.
fn remove_member(value: &mut Value, number: &mut usize) -> bool {
    match value {
        Value::Object(members) => {
            if *number < members.len() {
                let key = members.keys().nth(*number).cloned();
                key.is_some_and(|key| members.remove(&key).is_some())
            } else {
                *number -= members.len();
                members.values_mut().any(|member| remove_member(member, number))
            }
        }
        Value::Array(items) => items.iter_mut().any(|item| remove_member(item, number)),
        _ => false,
    }
}

fn drop_field(lines: &mut [Line], _: &[bool], seed: usize) -> bool {
    let Some(index) = pick(lines, seed, |index| body(&lines[index]).is_some()) else {
        return false;
    };
    let Some(mut value) = body(&lines[index]) else { return false };
    let members = count_members(&value);
    let mut number = seed % members.max(1);
    let is_removed = remove_member(&mut value, &mut number);
    set_body(&mut lines[index], &value);
    is_removed
}

fn count_members(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            members.len() + members.values().map(count_members).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(count_members).sum(),
        _ => 0,
    }
}

fn change_status(lines: &mut [Line], _: &[bool], seed: usize) -> bool {
    let status = |line: &Line| -> Option<(String, Value)> {
        let value = body(line)?;
        let members = value.as_object()?;
        let found = members.iter().find(|(key, _)| key.contains("status"));
        found.map(|(key, value)| (key.clone(), value.clone()))
    };
    let is_http = |line: &Line| matches!(line, Line::Frame(frame) if frame.status.is_some());
    let fits = |index: usize| is_http(&lines[index]) || status(&lines[index]).is_some();
    let Some(index) = pick(lines, seed, fits) else { return false };
    if let Line::Frame(frame) = &mut lines[index]
        && let Some(old) = frame.status
    {
        frame.status = Some(if old == 200 { 201 } else { 200 });
        return true;
    }
    let (Some((key, old)), Some(mut value)) = (status(&lines[index]), body(&lines[index])) else {
        return false;
    };
    value[key] = match old {
        Value::Number(number) => (number.as_i64().unwrap_or_default() + 1).into(),
        Value::String(text) => format!("{text}_X").into(),
        other => Value::from(format!("{other}")),
    };
    set_body(&mut lines[index], &value);
    true
}

/// The keys and words of a value: two frames that differ in them differ in more than ids, tokens
/// and times.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| match (key.as_str(), value) {
                ("mode" | "type" | "action" | "status", word) => format!("{key}={word};"),
                (_, value) => format!("{key}:{};", shape(value)),
            };
            members.iter().map(member).collect()
        }
        Value::Array(items) => format!("[{}]", items.iter().map(shape).collect::<String>()),
        _ => String::new(),
    }
}

/// Swaps an answer with one to a later request of the connection, if that has another shape.
fn swap_answers(lines: &mut [Line], events: &[bool], seed: usize) -> bool {
    let next = |index: usize| {
        let of = |line: &Line| match line {
            Line::Frame(frame) if frame.from == Sender::Server => {
                Some((frame.connection, body(line).map(|body| shape(&body)), frame.status))
            }
            _ => None,
        };
        let (connection, shape, status) = of(&lines[index])?;
        let is_of = |line: &Line, sender| {
            matches!(line, Line::Frame(frame)
                if frame.connection == connection && frame.from == sender)
        };
        let request = (index + 1..lines.len()).find(|at| is_of(&lines[*at], Sender::Client))?;
        let later = (request + 1..lines.len())
            .find(|later| !events[*later] && is_of(&lines[*later], Sender::Server))?;
        let (_, other, of_other) = of(&lines[later])?;
        (other != shape || of_other != status).then_some(later)
    };
    let picked = pick(lines, seed, |index| !events[index] && next(index).is_some());
    let Some((index, other)) = picked.and_then(|index| Some((index, next(index)?))) else {
        return false;
    };
    lines.swap(index, other);
    true
}

fn drop_push(lines: &mut Vec<Line>, events: &[bool], seed: usize) -> bool {
    let picked = pick(lines, seed, |index| events[index]);
    picked.map(|index| lines.remove(index)).is_some()
}

fn drop_answer(lines: &mut Vec<Line>, events: &[bool], seed: usize) -> bool {
    let picked = pick(lines, seed, |index| !events[index]);
    picked.map(|index| lines.remove(index)).is_some()
}

fn double_answer(lines: &mut Vec<Line>, _: &[bool], seed: usize) -> bool {
    let picked = pick(lines, seed, |_| true);
    picked.map(|index| lines.insert(index, lines[index].clone())).is_some()
}

fn change_text(lines: &mut [Line], _: &[bool], seed: usize) -> bool {
    const OLD: &str = "ann";
    let fits = |index: usize| {
        matches!(&lines[index], Line::Frame(frame)
            if frame.text.as_ref().is_some_and(|text| text.contains(OLD)))
    };
    let Some(index) = pick(lines, seed, fits) else { return false };
    if let Line::Frame(frame) = &mut lines[index] {
        frame.text = frame.text.as_ref().map(|text| text.replacen(OLD, "hanna", 1));
    }
    true
}

/// The same conversation with another server: its ids, tokens and times are others.
fn of_another_server(dialect: &dyn Dialect, lines: &[Line]) -> Vec<Line> {
    let map = FieldMap::of(dialect.manifest(), dialect.manifest().revisions[0]);
    let mut route: Option<(u64, String, String)> = None;
    let mut handshakes: Vec<(u64, String)> = Vec::new();
    let mut edited = lines.to_vec();
    for line in &mut edited {
        match line {
            Line::Open(open) => {
                if let Some(request) = &open.request {
                    handshakes.push((open.connection, path(&request.uri)));
                }
                open.of = Some(open.connection);
                open.connection += 500_000;
            }
            Line::Close(close) => close.connection += 500_000,
            Line::Frame(frame) => {
                let connection = frame.connection;
                frame.connection += 500_000;
                if frame.from == Sender::Client {
                    if let (Some(method), Some(uri)) = (&frame.method, &frame.uri) {
                        route = Some((connection, method.clone(), path(uri)));
                    }
                    continue;
                }
                let of_request = route.as_ref().filter(|(of, ..)| *of == connection);
                let of_handshake = handshakes.iter().find(|(of, _)| *of == connection);
                let route = match (of_request, of_handshake) {
                    (Some((_, method, path)), _) => Some(Route { method, path }),
                    (None, Some((_, path))) => Some(Route { method: "GET", path }),
                    (None, None) => None,
                };
                let old = frame.frame().expect("the stories have frames");
                let new = map.edit(Sender::Server, route, &old, &mut other_value);
                if let Ok(Some(new)) = new {
                    put(frame, &new);
                }
            }
            Line::Capture(_) | Line::Gap(_) => {}
        }
    }
    edited
}

/// Gives a line the payload and the head of another frame.
fn put(line: &mut CapturedFrame, frame: &Frame) {
    *line = CapturedFrame {
        command: line.command.take(),
        ..CapturedFrame::new(line.connection, line.at, line.from, frame)
    };
}

fn path(uri: &str) -> String {
    uri.split('?').next().unwrap_or_default().to_owned()
}

fn other_value(value: &FieldValue<'_>) -> Option<String> {
    let text = value.text.as_ref();
    if matches!(text, "" | "0" | "null" | "None") {
        return None;
    }
    match value.role? {
        FieldRole::User => Some(other_id(text, 1_000)),
        FieldRole::Flow => Some(other_id(text, 20_000)),
        FieldRole::Message => Some(other_id(text, 300_000)),
        FieldRole::OtherId => Some(other_id(text, 7)),
        FieldRole::Token => Some(format!("another-{text}")),
        FieldRole::Time => Some(
            text.chars()
                .map(|digit| if matches!(digit, '1'..='8') { '9' } else { digit })
                .collect(),
        ),
        _ => None,
    }
}

fn other_id(text: &str, more: i64) -> String {
    match text.parse::<i64>() {
        Ok(number) => (number + more).to_string(),
        Err(_) => text.chars().map(|digit| if digit == '0' { 'f' } else { digit }).collect(),
    }
}

/// Compares two captures, given by their lines without headers.
fn compared(meanings: &Meanings, a: &[Line], b: &[Line]) -> Report {
    let capture = |name: &str, recorder, lines: &[Line]| {
        let mut writer =
            Writer::new(Vec::new(), Header::new(recorder, Vec::new())).expect("memory takes it");
        lines.iter().for_each(|line| writer.write(line).expect("memory takes it"));
        let bytes = writer.finish().expect("memory takes it");
        Capture { name: name.to_owned(), reader: Reader::new(name, Cursor::new(bytes)) }
    };
    let (a, b) = (capture("a", Recorder::Gateway, a), capture("b", Recorder::Replay, b));
    compare(a, b, meanings, None).expect("the captures are whole")
}
