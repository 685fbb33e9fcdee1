//! Captures of all stories, dialects and revisions are compared: with those of a server that does
//! the same, and with those of servers that do not.

mod captures;

use captures::{dialects, stories, title};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Cursor;
use tolmach_capture::{CapturedFrame, Close, Header, Line, Reader, Recorder, Sender, Writer};
use tolmach_dialect::{Dialect, FieldMap, FieldRole, FieldValue, Frame, Route};
use tolmach_migration::compare::{Capture, Meanings, compare};
use tolmach_migration::report::{self, Report};

/// The difference between the number of a connection of the other server and that of the first.
const OTHER_CONNECTIONS: u64 = 500_000;
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
        let numbers: BTreeSet<u64> = lines.iter().filter_map(story).collect();
        for number in numbers {
            let report = compared(&meanings, &of_story(&lines, number), &of_story(&other, number));
            assert!(report.is_same(), "{title}, story {number}\n{}", report::text(&report));
        }
    }
}

/// The number of the story that a line belongs to.
fn story(line: &Line) -> Option<u64> {
    Some(line.connection()? % OTHER_CONNECTIONS / 1_000)
}

/// The lines of one story.
fn of_story(lines: &[Line], number: u64) -> Vec<Line> {
    lines.iter().filter(|line| story(line) == Some(number)).cloned().collect()
}

/// The events and the dialect of the frames that are changed, and the number of the trial.
struct Trial<'t> {
    dialect: &'t dyn Dialect,
    events: &'t [bool],
    seed: usize,
}

/// A change to the frames of a server, with its name.
type Mutation = (&'static str, fn(&mut Vec<Line>, &Trial<'_>) -> bool);

const KINDS: [Mutation; 9] = [
    ("a field dropped", |lines, trial| drop_field(lines, trial.seed)),
    ("a status changed", |lines, trial| change_status(lines, trial.seed)),
    ("an order swapped", |lines, trial| swap_answers(lines, trial.events, trial.seed)),
    ("a push missing", |lines, trial| drop_push(lines, trial.events, trial.seed)),
    ("an answer missing", |lines, trial| drop_answer(lines, trial.events, trial.seed)),
    ("an answer twice", |lines, trial| double_answer(lines, trial.seed)),
    ("a text changed", |lines, trial| change_text(lines, trial.seed)),
    ("a wrong id", |lines, trial| change_id(lines, trial)),
    ("a number changed as an id is", |lines, trial| change_number(lines, trial)),
];

#[test]
fn every_planted_difference_is_found() {
    let meanings = Meanings::new(dialects());
    let dialects = dialects();
    let captures: Vec<_> = dialects
        .iter()
        .map(|dialect| {
            let (lines, events): (Vec<Line>, Vec<bool>) = stories(&**dialect).into_iter().unzip();
            (dialect, of_another_server(&**dialect, &lines), lines, events)
        })
        .collect();
    let (mut planted, mut planted_kinds, mut missed) = (0, BTreeSet::new(), Vec::new());
    for seed in 0.. {
        let (dialect, other, lines, events) = &captures[seed % captures.len()];
        let trial = Trial { dialect: &***dialect, events, seed: seed.wrapping_mul(7_919) };
        let (kind, mutate) = KINDS[(seed / captures.len()) % KINDS.len()];
        let mut mutated = other.clone();
        if !mutate(&mut mutated, &trial) {
            continue;
        }
        planted += 1;
        planted_kinds.insert(kind);
        let differs = |a: &[Line], b: &[Line]| !compared(&meanings, a, b).is_same();
        // Connections are compared apart but for ids, of which a whole capture knows more.
        let differs_alone = |number| differs(&of_story(lines, number), &of_story(&mutated, number));
        let place = other.iter().zip(&mutated).find(|(before, after)| before != after);
        let number = place.and_then(|(before, _)| story(before));
        if !number.is_some_and(differs_alone) && !differs(lines, &mutated) {
            let changed = changed(other, &mutated);
            let title = title(trial.dialect);
            missed.push(format!("{title}: {kind}, seed {seed}: {changed}"));
        }
        if planted == MUTATIONS {
            break;
        }
    }
    assert_eq!(missed, Vec::<String>::new());
    assert_eq!(planted_kinds.len(), KINDS.len(), "{planted_kinds:?}");
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

fn drop_field(lines: &mut [Line], seed: usize) -> bool {
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

fn change_status(lines: &mut [Line], seed: usize) -> bool {
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

fn double_answer(lines: &mut Vec<Line>, seed: usize) -> bool {
    let picked = pick(lines, seed, |_| true);
    picked.map(|index| lines.insert(index, lines[index].clone())).is_some()
}

fn change_text(lines: &mut [Line], seed: usize) -> bool {
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

/// Puts an id of another object of the same kind in the place of one.
fn change_id(lines: &mut [Line], trial: &Trial<'_>) -> bool {
    let mut ids = Vec::new();
    edit_server(trial.dialect, lines, &mut |value| {
        ids.push(id_of(value));
        None
    });
    let places: Vec<usize> = (0..ids.len()).filter(|place| ids[*place].is_some()).collect();
    let Some(place) = places.get(trial.seed % places.len().max(1)).copied() else { return false };
    let is_other = |other: &&Option<(FieldRole, bool, String)>| match (other, &ids[place]) {
        (Some(other), Some(own)) => other.0 == own.0 && other.1 == own.1 && other.2 != own.2,
        _ => false,
    };
    let Some((_, _, new)) = ids.iter().find(is_other).and_then(Option::as_ref) else {
        return false;
    };
    change_at(trial.dialect, lines, place, new);
    true
}

/// Changes a number that is no id as the ids of the servers differ that have this number.
fn change_number(lines: &mut [Line], trial: &Trial<'_>) -> bool {
    let (mut ids, mut numbers) = (BTreeSet::new(), Vec::new());
    edit_server(trial.dialect, lines, &mut |value| {
        ids.extend(id_of(value).map(|(role, _, text)| (role as usize, text)));
        let is_plain = matches!(value.role, None | Some(FieldRole::Word)) && !value.is_text;
        numbers.push(value.text.parse::<i64>().ok().filter(|_| is_plain));
        None
    });
    let as_id = |number: i64| {
        let roles = [FieldRole::User, FieldRole::Flow, FieldRole::Message].into_iter();
        let mut others = roles
            .filter_map(|role| Some((role as usize, other_id(&number.to_string(), more(role)?))));
        others.find(|other| ids.contains(other)).map(|(_, text)| text)
    };
    let all = numbers.iter().enumerate();
    let places: Vec<(usize, String)> =
        all.filter_map(|(place, number)| Some((place, as_id((*number)?)?))).collect();
    let Some((place, new)) = places.get(trial.seed % places.len().max(1)) else { return false };
    change_at(trial.dialect, lines, *place, new);
    true
}

/// The kind, the syntax and the text of an id.
fn id_of(value: &FieldValue<'_>) -> Option<(FieldRole, bool, String)> {
    let role = value.role?;
    let is_id = more(role).is_some() && !matches!(&*value.text, "" | "0" | "null" | "None");
    is_id.then(|| (role, value.is_text, value.text.to_string()))
}

/// Puts a text in the place of the value with this number, counted through all frames of servers.
fn change_at(dialect: &dyn Dialect, lines: &mut [Line], place: usize, new: &str) {
    let mut number = 0;
    edit_server(dialect, lines, &mut |_| {
        number += 1;
        (number == place + 1).then(|| new.to_owned())
    });
}

/// The same conversation with another server: its ids, tokens and times are others.
fn of_another_server(dialect: &dyn Dialect, lines: &[Line]) -> Vec<Line> {
    let mut edited = lines.to_vec();
    edit_server(dialect, &mut edited, &mut other_value);
    for line in &mut edited {
        match line {
            Line::Open(open) => {
                open.of = Some(open.connection);
                open.connection += OTHER_CONNECTIONS;
            }
            Line::Frame(frame) => frame.connection += OTHER_CONNECTIONS,
            Line::Close(close) => close.connection += OTHER_CONNECTIONS,
            Line::Capture(_) | Line::Gap(_) => {}
        }
    }
    edited
}

/// Shows all values of the frames of servers to `edit`, and puts its texts in their places.
fn edit_server(
    dialect: &dyn Dialect,
    lines: &mut [Line],
    edit: &mut dyn FnMut(&FieldValue<'_>) -> Option<String>,
) {
    let map = FieldMap::of(dialect.manifest(), dialect.manifest().revisions[0]);
    let mut route: Option<(u64, String, String)> = None;
    let mut handshakes: Vec<(u64, String)> = Vec::new();
    for line in lines {
        match line {
            Line::Open(open) => {
                if let Some(request) = &open.request {
                    handshakes.push((open.connection, path(&request.uri)));
                }
            }
            Line::Frame(frame) => {
                let connection = frame.connection;
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
                if let Ok(Some(new)) = map.edit(Sender::Server, route, &old, edit) {
                    put(frame, &new);
                }
            }
            Line::Close(_) | Line::Capture(_) | Line::Gap(_) => {}
        }
    }
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
        FieldRole::OtherId => Some(other_id(text, 7)),
        FieldRole::Token => Some(format!("another-{text}")),
        FieldRole::Time => Some(
            text.chars()
                .map(|digit| if matches!(digit, '1'..='8') { '9' } else { digit })
                .collect(),
        ),
        role => more(role).map(|more| other_id(text, more)),
    }
}

/// The difference between an id of the other server and that of the first.
fn more(role: FieldRole) -> Option<i64> {
    match role {
        FieldRole::User => Some(1_000),
        FieldRole::Flow => Some(20_000),
        FieldRole::Message => Some(300_000),
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

#[test]
fn a_listener_with_more_pushes_than_may_wait_does_not_differ() {
    let frame = |from: Sender, text: String| {
        Line::Frame(Box::new(CapturedFrame::new(1, 0, from, &Frame::text(text))))
    };
    let open = json!({"connection": 1, "at": 0, "transport": "websocket"});
    let open = serde_json::from_value(open).expect("it is an opening");
    let mut lines = vec![Line::Open(Box::new(open))];
    lines.push(frame(Sender::Client, r#"{"type":"listen"}"#.to_owned()));
    lines.extend((0..10_000).map(|number| {
        frame(Sender::Server, json!({"type": "push", "text": number.to_string()}).to_string())
    }));
    lines.push(frame(Sender::Client, r#"{"type":"leave"}"#.to_owned()));
    let report = compared(&Meanings::new(Vec::new()), &lines, &lines);
    assert!(report.is_same(), "{}", report::text(&report));
    assert_eq!(report.total.same, 10_000);
}

#[test]
fn what_comes_once_the_first_client_may_have_gone_is_noted_and_no_difference() {
    let frame = |from: Sender, name: &str| {
        let text = json!({"type": name}).to_string();
        Line::Frame(Box::new(CapturedFrame::new(1, 0, from, &Frame::text(text))))
    };
    let asked = |name| frame(Sender::Client, name);
    let told = |name| frame(Sender::Server, name);
    let capture = |by: Sender, frames: Vec<Line>| {
        let open = json!({"connection": 1, "at": 0, "transport": "websocket"});
        let open = serde_json::from_value(open).expect("it is an opening");
        let close = Close { connection: 1, at: 0, by: Some(by), code: Some(1000) };
        [vec![Line::Open(Box::new(open))], frames, vec![Line::Close(close)]].concat()
    };
    let (client, server) = (Sender::Client, Sender::Server);
    for (case, by, a, b, extra) in [
        ("an answer", client, vec![asked("x")], vec![asked("x"), told("x")], 0),
        (
            "an event",
            client,
            vec![asked("x"), told("x")],
            vec![asked("x"), told("x"), told("push")],
            0,
        ),
        (
            "a second answer",
            client,
            vec![asked("x"), told("x")],
            vec![asked("x"), told("x"), told("x")],
            1,
        ),
        (
            "an event before others",
            client,
            vec![asked("x"), told("x")],
            vec![asked("x"), told("push"), told("x")],
            1,
        ),
        ("the server closed", server, vec![asked("x")], vec![asked("x"), told("x")], 1),
    ] {
        let report = compared(&Meanings::new(Vec::new()), &capture(by, a), &capture(by, b));
        assert_eq!(report.total.extra, extra, "{case}: {}", report::text(&report));
        let noted = report.notes.iter().any(|note| note.contains("1 frame of the second server"));
        assert_eq!(noted, extra == 0, "{case}");
    }
}
