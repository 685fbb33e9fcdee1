//! The requests, responses and events of a capture.

use super::capture::CapturedFrame;
use super::error::DraftError;
use super::lists::{place_of_lists, unlisted};
use super::outcome::{has_keys_of, outcome_paths};
use super::path::{Path, at, is_text_or_integer, paths};
use super::place::owned;
use crate::syntax::{Kind, Syntax, Value};

/// The name of a frame, and its place.
pub(super) type Named = (Path, Value<'static>);

/// The depth of JSON that is read.
const MAX_DEPTH: usize = 64;
/// The most frames of a capture that are looked at: they are compared with each other.
const MAX_FRAMES: usize = 1_000;
/// The longest name of a request, in bytes.
const MAX_NAME: usize = 40;

/// The usual keys of a request's name, the most usual first.
const NAME_KEYS: [&str; 14] = [
    "type",
    "action",
    "mode",
    "cmd",
    "command",
    "method",
    "op",
    "operation",
    "do",
    "event",
    "kind",
    "request",
    "what",
    "re",
];
/// The usual keys of a request's id.
const TAG_KEYS: [&str; 12] = [
    "id",
    "request_id",
    "requestId",
    "req_id",
    "no",
    "seq",
    "tag",
    "rid",
    "ref",
    "nonce",
    "msg_no",
    "correlation_id",
];
/// A frame that was read.
pub(super) struct ReadFrame {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) value: Value<'static>,
}

/// The id of a request, which its response repeats.
pub(super) struct Tag {
    /// Its place in a request.
    pub(super) request: Path,
    /// Its place in a response.
    pub(super) response: Path,
    pub(super) kind: Kind,
}

/// The frames of one name.
pub(super) struct Group {
    pub(super) name: Value<'static>,
    pub(super) requests: Vec<ReadFrame>,
    /// The first response to each that has one.
    pub(super) responses: Vec<Value<'static>>,
}

/// A capture, sorted.
pub(super) struct Conversation {
    /// The name of the syntax in a file.
    pub(super) syntax: &'static str,
    /// The place of the envelopes that are lists. Their items stand under the keys `[0]`, `[1]`, ….
    pub(super) lists: Option<Path>,
    /// The place of a request's name.
    pub(super) name: Path,
    pub(super) tag: Option<Tag>,
    /// The place of the name in responses.
    pub(super) answer: Option<Path>,
    /// The places in responses that tell the outcome.
    pub(super) outcome: Vec<Path>,
    /// The requests by their names, in the order in which they were seen.
    pub(super) groups: Vec<Group>,
    /// Frames that came unasked, by the name that they have at the place of the answer's, or else
    /// of the request's.
    pub(super) events: Vec<(Option<Named>, Vec<Value<'static>>)>,
    /// Texts of the client that are no objects.
    pub(super) ignored: Vec<String>,
    /// The number of frames of the client without a name.
    pub(super) unnamed: usize,
    /// The number of frames that were not looked at.
    pub(super) left_out: usize,
}

impl Conversation {
    /// Sorts the frames of a capture.
    pub(super) fn of(frames: &[CapturedFrame]) -> Result<Self, DraftError> {
        let (frames, left_out) = match frames.split_at_checked(MAX_FRAMES) {
            Some((frames, rest)) => (frames, rest.len()),
            None => (frames, 0),
        };
        let (syntax_name, syntax) = syntax_of(frames)?;
        let mut ignored: Vec<String> = Vec::new();
        let mut read: Vec<(bool, ReadFrame)> = Vec::new();
        for frame in frames {
            match object_or_list(syntax, &frame.text) {
                Some(value) => {
                    let (line, text) = (frame.line, frame.text.clone());
                    read.push((frame.is_clients, ReadFrame { line, text, value }));
                }
                None if frame.is_clients && !ignored.contains(&frame.text) => {
                    ignored.push(frame.text.clone());
                }
                None => {}
            }
        }
        let is_clients = |(is_clients, _): &&(bool, ReadFrame)| *is_clients;
        let clients: Vec<&Value<'_>> =
            read.iter().filter(is_clients).map(|(_, frame)| &frame.value).collect();
        let lists = place_of_lists(&clients);
        if let Some(place) = &lists {
            let frames = read.into_iter().map(|(is_clients, frame)| {
                (is_clients, ReadFrame { value: unlisted(frame.value, place), ..frame })
            });
            read = frames.collect();
        }
        let clients: Vec<&Value<'_>> =
            read.iter().filter(is_clients).map(|(_, frame)| &frame.value).collect();
        let name = name_path(&clients).ok_or_else(|| {
            let lists = read.iter().find(|(_, frame)| matches!(frame.value, Value::List(_)));
            lists.map_or(DraftError::NoName, |(_, list)| DraftError::Array { line: list.line })
        })?;
        let mut turns = turns(&read);
        turns.retain(|(client, _)| at(client, &name).is_some_and(is_name));
        let tag = tag_path(&turns, &name);
        let answer = answer_path(&turns, &name, tag.as_ref());
        let mut sorted = Self {
            syntax: syntax_name,
            lists,
            name,
            tag,
            answer,
            outcome: Vec::new(),
            groups: Vec::new(),
            events: Vec::new(),
            ignored,
            unnamed: 0,
            left_out,
        };
        sorted.sort(read);
        sorted.outcome = sorted.outcome_paths();
        Ok(sorted)
    }

    /// The places in responses that tell the outcome.
    fn outcome_paths(&self) -> Vec<Path> {
        let groups: Vec<&[Value<'static>]> =
            self.groups.iter().map(|group| group.responses.as_slice()).collect();
        let tag = self.tag.as_ref().map(|tag| &tag.response);
        let taken: Vec<&Path> =
            std::iter::once(&self.name).chain(&self.answer).chain(tag).collect();
        outcome_paths(&groups, &taken)
    }

    /// Puts each frame into its group.
    fn sort(&mut self, read: Vec<(bool, ReadFrame)>) {
        let mut current: Option<(usize, Option<Value<'static>>)> = None;
        let mut is_unnamed = false;
        for (is_clients, frame) in read {
            if is_clients {
                let name = at(&frame.value, &self.name).filter(|value| is_name(value)).map(owned);
                is_unnamed = name.is_none();
                let Some(name) = name else {
                    self.unnamed += 1;
                    continue;
                };
                let tag =
                    self.tag.as_ref().and_then(|tag| at(&frame.value, &tag.request)).map(owned);
                let index = self.group(name);
                current = Some((index, tag));
                self.groups[index].requests.push(frame);
                continue;
            }
            if is_unnamed {
                continue;
            }
            match current.take() {
                Some((index, tag)) if self.answers(index, tag.as_ref(), &frame.value) => {
                    self.groups[index].responses.push(frame.value);
                }
                waiting => {
                    current = waiting;
                    self.add_event(frame.value);
                }
            }
        }
    }

    /// True if a frame of the server is the response to a request of this group.
    fn answers(&self, group: usize, tag: Option<&Value<'_>>, frame: &Value<'_>) -> bool {
        if let (Some(place), Some(tag)) = (&self.tag, tag)
            && let Some(found) = at(frame, &place.response)
        {
            return found == tag;
        }
        let Some(answer) = &self.answer else { return true };
        let (name, found) = (&self.groups[group].name, at(frame, answer));
        // A name that no request has may be that of the response alone.
        found.is_some_and(|found| {
            found == name || !self.groups.iter().any(|group| group.name == *found)
        }) && (self.tag.is_none() || found == Some(name))
    }

    fn group(&mut self, name: Value<'static>) -> usize {
        let index = self.groups.iter().position(|group| group.name == name);
        index.unwrap_or_else(|| {
            self.groups.push(Group { name, requests: Vec::new(), responses: Vec::new() });
            self.groups.len() - 1
        })
    }

    fn add_event(&mut self, frame: Value<'static>) {
        let all = paths(&frame, is_text_or_integer);
        let first = all.first().cloned();
        let mut usual = all;
        usual.retain(|path| usual_name(path).is_some());
        usual.sort_by_key(|path| (path.len(), usual_name(path)));
        let paths = self.answer.clone().into_iter().chain([self.name.clone()]);
        let paths = paths.chain(usual).chain(first);
        let mut names = paths.filter_map(|path| {
            let name = at(&frame, &path).filter(|value| is_name(value)).map(owned)?;
            Some((path, name))
        });
        let name = names.next();
        drop(names);
        match self.events.iter_mut().find(|(other, _)| *other == name) {
            Some((_, frames)) => frames.push(frame),
            None => self.events.push((name, vec![frame])),
        }
    }
}

/// The object or the list that a frame is.
fn object_or_list(syntax: Syntax, text: &str) -> Option<Value<'static>> {
    let value = syntax.read(text.as_bytes(), MAX_DEPTH, |value| owned(&value)).ok()?;
    matches!(value, Value::Object(_) | Value::List(_)).then_some(value)
}

/// The syntax in which most frames of the client are objects or lists.
fn syntax_of(frames: &[CapturedFrame]) -> Result<(&'static str, Syntax), DraftError> {
    let clients: Vec<_> = frames.iter().filter(|frame| frame.is_clients).collect();
    let first = clients.first().ok_or(DraftError::NoFrames)?;
    let objects = |(_, syntax): &(&str, Syntax)| {
        clients.iter().filter(|frame| object_or_list(*syntax, &frame.text).is_some()).count()
    };
    // Of several the first: what is JSON is mostly a Python literal too.
    let best = Syntax::NAMES.into_iter().rev().max_by_key(objects);
    let none = DraftError::Syntax { line: first.line };
    best.filter(|syntax| objects(syntax) > 0).ok_or(none)
}

/// True for a value that may be the name of a request.
fn is_name(value: &Value<'_>) -> bool {
    match value {
        Value::Integer(_) => true,
        Value::Text(text) => {
            !text.is_empty() && text.len() <= MAX_NAME && !text.contains(char::is_whitespace)
        }
        _ => false,
    }
}

/// The place that tells the requests apart: one of a usual key, or else the one with the fewest
/// different values, of which each has frames with the same keys. At most a quarter of the frames
/// may be without it: captures have mistakes of clients, too.
fn name_path(clients: &[&Value<'_>]) -> Option<Path> {
    let is_common = |path: &Path| {
        let count = clients.iter().filter(|frame| at(frame, path).is_some_and(is_name)).count();
        count * 4 >= clients.len() * 3
    };
    let mut found: Vec<Path> = Vec::new();
    for path in clients.iter().flat_map(|frame| paths(frame, is_text_or_integer)) {
        if !found.contains(&path) && is_common(&path) {
            found.push(path);
        }
    }
    let names = |path: &Path| -> Vec<&Value<'_>> {
        let mut names: Vec<_> = Vec::new();
        for name in clients.iter().filter_map(|frame| at(frame, path)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    };
    // One value for all is no name where another key has several.
    let rank = |path: &&Path| (names(path).len() == 1, path.len(), usual_name(path));
    let usual = found.iter().filter(|path| usual_name(path).is_some());
    if let Some(path) = usual.min_by_key(rank) {
        return Some(path.clone());
    }
    let is_consistent = |path: &&Path| {
        clients.iter().all(|frame| {
            let same = clients.iter().find(|other| at(other, path) == at(frame, path));
            same.is_none_or(|same| has_keys_of(same, frame))
        })
    };
    let mut consistent = found.iter().filter(is_consistent).collect::<Vec<_>>();
    if consistent.is_empty() {
        consistent = found.iter().collect();
    }
    consistent
        .into_iter()
        .min_by_key(|path| match names(path).len() {
            // Nothing to tell requests apart, or a number of each.
            count if count == 1 || count == clients.len() => usize::MAX,
            count => count,
        })
        .cloned()
}

/// The place of the last key of a path among the usual keys of names.
fn usual_name(path: &Path) -> Option<usize> {
    NAME_KEYS.iter().position(|key| path.last().is_some_and(|last| last == key))
}

/// Each frame of the client with those of the server up to the next.
fn turns(read: &[(bool, ReadFrame)]) -> Vec<(&Value<'static>, Vec<&Value<'static>>)> {
    let mut turns: Vec<(&Value<'static>, Vec<&Value<'static>>)> = Vec::new();
    for (is_clients, frame) in read {
        match (is_clients, turns.last_mut()) {
            (true, _) => turns.push((&frame.value, Vec::new())),
            (false, Some((_, server))) => server.push(&frame.value),
            (false, None) => {}
        }
    }
    turns
}

/// The id of requests: each frame of the client has another one at one place, and each response
/// repeats it at one place.
fn tag_path(turns: &[(&Value<'static>, Vec<&Value<'static>>)], name: &Path) -> Option<Tag> {
    let (first, _) = turns.first()?;
    let answered: Vec<_> = turns.iter().filter(|(_, server)| !server.is_empty()).collect();
    let (_, responses) = answered.first()?;
    let differ = |path: &Path| {
        let tags: Vec<_> = turns.iter().filter_map(|(client, _)| at(client, path)).collect();
        let mut each = tags.iter().enumerate();
        tags.len() == turns.len() && each.all(|(index, tag)| !tags[..index].contains(tag))
    };
    let is_usual = |path: &Path| path.last().is_some_and(|key| TAG_KEYS.contains(&key.as_str()));
    let requests =
        paths(first, is_text_or_integer).into_iter().filter(|path| path != name && differ(path));
    requests.filter(|path| answered.len() > 1 || is_usual(path)).find_map(|request| {
        let repeated = |response: &Path| {
            answered.iter().all(|(client, server)| {
                server.iter().any(|frame| at(frame, response) == at(client, &request))
            })
        };
        let same = std::iter::once(request.clone());
        let others = responses.iter().flat_map(|frame| paths(frame, is_text_or_integer));
        let response = same.chain(others).find(repeated)?;
        let kind = at(first, &request)?.kind();
        Some(Tag { request, response, kind })
    })
}

/// The place of the name in responses: that of the request's, or one that repeats it.
fn answer_path(
    turns: &[(&Value<'static>, Vec<&Value<'static>>)],
    name: &Path,
    tag: Option<&Tag>,
) -> Option<Path> {
    let responses = turns.iter().filter_map(|(client, server)| {
        let is_response = |frame: &&&Value<'static>| match tag {
            Some(tag) => at(frame, &tag.response) == at(client, &tag.request),
            None => true,
        };
        Some((*client, *server.iter().find(is_response)?))
    });
    let responses: Vec<_> = responses.collect();
    let (_, first) = responses.first()?;
    let candidates = std::iter::once(name.clone()).chain(paths(first, is_text_or_integer));
    let repeats =
        |path: &Path| responses.iter().all(|(client, server)| at(server, path) == at(client, name));
    let is_there =
        |path: &Path| responses.iter().all(|(_, server)| at(server, path).is_some_and(is_name));
    let mut candidates: Vec<Path> = candidates.collect();
    let repeated = candidates.iter().position(repeats);
    let position =
        repeated.or_else(|| candidates.iter().position(|path| path == name && is_there(path)));
    position.map(|position| candidates.swap_remove(position))
}
