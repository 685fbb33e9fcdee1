//! The places of values in the frames of a file, computed from its holes.

use crate::forms::Form;
use crate::model::Type;
use crate::plan::{
    Compiled, CredentialsPlace, Empty, Plan, Refusal, ResponsePlan, Slot, SlotSource, TextPlan,
};
use crate::syntax::{Value, item_key};
use std::collections::BTreeMap;
use tolmach_dialect::{Condition, FieldRole, FieldRule, Part, Place, Sender};

/// The subprotocols after which a handshake offers its token.
const SUBPROTOCOLS: [&str; 3] = ["chat, ", "admin-chat, ", "bearer, "];

/// The rules of a file. They live as long as the process, like the manifest that has them.
pub(crate) fn fields(file: &Compiled) -> &'static [FieldRule] {
    let mut numbered = Numbered::new();
    // All lists with items by their numbers have to be known first.
    each_frame(file, |(sender, _), plan| note_numbered(&mut numbered, sender, "", plan));
    let mut places = Places { file, numbered, found: BTreeMap::new() };
    each_frame(file, |frame, plan| places.visit(frame, "", plan));
    let mut rules = of_handshakes(file);
    rules.extend(places.rules());
    Vec::leak(rules)
}

/// The rules of tokens in handshakes, and of their paths.
fn of_handshakes(file: &Compiled) -> Vec<FieldRule> {
    let authorization = FieldRule::at(Place::Header("authorization"), FieldRole::Token);
    let protocol = FieldRule::at(Place::Header("sec-websocket-protocol"), FieldRole::Token);
    let mut rules = Vec::new();
    for place in &file.credentials {
        match place {
            CredentialsPlace::Connection | CredentialsPlace::Field => {}
            CredentialsPlace::Header => rules.push(authorization.between("Bearer ", "")),
            CredentialsPlace::Query => {
                rules.push(FieldRule::at(Place::Query("token"), FieldRole::Token));
            }
            CredentialsPlace::Subprotocol => {
                rules.extend(
                    SUBPROTOCOLS.map(|name| protocol.from(Sender::Client).between(name, "")),
                );
            }
        }
    }
    if file.token_check.is_some() {
        rules.push(authorization);
    }
    // No segment of them has a role, so that all of them are words.
    let paths = file.paths.iter().chain(file.token_check.iter().map(|check| &check.path));
    let path = |path: &String| Place::Path(Box::leak(path.clone().into_boxed_str()));
    rules.extend(paths.map(|text| FieldRule::at(path(text), FieldRole::Word)));
    rules
}

/// A side, and the place and the name by which its frame is known; no name for any frame.
type FrameName<'a> = (Sender, Option<(&'a str, &'a Value<'static>)>);

/// A side, a path, and the texts before and after a part of a text.
type PlaceKey = (Sender, String, Option<(String, String)>);

/// The frames in which a place has a role: the path of their names, and the names; none for any.
type Names = Option<(String, Vec<String>)>;

/// The most items that a list has by their numbers, by the side and the path.
type Numbered = BTreeMap<(Sender, String), usize>;

/// All frames of the file.
fn each_frame(file: &Compiled, mut see: impl FnMut(FrameName<'_>, &Plan)) {
    let requests = joined(&file.name_path);
    let responses = file.response_name_path.as_ref().map(|path| joined(path));
    let events = file.event_name_path.as_ref().map(|path| joined(path));
    for rule in &file.requests {
        let name = Some((requests.as_str(), &rule.name));
        for frame in &rule.frames {
            see((Sender::Client, name), &frame.plan);
        }
        if let Some(fence) = &rule.fence {
            let name = Some((requests.as_str(), &fence.name));
            see((Sender::Client, name), &fence.plan);
        }
        let name = responses.as_deref().map(|path| (path, &rule.answer));
        let server = (Sender::Server, name);
        if let ResponsePlan::Frame(plan) = &rule.response {
            see(server, plan);
        }
        if let Some(Empty::Frame(plan)) = &rule.empty {
            see(server, plan);
        }
        rule.without_items.iter().for_each(|plan| see(server, plan));
        match &rule.refused {
            Refusal::Frame(plan) => see(server, plan),
            Refusal::ByFault(plans) => {
                plans.values().for_each(|plan| see(server, plan));
            }
            Refusal::Nothing => {}
        }
    }
    for rule in &file.events {
        let name = events.as_deref().map(|path| (path, &rule.name));
        see((Sender::Server, name), &rule.plan);
    }
    for plan in file.unknown.iter().chain(&file.malformed) {
        see((Sender::Server, None), plan);
    }
}

/// Notes the lists of a plan whose items are known by their numbers.
fn note_numbered(numbered: &mut Numbered, sender: Sender, path: &str, plan: &Plan) {
    let (several, item) = match plan {
        Plan::Constant(..) | Plan::Slot(_) | Plan::Text(_) => return,
        Plan::Object(members) => {
            for member in members {
                for key in &member.keys {
                    note_numbered(numbered, sender, &below(path, key), &member.plan);
                }
            }
            return;
        }
        Plan::Fixed(items) if items.len() == 1 => (&[][..], items.first()),
        Plan::Fixed(items) => (&items[..], None),
        Plan::List(list) => (&list.before[..], Some(&*list.item)),
    };
    let length = numbered.entry((sender, path.to_owned())).or_default();
    *length = several.len().max(*length);
    let known = *length;
    for (index, item) in several.iter().enumerate() {
        note_numbered(numbered, sender, &below(path, &item_key(index)), item);
    }
    if let Some(item) = item {
        note_numbered(numbered, sender, path, item);
        for index in 0..known {
            note_numbered(numbered, sender, &below(path, &item_key(index)), item);
        }
    }
}

struct Places<'a> {
    file: &'a Compiled,
    numbered: Numbered,
    found: BTreeMap<PlaceKey, Vec<(FieldRole, Names)>>,
}

impl Places<'_> {
    fn visit(&mut self, frame: FrameName<'_>, path: &str, plan: &Plan) {
        match plan {
            Plan::Constant(..) => self.add(frame, path, None, FieldRole::Word),
            Plan::Slot(slot) => {
                if let Some(role) = self.role(slot) {
                    self.add(frame, path, None, role);
                }
            }
            Plan::Text(parts) => self.text(frame, path, parts),
            Plan::Object(members) => {
                for member in members {
                    for key in &member.keys {
                        self.visit(frame, &below(path, key), &member.plan);
                    }
                }
            }
            Plan::Fixed(items) if items.is_empty() => self.add(frame, path, None, FieldRole::Word),
            // As in a list of any length, which other frames have in the same place.
            Plan::Fixed(items) if items.len() == 1 => self.visit_items(frame, path, &items[0]),
            Plan::Fixed(items) => self.visit_numbered(frame, path, items),
            Plan::List(list) => {
                self.visit_numbered(frame, path, &list.before);
                self.visit_items(frame, path, &list.item);
            }
        }
    }

    /// Items that are known by their numbers.
    fn visit_numbered(&mut self, frame: FrameName<'_>, path: &str, items: &[Plan]) {
        for (index, item) in items.iter().enumerate() {
            self.visit(frame, &below(path, &item_key(index)), item);
        }
    }

    /// The items of a list of any length. Where other frames have items by their numbers in the
    /// same place, the rules of those stand before the ones of the list: each needs its own.
    fn visit_items(&mut self, frame: FrameName<'_>, path: &str, item: &Plan) {
        self.visit(frame, path, item);
        let numbered = self.numbered.get(&(frame.0, path.to_owned())).copied();
        for index in 0..numbered.unwrap_or_default() {
            self.visit(frame, &below(path, &item_key(index)), item);
        }
    }

    fn text(&mut self, frame: FrameName<'_>, path: &str, parts: &[TextPlan]) {
        let mut roles = parts.iter().filter_map(|part| match part {
            TextPlan::Literal(_) => None,
            TextPlan::Slot(slot) => self.role(slot),
        });
        let (first, second) = (roles.next(), roles.next());
        let literal = |part: Option<&TextPlan>| match part {
            Some(TextPlan::Literal(text)) => text.clone(),
            _ => String::new(),
        };
        match (first, second) {
            (Some(role), None) => {
                let around = (literal(parts.first()), literal(parts.last()));
                self.add(frame, path, Some(around), role);
            }
            (Some(role), Some(second)) => {
                self.add(frame, path, None, role.min(second).min(FieldRole::Text));
            }
            (None, _) => {}
        }
        self.add(frame, path, None, FieldRole::Word);
    }

    /// The role of a hole's value; `None` where it may be anything.
    fn role(&self, slot: &Slot) -> Option<FieldRole> {
        let is_word = |form: &Form| matches!(form, Form::Present | Form::Page(_) | Form::Table(_));
        if slot.forms.first().is_some_and(is_word) {
            return Some(FieldRole::Word);
        }
        Some(match slot.source {
            SlotSource::Token => FieldRole::Token,
            SlotSource::TokenUser => FieldRole::User,
            SlotSource::Tag => FieldRole::Correlation,
            SlotSource::Now => FieldRole::Time,
            SlotSource::Outcome(_) | SlotSource::Name | SlotSource::RequestName => FieldRole::Word,
            SlotSource::Nothing if slot.of == Type::Time => FieldRole::Time,
            SlotSource::Nothing => return None,
            SlotSource::Memory(cell) => {
                let name = self.file.memory.get(cell).map_or("", |(name, _)| name);
                of_type(slot.of, slot.path.last().copied().unwrap_or(name))
            }
            SlotSource::Scope(_) | SlotSource::Request | SlotSource::Me => {
                of_type(slot.of, slot.path.last().copied().unwrap_or_default())
            }
        })
    }

    fn add(
        &mut self,
        (sender, name): FrameName<'_>,
        path: &str,
        around: Option<(String, String)>,
        role: FieldRole,
    ) {
        let roles = self.found.entry((sender, path.to_owned(), around)).or_default();
        let name = name.and_then(|(path, name)| Some((path, name_text(name)?)));
        for (known, names) in roles.iter_mut() {
            if *known != role {
                continue;
            }
            match (names, &name) {
                (Some((own, names)), Some((path, name))) if own == path => {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                    return;
                }
                (None, None) => return,
                _ => {}
            }
        }
        roles.push((role, name.map(|(path, name)| (path.to_owned(), vec![name]))));
    }

    /// A place that has one role in all frames has it in unknown frames too. Where one role is that
    /// of any frame, it comes after those of named frames.
    fn rules(self) -> impl Iterator<Item = FieldRule> {
        // A part of a text goes before the whole of it.
        let (parts, whole): (Vec<_>, Vec<_>) =
            self.found.into_iter().partition(|((_, _, around), _)| around.is_some());
        parts.into_iter().chain(whole).flat_map(|((sender, path, around), mut roles)| {
            let first = roles.first().map(|(role, _)| *role);
            if roles.iter().all(|(role, _)| Some(*role) == first) {
                roles.truncate(1);
                roles.iter_mut().for_each(|(_, names)| *names = None);
            }
            roles.sort_by_key(|(role, names)| (names.is_none(), *role));
            let path = leaked(path);
            let around = around.map(|(before, after)| (leaked(before), leaked(after)));
            roles.into_iter().map(move |(role, names)| {
                let mut rule = FieldRule::body(path, role).from(sender);
                if let Some((before, after)) = around {
                    rule.part = Part::Between(before, after);
                }
                if let Some((path, names)) = names {
                    let names: Vec<&'static str> = names.into_iter().map(leaked).collect();
                    rule.condition = Condition::Value(leaked(path), Vec::leak(names));
                }
                rule
            })
        })
    }
}

/// The role of a value of the model.
fn of_type(of: Type, name: &str) -> FieldRole {
    match of {
        Type::UserId => FieldRole::User,
        Type::FlowId => FieldRole::Flow,
        Type::MessageId => FieldRole::Message,
        Type::Time => FieldRole::Time,
        Type::Json => FieldRole::Correlation,
        Type::Flag | Type::Integer | Type::Word(_) | Type::FlowKind | Type::ContentType => {
            FieldRole::Word
        }
        Type::Object(_) | Type::List(_) => FieldRole::Text,
        Type::Text => match name {
            "password" => FieldRole::Secret,
            "token" | "access" | "refresh" => FieldRole::Token,
            "email" | "phone" => FieldRole::Contact,
            "key" => FieldRole::Correlation,
            "login" | "username" | "name" | "name_by_login" | "title" | "identifier" | "query" => {
                FieldRole::Name
            }
            _ => FieldRole::Text,
        },
    }
}

/// A name as conditions compare it.
fn name_text(name: &Value<'_>) -> Option<String> {
    match name {
        Value::Text(text) => Some(text.clone().into_owned()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Flag(flag) => Some(flag.to_string()),
        Value::Null => Some("null".to_owned()),
        Value::Huge | Value::Float(_) | Value::List(_) | Value::Object(_) => None,
    }
}

fn joined(path: &[String]) -> String {
    path.join("/")
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") }
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
