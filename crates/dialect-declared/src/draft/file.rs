//! The draft of a file.

use super::capture;
use super::conversation::{Conversation, Group};
use super::error::DraftError;
use super::guess::{Meaning, id, key, meaning, time};
use super::lists::{listed, place_of_fields};
use super::outcome::has_keys_of;
use super::path::{Path, at};
use super::pattern::{Entry, LAYERS, Written, any, brackets, constant, frame, nested, toml_string};
use super::place::{Place, owned};
use crate::dialect::{Declared, DialectFile};
use crate::syntax::{Kind, Value, item_index};
use tolmach_dialect::{Dialect, Frame, Handshake};
use tolmach_domain::{ConnectionId, Timestamp};

/// The name that the draft has in problems.
const NAME: &str = "draft.toml";
/// The most responses of other keys that comments show.
const MAX_SAMPLES: usize = 3;
/// The mark of a question to a person.
const DECIDE: &str = "DECIDE";

/// A draft of a dialect file that matches every frame of the client in a capture.
///
/// The capture is a text of lines. A line is an object with `dir` (`client` or `server`) and
/// `frame`, or a frame after `>` of the client or `<` of the server. What the frames do not tell is
/// marked `DECIDE` for a person: the draft passes its check as it is, and is no finished dialect.
///
/// # Errors
/// [`DraftError`]: there are no frames, they are of no known syntax, or nothing tells them apart.
pub fn draft(id: &str, capture: &str) -> Result<String, DraftError> {
    let conversation = Conversation::of(&capture::read(capture))?;
    let wire = Wire::of(conversation);
    let mut blocks: Vec<Block> = (0..wire.conversation.groups.len())
        .map(|index| Block { texts: wire.request(index), level: 0, group: Some(index) })
        .collect();
    let events = (0..wire.conversation.events.len()).map(|index| Block {
        texts: wire.event(index),
        level: 0,
        group: None,
    });
    blocks.extend(events);
    loop {
        let (text, starts) = assembled(&wire.head(id), &blocks);
        let Some((block, line, reason)) = wire.problem(&text, &starts, &blocks) else {
            return Ok(text);
        };
        let lower = block.filter(|block| blocks[*block].level + 1 < blocks[*block].texts.len());
        match lower {
            Some(block) => blocks[block].level += 1,
            None => return Err(DraftError::Unmatched { line, reason }),
        }
    }
}

/// A part of the draft, from its best text to the one that is sure to be correct.
struct Block {
    texts: Vec<String>,
    level: usize,
    /// The requests that it is of.
    group: Option<usize>,
}

/// The text of a file, and the line at which each block begins.
fn assembled(head: &str, blocks: &[Block]) -> (String, Vec<usize>) {
    let (mut text, mut starts) = (head.to_owned(), Vec::new());
    for block in blocks {
        text.push('\n');
        starts.push(text.matches('\n').count() + 1);
        text.push_str(&block.texts[block.level]);
    }
    (text, starts)
}

/// A conversation with what all its frames have in common.
struct Wire {
    conversation: Conversation,
    /// All frames of the client.
    requests: Place,
    /// All responses.
    responses: Place,
    /// The cells of a success, by the columns, and those of a refusal.
    ok: Vec<Value<'static>>,
    refused: Option<Vec<Value<'static>>>,
    /// True if requests have a token.
    has_tokens: bool,
    /// The places of the fields in requests, responses and events.
    fields: [Fields; 3],
}

/// The place of the fields in frames of one kind.
#[derive(Clone)]
enum Fields {
    /// The whole frame: envelopes are objects.
    Whole,
    /// An object in the list that the envelope is.
    Within(Path),
    /// Nowhere: the lists have no object.
    Nowhere,
}

/// Decides on a place by its path from the root, its path among the fields, and its values.
type Choose<'a> = dyn FnMut(&[String], &[String], &Place) -> Written + 'a;

impl Fields {
    /// The place of the fields of these frames, and the path to it.
    fn of<'p>(&self, frames: &'p Place) -> Option<(&[String], &'p Place)> {
        match self {
            Fields::Whole => Some((&[], frames)),
            Fields::Within(path) => Some((path, frames.at(path)?)),
            Fields::Nowhere => None,
        }
    }

    /// The pattern of the fields of these frames; `{}` where they have none.
    fn frame(&self, frames: &Place, choose: &mut Choose<'_>) -> String {
        let Some((before, place)) = self.of(frames) else { return "{}".to_owned() };
        frame(place, &mut Vec::new(), &mut |path, place| {
            let whole: Vec<String> = before.iter().chain(path).cloned().collect();
            choose(&whole, path, place)
        })
    }
}

impl Wire {
    fn of(mut conversation: Conversation) -> Self {
        let groups = &conversation.groups;
        let requests = Place::of(values_of_requests(&conversation));
        let all: Vec<&Value<'static>> = groups.iter().flat_map(|group| &group.responses).collect();
        let responses = Place::of(all.iter().copied());
        let mut rows: Vec<(Vec<Value<'static>>, usize)> = Vec::new();
        for response in &all {
            let row = cells(&conversation.outcome, response);
            match rows.iter_mut().find(|(other, _)| *other == row) {
                Some((_, count)) => *count += 1,
                None => rows.push((row, 1)),
            }
        }
        let most = |rows: &[(Vec<Value<'static>>, usize)]| {
            rows.iter().rev().max_by_key(|(_, count)| *count).map(|(row, _)| row.clone())
        };
        let ok = most(&rows).unwrap_or_default();
        rows.retain(|(row, _)| *row != ok);
        let refused = most(&rows);
        // The columns of a success first: a row may be shorter, and not begin later.
        let mut order: Vec<usize> = (0..conversation.outcome.len()).collect();
        order.sort_by_key(|index| ok[*index] == Value::Null);
        let sorted =
            |row: &[Value<'static>]| order.iter().map(|index| row[*index].clone()).collect();
        let (ok, refused) = (sorted(&ok), refused.as_deref().map(sorted));
        conversation.outcome =
            order.iter().map(|index| conversation.outcome[*index].clone()).collect();
        let has_tokens = has_token(&requests, &mut Vec::new());
        let fields = [
            fields_of(&conversation, values_of_requests(&conversation)),
            fields_of(&conversation, all),
            fields_of(&conversation, conversation.events.iter().flat_map(|(_, frames)| frames)),
        ];
        Self { conversation, requests, responses, ok, refused, has_tokens, fields }
    }

    /// Everything before the requests.
    fn head(&self, id: &str) -> String {
        let Self { conversation, .. } = self;
        let frames: usize = conversation.groups.iter().map(|group| group.requests.len()).sum();
        let credentials = if self.has_tokens { "field" } else { "connection" };
        let mut text = format!(
            "# A draft of the dialect {id}, from {frames} frames of a client. It matches each.\n\
             # {DECIDE} marks what they do not tell. docs/dialects.md leads on from here;\n\
             # docs/dialect-files.md is the reference.\n\n\
             [dialect]\nid = \"{id}\"\nsummary = \"one line for people\"\n\
             syntax = \"{}\"\npaths = [\"/{id}\"]\n\
             credentials = \"{credentials}\"\n",
            conversation.syntax
        );
        if !conversation.ignored.is_empty() {
            let texts: Vec<String> =
                conversation.ignored.iter().map(|text| toml_string(text)).collect();
            text.push_str(&format!("ignore = [{}]\n", texts.join(", ")));
        }
        if conversation.unnamed > 0 {
            text.push_str(&format!(
                "# {DECIDE}: {} more frames have no name, and are malformed for this draft.\n",
                conversation.unnamed
            ));
        }
        if conversation.left_out > 0 {
            text.push_str(&format!(
                "# The capture has {} more frames: draft from a part that has all kinds of them.\n",
                conversation.left_out
            ));
        }
        let opens = self.envelope();
        text.push_str(&format!(
            "# {DECIDE}: keys that no other dialect has tell it apart on shared paths, such as\n\
             # opens = {}\n",
            toml_string(
                &opens
                    .replace("<name>", &any(self.name_place()))
                    .replace("<tag", "<_")
                    .replace(", +{}", "")
            )
        ));
        text.push_str(&format!(
            "\n# {DECIDE}: a row for each fault that clients tell apart, such as no_such_flow,\n\
             # wrong_credentials, invalid, unknown, malformed; \"*\" is every other one.\n\
             [outcomes]\n"
        ));
        text.push_str(&self.outcomes());
        text.push_str(&format!(
            "\n[envelope]\nrequest = {}\nresponse = {}\n",
            toml_string(&opens),
            toml_string(&self.response_envelope())
        ));
        let event = conversation.events.iter().find_map(|(name, _)| name.as_ref());
        let event = event.map_or_else(
            || "{}".to_owned(),
            |(path, _)| {
                let frames = conversation.events.iter().flat_map(|(_, frames)| frames);
                self.enveloped(vec![entry(path, "", "<name>")], &self.fields[2], frames)
            },
        );
        text.push_str(&format!("event = {}\n", toml_string(&event)));
        text
    }

    fn name_place(&self) -> &Place {
        self.requests.at(&self.conversation.name).unwrap_or(&self.requests)
    }

    /// The envelope of requests: their name and their id.
    fn envelope(&self) -> String {
        let mut entries = vec![entry(&self.conversation.name, "", "<name>")];
        entries.extend(
            self.conversation.tag.as_ref().map(|tag| entry(&tag.request, "", tag_hole(tag.kind))),
        );
        self.enveloped(entries, &self.fields[0], values_of_requests(&self.conversation))
    }

    /// An envelope with these entries. Of a list, other items are those of the first frame, and the
    /// object of the fields is what frames are laid over.
    fn enveloped<'v>(
        &self,
        mut entries: Vec<Entry>,
        fields: &Fields,
        frames: impl IntoIterator<Item = &'v Value<'static>>,
    ) -> String {
        if let Fields::Within(path) = fields {
            entries.push(entry(path, "", LAYERS));
        }
        let items = self.conversation.lists.as_ref().and_then(|place| {
            let frame = frames.into_iter().find(|frame| at(frame, place).is_some())?;
            Some((place, at(frame, place)?))
        });
        if let Some((place, Value::Object(items))) = items {
            for (key, item) in items {
                let path: Path = place.iter().cloned().chain([key.to_string()]).collect();
                if !entries.iter().any(|entry| entry.path.starts_with(&path)) {
                    entries.push(entry(&path, "", &constant(item)));
                }
            }
        }
        let entries: Vec<&Entry> = entries.iter().collect();
        nested(&entries, 0, self.conversation.lists.as_ref())
    }

    /// The envelope of responses: the name, the id and the outcome.
    fn response_envelope(&self) -> String {
        let Self { conversation, responses, .. } = self;
        let mut entries: Vec<Entry> = Vec::new();
        entries.extend(conversation.answer.as_ref().map(|path| entry(path, "", "<name>")));
        entries.extend(conversation.tag.as_ref().map(|tag| entry(&tag.response, "", "<tag>")));
        for (path, column) in conversation.outcome.iter().zip(self.columns()) {
            let is_everywhere = responses.at(path).is_some_and(|at| at.count == responses.objects);
            let mark = if is_everywhere { "" } else { "?" };
            let value = format!("<outcome.{column}>");
            entries.push(Entry { path: path.clone(), mark, value });
        }
        let responses = conversation.groups.iter().flat_map(|group| &group.responses);
        self.enveloped(entries, &self.fields[1], responses)
    }

    /// The names of the columns: the last keys of their places, with those before them where two
    /// would have one name.
    fn columns(&self) -> Vec<String> {
        let places = &self.conversation.outcome;
        let is_last = |path: &Path| {
            places.iter().filter(|other| other.last() == path.last()).nth(1).is_none()
        };
        let name = |path: &Path| match path.last() {
            Some(last) if is_last(path) => column(last),
            _ => column(&path.join("_")),
        };
        places.iter().map(name).collect()
    }

    /// True for a response that grants its request, as far as the frames tell.
    fn is_granted(&self, frame: &Value<'static>) -> bool {
        cells(&self.conversation.outcome, frame) == self.ok
    }

    fn outcomes(&self) -> String {
        let row = |cells: &[Value<'static>]| {
            let end =
                cells.iter().rposition(|cell| *cell != Value::Null).map_or(0, |last| last + 1);
            let cells: Vec<String> = cells[..end].iter().map(cell).collect();
            format!("[{}]", cells.join(", "))
        };
        let columns: Vec<String> =
            self.columns().iter().map(|column| format!("\"{column}\"")).collect();
        let refused = self.refused.as_ref().map(|cells| row(cells));
        let refused = refused.unwrap_or_else(|| match self.ok.first() {
            Some(Value::Flag(ok)) => format!("[{}]", !ok),
            Some(Value::Text(_)) => "[\"error\"]".to_owned(),
            Some(Value::Integer(_)) => "[1]".to_owned(),
            _ => "[]".to_owned(),
        });
        format!("columns = [{}]\nok = {}\n\"*\" = {refused}\n", columns.join(", "), row(&self.ok))
    }

    /// The texts of a request, the best first.
    fn request(&self, index: usize) -> Vec<String> {
        let group = &self.conversation.groups[index];
        let frames = Place::of(group.requests.iter().map(|frame| &frame.value));
        let guessed = meaning(&group.name, &frames);
        let mut texts = Vec::new();
        if let Some(meaning) = guessed {
            let pattern = self.request_frame(&frames, Some(meaning));
            for response in [self.response(group, meaning.command), String::new()] {
                texts.push(self.block(group, meaning.command, &pattern, &response));
            }
        }
        let pattern = self.request_frame(&frames, None);
        texts.push(self.block(group, "nothing", &pattern, &self.response(group, "nothing")));
        texts.push(self.block(group, "nothing", &pattern, ""));
        texts.push(self.block(group, "nothing", "{}", ""));
        texts
    }

    /// A frame of the capture as a constant.
    fn captured(&self, frame: &Value<'static>) -> String {
        match &self.conversation.lists {
            Some(place) => constant(&listed(frame.clone(), place)),
            None => constant(frame),
        }
    }

    /// The section of a request.
    fn block(&self, group: &Group, command: &str, frame: &str, response: &str) -> String {
        let grant = if self.has_tokens { "token" } else { "connection" };
        let set = match command {
            "register" => {
                format!("set = {{ grant = \"{grant}\", username = \"<login>\", profile = true }}\n")
            }
            "login" => format!("set = {{ grant = \"{grant}\" }}\n"),
            "list_flows" => "set = { members = true }\n".to_owned(),
            "history" if frame.contains("<limit") => "set = { window = \"newest\" }\n".to_owned(),
            "history" => "set = { window = \"all\" }\n".to_owned(),
            "search_users" => "set = { limit = 50 }\n".to_owned(),
            "show_typing" => "set = { active = true }\n".to_owned(),
            _ => String::new(),
        };
        let question = if command == "nothing" {
            "which command of the model is this? `nothing` does nothing"
        } else {
            "is this the command, and are these its fields?"
        };
        let mut text = format!("# {DECIDE}: {question}\n");
        let granted = group.responses.iter().find(|frame| self.is_granted(frame));
        let others = group.responses.iter().filter(|frame| {
            granted.is_none_or(|granted| !self.is_granted(frame) || !has_keys_of(granted, frame))
        });
        for sample in others.take(MAX_SAMPLES) {
            text.push_str(&format!("# Another answer was: {}\n", self.captured(sample)));
        }
        if let Some(sample) = granted {
            text.push_str(&format!("# It was answered: {}\n", self.captured(sample)));
        }
        text.push_str(&format!("[[request.{command}]]\nname = {}\n", cell(&group.name)));
        let answer = self.conversation.answer.as_ref();
        let answer = answer.and_then(|path| at(group.responses.first()?, path));
        if let Some(answer) = answer.filter(|answer| **answer != group.name) {
            text.push_str(&format!("answer = {}\n", cell(answer)));
        }
        text.push_str(&set);
        if frame != "{}" {
            text.push_str(&format!("frame = {}\n", toml_string(frame)));
        }
        if !response.is_empty() && response != "{}" {
            text.push_str(&format!("response = {}\n", toml_string(response)));
        }
        text
    }

    /// The frame of requests: the fields of a command, and any value elsewhere.
    fn request_frame(&self, frames: &Place, meaning: Option<&Meaning>) -> String {
        let mut used: Vec<&str> = Vec::new();
        self.fields[0].frame(frames, &mut |whole, path, place| {
            if self.is_enveloped(whole) {
                return Written::Not;
            }
            if self.has_tokens && is_token(path, place) {
                return Written::As("<proof.token>".to_owned());
            }
            let fields = meaning.map_or(&[][..], |meaning| meaning.fields);
            let unused = fields.iter().filter(|field| !used.contains(&field.hole));
            let found =
                unused.filter_map(|field| Some((field.hole, field.hole(path, place)?))).next();
            if let Some((hole, pattern)) = found {
                used.push(hole);
                return Written::As(pattern);
            }
            Written::Inside
        })
    }

    /// True for the name and the id of requests.
    fn is_enveloped(&self, path: &[String]) -> bool {
        path == self.conversation.name
            || self.conversation.tag.as_ref().is_some_and(|tag| path == tag.request)
    }

    /// The part of a response that is not in the envelope.
    fn response(&self, group: &Group, command: &str) -> String {
        let mut granted: Vec<&Value<'static>> =
            group.responses.iter().filter(|frame| self.is_granted(frame)).collect();
        // Without a place of outcomes, a response of other keys may be a refusal.
        if self.conversation.outcome.is_empty()
            && let Some(first) = granted.first().copied()
        {
            granted.retain(|frame| has_keys_of(first, frame));
        }
        let place = Place::of(granted);
        let mut used: Vec<&str> = Vec::new();
        let written = self.fields[1].frame(&place, &mut |whole, path, place| {
            let is_outcome = self.conversation.outcome.iter().any(|outcome| outcome == whole);
            let is_answer = self.conversation.answer.as_deref() == Some(whole);
            let tag = self.conversation.tag.as_ref();
            if is_outcome || is_answer || tag.is_some_and(|tag| whole == tag.response) {
                return Written::Not;
            }
            match answer_hole(command, path, place) {
                Some((hole, pattern)) if !used.contains(&hole) => {
                    used.push(hole);
                    Written::As(pattern)
                }
                _ if place.is_object() => Written::Inside,
                _ => Written::As(sample(place)),
            }
        });
        written.replace("\"?: ", "\": ")
    }

    /// The texts of an event, the best first.
    fn event(&self, index: usize) -> Vec<String> {
        let (name, frames) = &self.conversation.events[index];
        let place = Place::of(frames);
        let lines: Option<String> = frames.first().map(|frame| self.captured(frame));
        let lines = lines.unwrap_or_default();
        let as_comment = format!("# {DECIDE}: which event is this?\n# {lines}\n");
        let mut used: Vec<&str> = Vec::new();
        let pattern = self.fields[2].frame(&place, &mut |whole, path, place| {
            if name.as_ref().is_some_and(|(name, _)| name == whole) {
                return Written::Not;
            }
            match message_hole(path, place).or_else(|| one_message(place)) {
                Some((hole, pattern)) if !used.contains(&hole) => {
                    used.push(hole);
                    Written::As(pattern)
                }
                _ if place.is_object() => Written::Inside,
                _ => Written::As(sample(place)),
            }
        });
        let pattern = pattern.replace("\"?: ", "\": ");
        if !used.contains(&"text") {
            return vec![as_comment];
        }
        let name = name.as_ref().map(|(_, name)| format!("name = {}\n", cell(name)));
        let text = format!(
            "# {DECIDE}: is this the event, and are these its fields?\n[[event.posted]]\n\
             {}frame = {}\n",
            name.unwrap_or_default(),
            toml_string(&pattern)
        );
        vec![text, as_comment]
    }

    /// The first problem of a draft: its block, its line in the capture, and the reason.
    fn problem(
        &self,
        text: &str,
        starts: &[usize],
        blocks: &[Block],
    ) -> Option<(Option<usize>, usize, String)> {
        let dialect = match Declared::compile(DialectFile { name: NAME, text }, &[]) {
            Ok(dialect) => dialect,
            Err(error) => {
                let problem = error.0.iter().find(|problem| !problem.is_warning)?;
                let block = starts.iter().rposition(|start| *start <= problem.line);
                return Some((block, 0, problem.to_string()));
            }
        };
        for (block, Block { group, .. }) in blocks.iter().enumerate() {
            let Some(group) = group else { continue };
            for request in &self.conversation.groups[*group].requests {
                let refused = match dialect.accept(&Handshake::new(ConnectionId(1))) {
                    Ok(mut session) => {
                        let frame = Frame::text(request.text.clone());
                        session.decode(Timestamp::default(), &frame, &mut Vec::new()).is_err()
                    }
                    Err(_) => true,
                };
                if refused {
                    let reason = "it has other values than the draft reads".to_owned();
                    return Some((Some(block), request.line, reason));
                }
            }
        }
        None
    }
}

/// All requests.
fn values_of_requests(conversation: &Conversation) -> impl Iterator<Item = &Value<'static>> {
    let requests = conversation.groups.iter().flat_map(|group| &group.requests);
    requests.map(|frame| &frame.value)
}

/// The place of the fields of these frames.
fn fields_of<'v>(
    conversation: &Conversation,
    frames: impl IntoIterator<Item = &'v Value<'static>>,
) -> Fields {
    let Some(lists) = &conversation.lists else { return Fields::Whole };
    place_of_fields(frames, lists).map_or(Fields::Nowhere, Fields::Within)
}

fn entry(path: &Path, mark: &'static str, value: &str) -> Entry {
    Entry { path: path.clone(), mark, value: value.to_owned() }
}

/// The hole of a request's id.
fn tag_hole(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "<tag: integer>",
        _ => "<tag: string>",
    }
}

/// The cells of a response, one for each column.
fn cells(columns: &[Path], response: &Value<'_>) -> Vec<Value<'static>> {
    columns.iter().map(|path| at(response, path).map_or(Value::Null, owned)).collect()
}

/// A cell of an outcome, or a name, in TOML.
fn cell(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => toml::Value::String(text.replace(['<', '>'], "")).to_string(),
        Value::Null => "\"\"".to_owned(),
        other => constant(other),
    }
}

/// The name of a column: that of its key, in letters that a hole can have.
fn column(key: &str) -> String {
    if let Some(item) = item_index(key) {
        return format!("item{item}");
    }
    key.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect()
}

/// True if a place of requests has a token.
fn is_token(path: &[String], place: &Place) -> bool {
    let is_key =
        ["token", "authtoken", "authid", "sessionid", "accesstoken"].contains(&key(path).as_str());
    is_key && place.kind() == Some(Kind::Text)
}

fn has_token(place: &Place, path: &mut Vec<String>) -> bool {
    place.members.iter().any(|(key, member)| {
        path.push(key.clone());
        let found = is_token(path, member) || member.is_object() && has_token(member, path);
        path.pop();
        found
    })
}

/// The values of a place as a constant.
fn sample(place: &Place) -> String {
    match place.kind() {
        Some(Kind::List) => "[]".to_owned(),
        _ => place.scalars.first().map_or_else(|| "null".to_owned(), constant),
    }
}

/// The field of an answer at a place: its name, and its pattern.
fn answer_hole(command: &str, path: &[String], place: &Place) -> Option<(&'static str, String)> {
    let name = key(path);
    match command {
        "register" | "login" => match name.as_str() {
            "token" | "authtoken" | "authid" | "sessionid" | "accesstoken" => {
                (place.kind() == Some(Kind::Text)).then(|| ("token", "<token>".to_owned()))
            }
            "user" | "userid" | "id" | "uuid" => Some(("user.id", id("user.id", place)?)),
            _ => None,
        },
        "send" | "edit" => message_hole(path, place),
        "open_chat" => match name.as_str() {
            "room" | "roomid" | "chat" | "chatid" | "flow" | "flowid" | "id" | "channel"
            | "chan" => Some(("flow", id("flow", place)?)),
            _ => None,
        },
        "list_flows" if place.kind() == Some(Kind::List) => {
            Some(("flows", list("flows", place, flow_hole)?))
        }
        "history" if place.kind() == Some(Kind::List) => {
            Some(("messages", list("messages", place, message_hole)?))
        }
        "search_users" if place.kind() == Some(Kind::List) => {
            Some(("users", people("users", place)?))
        }
        _ => None,
    }
}

/// Finds the hole that a place below a path is probably, and the pattern that reads it.
type GuessHole = fn(&[String], &Place) -> Option<(&'static str, String)>;

/// A list of objects or of rows, whose places are fields of its items.
fn list(name: &str, place: &Place, hole: GuessHole) -> Option<String> {
    Some(format!("[each {name}: {}]", item(place.items.as_deref()?, hole)?))
}

/// The item of a list: an object, or a row of values.
fn item(place: &Place, hole: GuessHole) -> Option<String> {
    if let (Some(Kind::List), Some(places)) = (place.kind(), place.positions()) {
        return Some(row(places, hole));
    }
    place.is_object().then(|| {
        let mut used: Vec<&str> = Vec::new();
        let object = frame(place, &mut Vec::new(), &mut |path, place| match hole(path, place) {
            Some((hole, pattern)) if !used.contains(&hole) => {
                used.push(hole);
                Written::As(pattern)
            }
            _ if place.is_object() => Written::Inside,
            _ => Written::As(sample(place)),
        });
        object.replace("\"?: ", "\": ")
    })
}

/// A row of values without keys: of the usual fields each value has the first that it can be.
fn row(places: &[Place], hole: GuessHole) -> String {
    let is_plain = |place: &&Place| {
        place.kind() == Some(Kind::Text)
            && id("id", place).is_none()
            && time("posted_at", place).is_none()
    };
    // A single text is that of the message, not the name of its author.
    let has_names = places.iter().filter(is_plain).count() > 1;
    let keys = ["id", "at", "room", "from", "text", "name", "members"];
    let keys = keys.into_iter().filter(|key| has_names || *key != "from").map(str::to_owned);
    let keys: Vec<String> = keys.collect();
    let mut used: Vec<&str> = Vec::new();
    let values = places.iter().map(|place| {
        let found = keys.iter().filter_map(|key| hole(std::slice::from_ref(key), place));
        let found = found.into_iter().find(|(hole, _)| !used.contains(hole));
        found.map_or_else(
            || sample(place),
            |(hole, pattern)| {
                used.push(hole);
                pattern
            },
        )
    });
    brackets(values.collect())
}

/// A list with the one message of an event.
fn one_message(place: &Place) -> Option<(&'static str, String)> {
    let message = item(place.items.as_deref()?, message_hole)?;
    message.contains("<text>").then(|| ("text", format!("[with message: {message}]")))
}

/// The field of a message at a place.
fn message_hole(path: &[String], place: &Place) -> Option<(&'static str, String)> {
    Some(match (key(path).as_str(), place.kind()?) {
        ("id" | "messageid" | "msgid" | "message" | "line" | "post", Kind::Integer) => {
            ("id", id("id", place)?)
        }
        ("id" | "messageid" | "msgid" | "line" | "post", Kind::Text)
            if id("id", place).is_some() =>
        {
            ("id", id("id", place)?)
        }
        (
            "room" | "roomid" | "chat" | "chatid" | "flow" | "flowid" | "channel" | "group"
            | "chan",
            _,
        ) => ("flow", id("flow", place)?),
        ("text" | "content" | "body" | "message" | "msg" | "line", Kind::Text) => {
            ("text", "<text>".to_owned())
        }
        ("from" | "author" | "sender" | "user" | "username" | "by", Kind::Text) => {
            ("author", "<author.login>".to_owned())
        }
        (
            "from" | "fromid" | "author" | "authorid" | "sender" | "user" | "userid" | "by",
            Kind::Integer,
        ) => ("author", id("author.id", place)?),
        // A value that reads as a time is one, whatever its key.
        _ => ("posted_at", time("posted_at", place)?),
    })
}

/// The field of a flow at a place.
fn flow_hole(path: &[String], place: &Place) -> Option<(&'static str, String)> {
    Some(match (key(path).as_str(), place.kind()?) {
        (
            "id" | "room" | "roomid" | "chat" | "chatid" | "flow" | "channel" | "group" | "chan",
            _,
        ) => ("id", id("id", place)?),
        ("name" | "title" | "chatname" | "roomname" | "peer", Kind::Text) => {
            ("name", "<name>".to_owned())
        }
        ("members" | "participants" | "users" | "people" | "persons", Kind::List) => {
            ("members", people("members", place)?)
        }
        ("last" | "lastmessage" | "latest", Kind::Object) => {
            ("last", format!("with last: {}", item(place, message_hole)?))
        }
        _ => return None,
    })
}

/// A list of users: objects or rows, or their names or ids alone.
fn people(name: &str, place: &Place) -> Option<String> {
    let items = place.items.as_deref()?;
    let alone = match items.kind()? {
        Kind::Text if id("id", items).is_none() => Some("<login>".to_owned()),
        Kind::Text | Kind::Integer => id("id", items),
        _ => None,
    };
    match alone {
        Some(hole) => Some(format!("[each {name}: {hole}]")),
        None => list(name, place, person_hole),
    }
}

/// The field of a user at a place.
fn person_hole(path: &[String], place: &Place) -> Option<(&'static str, String)> {
    Some(match (key(path).as_str(), place.kind()?) {
        ("id" | "user" | "userid" | "person" | "uid", _) if id("id", place).is_some() => {
            ("id", id("id", place)?)
        }
        (
            "login" | "username" | "user" | "nick" | "nickname" | "handle" | "person" | "from",
            Kind::Text,
        ) => ("login", "<login>".to_owned()),
        ("name" | "fullname" | "title", Kind::Text) => ("name", "<name>".to_owned()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARLEY: &str = r#"
# recorded
> {"do":"enter","no":1,"person":"ann","password":"correct horse"}
< {"re":"enter","no":1,"ok":true}
> {"do":"say","no":2,"room":"1","text":"hello"}
< {"re":"say","no":2,"ok":true,"line":"1","at":1700000000250}
< {"event":"said","room":"1","line":"2","from":"bob","text":"hi","at":1700000001000}
> {"do":"say","no":3,"room":"9","text":"hello"}
< {"re":"say","no":3,"ok":false,"error":"no-room"}
> {"do":"lines","no":4,"room":"1","count":50}
< {"re":"lines","no":4,"ok":true,"lines":[{"line":"1","from":"ann","text":"hi","at":1700000000250}]}
> {"do":"wave","no":5,"how":"twice"}
< {"re":"wave","no":5,"ok":true}
"#;

    #[test]
    fn a_draft_has_the_envelopes_outcomes_requests_and_events_of_a_capture() {
        let text = draft("parley", PARLEY).unwrap();
        for expected in [
            "credentials = \"connection\"",
            "columns = [\"ok\", \"error\"]\nok = [true]\n\"*\" = [false, \"no-room\"]",
            "request = '{\"do\": <name>, \"no\": <tag: integer>}'",
            "response = '{\"re\": <name>, \"no\": <tag>, \"ok\": <outcome.ok>, \
             \"error\"?: <outcome.error>}'",
            "event = '{\"event\": <name>}'",
            "[[request.login]]\nname = \"enter\"\nset = { grant = \"connection\" }\n\
             frame = '{\"person\": <identifier>, \"password\": <password>}'",
            "[[request.send]]\nname = \"say\"\nframe = '{\"room\": <flow: decimal>, \
             \"text\": <text>}'\n\
             response = '{\"line\": <id: decimal>, \"at\": <posted_at: millis>}'",
            "[[request.history]]\nname = \"lines\"\nset = { window = \"newest\" }\n\
             frame = '{\"room\": <flow: decimal>, \"count\": <limit = 50>}'\n\
             response = '{\"lines\": [each messages: {\"line\": <id: decimal>, \
             \"from\": <author.login>, \"text\": <text>, \"at\": <posted_at: millis>}]}'",
            "[[request.nothing]]\nname = \"wave\"\nframe = '{\"how\": <_: string>}'",
            "[[event.posted]]\nname = \"said\"\nframe = '{\"room\": <flow: decimal>, \
             \"line\": <id: decimal>, \"from\": <author.login>, \"text\": <text>, \
             \"at\": <posted_at: millis>}'",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_draft_of_literals_with_a_token_in_each_request_and_a_word_to_ignore() {
        let text = draft(
            "dash",
            "TEST\n> {'mode': 'auth', 'username': 'ann', 'password': 'pw'}\n\
             < {'mode': 'auth', 'status': '200', 'token': 'x'}\n\
             > {'mode': 'getChats', 'token': 'x', 'about': \"it's\"}\n\
             < {'mode': 'getChats', 'status': '200', \
             'chats': [{'chat_id': 1, 'chat_name': 'b'}]}\n",
        );
        let text = text.unwrap();
        for expected in [
            "syntax = \"python-literal\"",
            "credentials = \"field\"",
            "ignore = ['TEST']",
            "response = '{\"token\": <token>}'",
            "frame = '{\"token\": <proof.token>, \"about\": <_: string>}'",
            "[each flows: {\"chat_id\": <id>, \"chat_name\": <name>}]",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_response_may_have_the_id_of_its_request_under_another_key() {
        let text = draft(
            "own",
            "> {\"q\":\"in\",\"id\":\"a1\",\"args\":{\"x\":1}}\n< {\"a\":\"a1\",\"code\":0}\n\
             > {\"q\":\"out\",\"id\":\"a2\",\"args\":{}}\n< {\"a\":\"a2\",\"code\":7}\n",
        );
        let text = text.unwrap();
        for expected in [
            "request = '{\"q\": <name>, \"id\": <tag: string>}'",
            "response = '{\"a\": <tag>, \"code\": <outcome.code>}'",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
    }

    /// A wire of nested arguments, as a person without our words would make it.
    const PIGEON: &str = r#"
> {"q":"signin","id":"a1","args":{"nick":"ann","pass":"wrong"}}
< {"a":"a1","code":7,"why":"bad nick or pass"}
> {"q":"signin","id":"a2","args":{"nick":"ann","pass":"correct horse"}}
< {"a":"a2","code":0}
> {"q":"dm","id":"a3","args":{"peer":"bob"}}
< {"a":"a3","code":0,"chan":"12"}
> {"q":"post","id":"a4","args":{"chan":"12","body":"hi"}}
< {"a":"a4","code":0,"post":"77","when":"2026-01-02T10:11:12Z"}
< {"ev":"post","chan":"12","post":"78","by":"bob","body":"yo","when":"2026-01-02T10:11:13Z"}
> {"q":"backlog","id":"a5","args":{"chan":"12","max":20}}
< {"a":"a5","code":0,"posts":[{"post":"77","by":"ann","body":"hi"}]}
"#;

    #[test]
    fn a_draft_reads_nested_arguments_names_of_events_and_outcomes_that_only_refusals_have() {
        let text = draft("pigeon", PIGEON).unwrap();
        for expected in [
            "columns = [\"code\", \"why\"]\nok = [0]\n\"*\" = [7, \"bad nick or pass\"]",
            "response = '{\"a\": <tag>, \"code\": <outcome.code>, \"why\"?: <outcome.why>}'",
            "event = '{\"ev\": <name>}'",
            "# It was answered: {\"a\": \"a2\", \"code\": 0}\n[[request.login]]",
            "[[request.open_chat]]\nname = \"dm\"\nframe = '{\"args\": {\"peer\": <with.login>}}'\n\
             response = '{\"chan\": <flow: decimal>}'",
            "[[request.send]]\nname = \"post\"\n\
             frame = '{\"args\": {\"chan\": <flow: decimal>, \"body\": <text>}}'\n\
             response = '{\"post\": <id: decimal>, \"when\": <posted_at: rfc3339(0)>}'",
            "frame = '{\"args\": {\"chan\": <flow: decimal>, \"max\": <limit = 50>}}'",
            "[[event.posted]]\nname = \"post\"\nframe = '{\"chan\": <flow: decimal>, ",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
    }

    /// A wire with all of an envelope in objects of their own, outcomes of unusual keys, and rows.
    const QUAY: &str = r#"
> {"hd":{"verb":"signin","seq":1},"arg":{"nick":"ann","pass":"wrong"}}
< {"hd":{"re":1,"verb":"signin"},"rc":{"flag":"NAY","cause":"bad nick or pass"}}
> {"hd":{"verb":"signin","seq":2},"arg":{"nick":"ann","pass":"correct horse"}}
< {"hd":{"re":2,"verb":"signin"},"rc":{"flag":"AYE"}}
> {"hd":{"verb":"chans","seq":3},"arg":{}}
< {"hd":{"re":3,"verb":"chans"},"rc":{"flag":"AYE"},"val":{"chans":[["12","yard",["ann","bob"]]]}}
> {"hd":{"verb":"post","seq":4},"arg":{"chan":"12","body":"hi"}}
< {"hd":{"re":4,"verb":"post"},"rc":{"flag":"AYE"},"val":{"post":"77"}}
> {"hd":{"verb":"post","seq":5},"arg":{"chan":"99","body":"hi"}}
< {"hd":{"re":5,"verb":"post"},"rc":{"flag":"NAY","cause":"no such chan"}}
< {"hd":{"ev":"news"},"val":{"posts":[{"post":"78","chan":"12","by":"bob","body":"yo"}]}}
> {"hd":{"verb":"lines","seq":6},"arg":{"chan":"12"}}
< {"hd":{"re":6,"verb":"lines"},"rc":{"flag":"AYE"},"val":{"posts":[["77","ann","hi",1700000000]]}}
> {"hd":{"verb":"rooms","seq":7},"arg":{"pick":["a",[1,2]]}}
< {"hd":{"re":7,"verb":"rooms"},"rc":{"flag":"AYE"},"val":{"list":[{"id":"12","members":["ann"]}]}}
"#;

    #[test]
    fn a_draft_reads_envelopes_in_objects_and_lists_in_lists() {
        let text = draft("quay", QUAY).unwrap();
        for expected in [
            "columns = [\"flag\", \"cause\"]\nok = [\"AYE\"]\n\"*\" = [\"NAY\", ",
            "request = '{\"hd\": {\"verb\": <name>, \"seq\": <tag: integer>}}'",
            "response = '{\"hd\": {\"verb\": <name>, \"re\": <tag>}, \
             \"rc\": {\"flag\": <outcome.flag>, \"cause\"?: <outcome.cause>}}'",
            "event = '{\"hd\": {\"ev\": <name>}}'",
            "# Another answer was: {\"hd\": {\"re\": 1, \"verb\": \"signin\"}, \
             \"rc\": {\"flag\": \"NAY\", \"cause\": \"bad nick or pass\"}}\n",
            "[[request.login]]\nname = \"signin\"\nset = { grant = \"connection\" }\n\
             frame = '{\"arg\": {\"nick\": <identifier>, \"pass\": <password>}}'\n\n",
            "response = '{\"val\": {\"chans\": \
             [each flows: [<id: decimal>, <name>, [each members: <login>]]]}}'",
            "frame = '{\"arg\": {\"chan\": <flow: decimal>, \"body\": <text>}}'\n\
             response = '{\"val\": {\"post\": <id: decimal>}}'",
            "response = '{\"val\": {\"posts\": [each messages: \
             [<id: decimal>, <author.login>, <text>, <posted_at: seconds>]]}}'",
            "frame = '{\"arg\": {\"pick\": [<_: string>, [<_: integer>, <_: integer>]]}}'",
            "{\"list\": [each flows: {\"id\": <id: decimal>, \"members\": \
             [each members: <login>]}]}",
            "[[event.posted]]\nname = \"news\"\nframe = '{\"val\": {\"posts\": [with message: \
             {\"post\": <id: decimal>, \"chan\": <flow: decimal>, \"by\": <author.login>, \
             \"body\": <text>}]}}'",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_draft_reads_envelopes_that_are_lists() {
        for (before, after) in [("", ""), ("{\"box\":", "}")] {
            let capture: String = [
                ">[\"hail\",1,{\"nick\":\"ann\",\"pass\":\"wrong\"}]",
                "<[\"hail\",1,\"401\",{\"why\":\"who?\"}]",
                ">[\"login\",2,{\"nick\":\"ann\",\"pass\":\"secret\"}]",
                "<[\"login\",2,\"200\",{}]",
                ">[\"say\",3,{\"chan\":12,\"body\":\"hi\"}]",
                "<[\"say\",3,\"200\",{\"post\":77}]",
                "<[\"heard\",0,{\"post\":78,\"chan\":12,\"by\":\"bob\",\"body\":\"yo\"}]",
            ]
            .map(|line| format!("{}{before}{}{after}\n", &line[..1], &line[1..]))
            .concat();
            let text = draft("own", &capture).unwrap();
            let whole = |list: &str| match before {
                "" => list.to_owned(),
                _ => format!("{{\"box\"+: {list}}}"),
            };
            for expected in [
                format!("request = '{}'", whole("[<name>, <tag: integer>, +{}]")),
                format!(
                    "response = '{}'",
                    whole("[<name>, <tag>, <outcome.item2>, +{\"why\"?: <outcome.why>}]")
                ),
                format!("event = '{}'", whole("[<name>, 0, +{}]")),
                "frame = '{\"nick\": <identifier>, \"pass\": <password>}'".to_owned(),
                "frame = '{\"chan\": <flow>, \"body\": <text>}'\nresponse = '{\"post\": <id>}'"
                    .to_owned(),
                "frame = '{\"post\": <id>, \"chan\": <flow>, \"by\": <author.login>, \
                 \"body\": <text>}'"
                    .to_owned(),
            ] {
                assert!(text.contains(&expected), "{expected}\nis not in\n{text}");
            }
        }
        let error = draft("own", "> [\"say\", 7, \"1\", \"hi\"]").unwrap_err().to_string();
        assert!(error.contains("line 1 is an array without an object"), "{error}");
    }

    #[test]
    fn keys_in_brackets_are_keys_of_objects_and_not_places_of_lists() {
        let text = draft(
            "own",
            "> {\"do\":\"a\",\"no\":1,\"[9999999999999]\":\"x\",\"m\":{\"[0]\":\"b\"}}\n\
             < {\"no\":1,\"ok\":true,\"[18446744073709551615]\":2,\"m\":{\"[0]\":3}}\n",
        );
        let text = text.unwrap();
        for expected in [
            "frame = '{\"[9999999999999]\": <_: string>, \"m\": {\"[0]\": <_: string>}}'",
            "response = '{\"[18446744073709551615]\": 2, \"m\": {\"[0]\": 3}}'",
            "# It was answered: {\"no\": 1, \"ok\": true, \"[18446744073709551615]\": 2, \
             \"m\": {\"[0]\": 3}}",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
        // Beside envelopes that are lists, too.
        let text = draft(
            "own",
            "> [\"hail\",1,{\"nick\":\"ann\"}]\n< [\"hail\",1,{\"ok\":true}]\n\
             > [\"wave\",2,{\"[9999999999999]\":1}]\n< [\"wave\",2,{\"ok\":true}]\n\
             > [\"wave\",3,{\"[9999999999999]\":5}]\n> [\"hail\",4,{\"nick\":\"bob\"}]\n\
             > {\"[9999999999999]\":{\"nick\":\"ann\"}}\n",
        );
        let text = text.unwrap();
        assert!(text.contains("request = '[<name>, <tag: integer>, +{}]'"), "{text}");
        assert!(text.contains("1 more frames have no name"), "{text}");
        assert!(text.contains("frame = '{\"[9999999999999]\": <_: integer>}'"), "{text}");
        assert!(text.contains("# It was answered: [\"hail\", 1, {\"ok\": true}]"), "{text}");
    }

    #[test]
    fn an_object_that_only_refusals_have_is_left_out_of_other_responses() {
        let text = draft(
            "rpc",
            "> {\"method\":\"dm\",\"id\":1,\"params\":{\"peer\":\"bob\"}}\n\
             < {\"id\":1,\"result\":{\"room\":5}}\n\
             > {\"method\":\"dm\",\"id\":2,\"params\":{\"peer\":\"eve\"}}\n\
             < {\"id\":2,\"error\":{\"code\":-3,\"message\":\"nobody\"}}\n",
        );
        let text = text.unwrap();
        for expected in [
            "columns = [\"code\", \"message\"]\nok = []\n\"*\" = [-3, \"nobody\"]",
            "response = '{\"id\": <tag>, \"error\"?: {\"code\"?: <outcome.code>, \
             \"message\"?: <outcome.message>}}'",
            "response = '{\"result\": {\"room\": <flow>}}'",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
    }

    #[test]
    fn responses_of_unlike_keys_are_not_merged_where_nothing_tells_the_outcome() {
        let text = draft(
            "own",
            "> {\"do\":\"wave\",\"no\":1}\n< {\"no\":1,\"room\":\"5\"}\n\
             > {\"do\":\"wave\",\"no\":2}\n< {\"no\":2,\"gone\":\"5\"}\n",
        );
        let text = text.unwrap();
        assert!(text.contains("response = '{\"room\": \"5\"}'"), "{text}");
        assert!(text.contains("# Another answer was: {\"no\": 2, \"gone\": \"5\"}"), "{text}");
    }

    #[test]
    fn a_draft_matches_the_frames_of_real_clients() {
        for capture in [
            include_str!("../../tests/field/captures/morelia-1.16.jsonl"),
            include_str!("../../tests/field/captures/morelia-17.jsonl"),
        ] {
            let text = draft("own", capture).unwrap();
            assert!(text.contains("request = '{\"type\": <name>}'"), "{text}");
            assert!(text.contains("name = \"register_user\""), "{text}");
        }
    }

    #[test]
    fn a_frame_without_a_name_among_many_is_counted_and_left_out() {
        let capture = "> {\"type\":\"a\"}\n> {\"typ\":\"b\"}\n< {\"error\":1}\n\
                       > {\"type\":\"c\"}\n< {\"ok\":true}\n> {\"type\":\"d\"}\n";
        let text = draft("own", capture).unwrap();
        assert!(text.contains("request = '{\"type\": <name>}'"), "{text}");
        assert!(text.contains("1 more frames have no name"), "{text}");
        assert!(text.contains("columns = [\"ok\"]"), "{text}");
    }

    #[test]
    fn a_long_capture_is_looked_at_up_to_a_bound_and_says_so() {
        let line = |number: usize| format!("> {{\"do\":\"wave\",\"no\":{number}}}\n");
        let capture = |frames: usize| (0..frames).map(line).collect::<String>();
        let just = draft("own", &capture(1_000)).unwrap();
        assert!(just.contains("from 1000 frames of a client") && !just.contains("more frames"));
        let over = draft("own", &capture(1_001)).unwrap();
        assert!(over.contains("# The capture has 1 more frames"), "{over}");
    }

    #[test]
    fn a_capture_that_tells_too_little_is_an_error_that_says_why() {
        for (capture, expected) in [
            ("", "the capture has no frame of a client"),
            ("< {\"a\":1}", "the capture has no frame of a client"),
            ("\nhello there", "line 2 is an object neither in JSON nor in Python's literals"),
            ("> {\"list\":[1]}\n> {\"flag\":true}", "no key with a text or an integer"),
        ] {
            let error = draft("own", capture).unwrap_err().to_string();
            assert!(error.contains(expected), "{capture:?}: {error}");
        }
    }
}
