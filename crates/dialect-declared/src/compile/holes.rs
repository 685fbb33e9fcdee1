//! Holes, resolved to fields of the model in their forms.

use super::sections::Problems;
use crate::forms::{Form, Tables};
use crate::model::{Field, FieldSpec, Item, Shape, Type};
use crate::pattern::{FormText, Hole, List, Member, Node, NodeKind, TextPart, lay_over};
use crate::plan::{ListKind, ListPlan, Plan, PlanMember, Slot, SlotSource, TextPlan};
use crate::problem::{Place, Problem, nearest};
use crate::strftime::unknown_specifier;
use crate::syntax::{Kind, Syntax, Value, WrittenKey};
use std::collections::BTreeMap;

/// The names that holes of a file can have beside the model's.
pub(crate) struct Names<'a> {
    pub(crate) columns: &'a [String],
    pub(crate) memory: &'a [(String, Type)],
    pub(crate) tables: &'a Tables,
    /// The names of the choices, in the order of [`Tables::choices`].
    pub(crate) choices: &'a [String],
    pub(crate) parts: &'a BTreeMap<String, Node>,
}

/// The fields that a hole of one frame may name.
#[derive(Clone, Copy)]
pub(crate) struct Root {
    /// The command, the answer or the event; `None` where there is no more than an envelope.
    pub(crate) shape: Option<Shape>,
    /// The command whose response it is.
    pub(crate) request: Option<Shape>,
}

/// The deepest nesting of parts in parts.
const MAX_PARTS: usize = 16;

/// Replaces parts by what they stand for.
pub(crate) fn expand(node: &Node, names: &Names<'_>, depth: usize) -> Result<Node, Problem> {
    let expanded = |node: &Node| expand(node, names, depth);
    let boxed = |node: &Node| expanded(node).map(Box::new);
    let all = |nodes: &[Node]| nodes.iter().map(expanded).collect::<Result<Vec<_>, _>>();
    let kind = match &node.kind {
        NodeKind::Part(name, upper) => {
            let part = names.parts.get(name).ok_or_else(|| {
                let near = nearest(name, names.parts.keys().map(String::as_str));
                Problem::error(node.place.clone(), format!("@{name}: no such part; {near}"))
            })?;
            if depth == MAX_PARTS {
                let text = format!("@{name}: parts are nested too deeply, or within themselves");
                return Err(Problem::error(node.place.clone(), text));
            }
            let part = expand(part, names, depth + 1)?;
            return match upper {
                Some(upper) => Ok(lay_over(&part, &expanded(upper)?)),
                None => Ok(Node { place: node.place.clone(), ..part }),
            };
        }
        NodeKind::Object(members) => {
            let members = members
                .iter()
                .map(|member| Ok(Member { node: expanded(&member.node)?, ..member.clone() }));
            NodeKind::Object(members.collect::<Result<_, Problem>>()?)
        }
        NodeKind::List(list) => NodeKind::List(match list {
            List::Fixed(items, inner) => List::Fixed(all(items)?, *inner),
            List::Each { before, path, item } => {
                List::Each { before: all(before)?, path: path.clone(), item: boxed(item)? }
            }
            List::OneOrMany { path, item } => {
                List::OneOrMany { path: path.clone(), item: boxed(item)? }
            }
            List::One { path, item } => List::One { path: path.clone(), item: boxed(item)? },
            List::With { path, item } => List::With { path: path.clone(), item: boxed(item)? },
            List::WithInList { path, item } => {
                List::WithInList { path: path.clone(), item: boxed(item)? }
            }
        }),
        other => other.clone(),
    };
    Ok(Node { place: node.place.clone(), kind })
}

/// Resolves the holes of patterns.
pub(crate) struct Resolver<'a> {
    pub(crate) names: &'a Names<'a>,
    pub(crate) root: Root,
    pub(crate) problems: &'a mut Problems,
}

/// A path of the model.
struct Resolved {
    source: SlotSource,
    path: Vec<&'static str>,
    of: Type,
    is_optional: bool,
}

impl Resolver<'_> {
    /// The plan of a pattern whose parts are expanded.
    pub(crate) fn plan(&mut self, node: &Node) -> Plan {
        self.node(node, false, &mut Vec::new())
    }

    /// The slot of a path outside a frame, such as a list with a frame an item.
    pub(crate) fn slot(&mut self, path: &[String], place: &Place) -> Option<Slot> {
        let resolved = self.resolve(path, place, &[])?;
        Some(slot_of(resolved))
    }

    fn node(&mut self, node: &Node, is_required: bool, scopes: &mut Vec<Item>) -> Plan {
        match &node.kind {
            NodeKind::Constant(value) => Plan::Constant(value.clone(), is_required),
            NodeKind::Text(parts) => {
                let part = |part: &TextPart| match part {
                    TextPart::Literal(text) => TextPlan::Literal(text.clone()),
                    TextPart::Hole(hole) => TextPlan::Slot(self.hole_in_text(hole, scopes)),
                };
                Plan::Text(parts.iter().map(part).collect())
            }
            NodeKind::Hole(hole) => Plan::Slot(self.hole(hole, scopes)),
            NodeKind::Object(members) => {
                let member = |member: &Member| PlanMember {
                    keys: member.keys.clone(),
                    written: WrittenKey::new(&member.keys[0]),
                    is_optional: member.is_optional,
                    is_required: member.is_required,
                    plan: self.node(&member.node, member.is_required, scopes),
                };
                Plan::Object(members.iter().map(member).collect())
            }
            NodeKind::List(List::Fixed(items, _)) => {
                Plan::Fixed(items.iter().map(|item| self.node(item, false, scopes)).collect())
            }
            NodeKind::List(list) => self.list(list, &node.place, scopes),
            // Nothing to take it away from. With `!` a key must be absent, or null.
            NodeKind::Absent => Plan::Constant(Value::Null, is_required),
            NodeKind::Part(name, _) => {
                let text = format!("@{name}: parts are nested too deeply");
                self.problems.add(Problem::error(node.place.clone(), text));
                Plan::Constant(Value::Null, false)
            }
        }
    }

    fn list(&mut self, list: &List, place: &Place, scopes: &mut Vec<Item>) -> Plan {
        let (kind, before, path, item) = match list {
            List::Each { before, path, item } => (ListKind::Each, before.as_slice(), path, item),
            List::OneOrMany { path, item } => (ListKind::OneOrMany, &[][..], path, item),
            List::One { path, item } => (ListKind::One, &[][..], path, item),
            List::With { path, item } => (ListKind::With, &[][..], path, item),
            List::WithInList { path, item } => (ListKind::WithInList, &[][..], path, item),
            List::Fixed(..) => return Plan::Constant(Value::Null, false),
        };
        let before = before.iter().map(|node| self.node(node, false, scopes)).collect();
        let Some(resolved) = self.resolve(path, place, scopes) else {
            return Plan::Constant(Value::Null, false);
        };
        let of = match (kind, resolved.of) {
            (ListKind::With | ListKind::WithInList, Type::Object(shape)) => Item::Object(shape),
            (ListKind::With | ListKind::WithInList, Type::UserId) => Item::UserId,
            (ListKind::With | ListKind::WithInList, Type::FlowId) => Item::FlowId,
            (ListKind::With | ListKind::WithInList, Type::MessageId) => Item::MessageId,
            (ListKind::Each | ListKind::OneOrMany | ListKind::One, Type::List(item)) => item,
            (_, other) => {
                let (path, title) = (path.join("."), other.title());
                let text = format!("{path}: {title}, where a list or an object is expected");
                self.problems.add(Problem::error(place.clone(), text));
                return Plan::Constant(Value::Null, false);
            }
        };
        scopes.push(of);
        let item = Box::new(self.node(item, false, scopes));
        scopes.pop();
        Plan::List(ListPlan { before, slot: slot_of(resolved), item, kind })
    }

    fn hole(&mut self, hole: &Hole, scopes: &[Item]) -> Slot {
        let resolved = match &hole.path {
            Some(path) => self.resolve(path, &hole.place, scopes),
            None => Some(self.anything(hole)),
        };
        let Some(resolved) = resolved else {
            let nothing = Resolved {
                source: SlotSource::Nothing,
                path: Vec::new(),
                of: Type::Json,
                is_optional: true,
            };
            return slot_of(nothing);
        };
        let forms = self.forms(hole, &resolved);
        let default = hole.default.as_ref().map(|value| self.default(hole, value, &forms));
        let mut slot = Slot { forms, default, ..slot_of(resolved) };
        slot.is_none_default = self.is_none_default(hole, &slot);
        slot
    }

    /// A hole within a text: a text or a number is written there, and nothing else.
    fn hole_in_text(&mut self, hole: &Hole, scopes: &[Item]) -> Slot {
        let slot = self.hole(hole, scopes);
        let kind = slot.forms.first().and_then(|form| form.kind(slot.of, self.names.tables));
        if let Some(kind @ (Kind::Flag | Kind::Object | Kind::List)) = kind {
            let path = hole.path.as_deref().unwrap_or(&["_".to_owned()]).join(".");
            let kind = match kind {
                Kind::Flag => "true or false",
                Kind::Object => "an object",
                _ => "a list",
            };
            let text = format!("<{path}>: {kind} cannot stand in a text; write a form of texts");
            self.problems.add(Problem::error(hole.place.clone(), text));
        }
        slot
    }

    /// True if a default is the wire's constant for none: that of an id or a time that may be none.
    /// A default that could not be read where the field is absent is a problem.
    fn is_none_default(&mut self, hole: &Hole, slot: &Slot) -> bool {
        let Some(default) = slot.default.as_ref().filter(|value| **value != Value::Null) else {
            return false;
        };
        if !matches!(slot.source, SlotSource::Scope(_) | SlotSource::Request) {
            return false;
        }
        if slot.is_optional && (slot.of.is_id() || slot.of == Type::Time) {
            return true;
        }
        let path = hole.path.as_deref().unwrap_or_default().join(".");
        if slot.of.is_id() {
            let text = format!("<{path}>: an id that is needed has no default");
            self.problems.add(Problem::error(hole.place.clone(), text));
            return false;
        }
        let tables = self.names.tables;
        let mut forms = slot.forms.iter();
        let form = forms.find(|form| form.accepts(default.kind(), slot.of, tables));
        let read =
            form.map(|form| form.read(default, slot.of, tables, Syntax::Json, &mut |_, _| {}));
        if matches!(read, Some(Ok(_))) || slot.forms.is_empty() {
            return false;
        }
        if matches!(self.root.shape, Some(Shape::Command(_))) && slot.source == SlotSource::Scope(0)
        {
            let text = format!("<{path}>: the default is no value of the form of this hole");
            self.problems.add(Problem::error(hole.place.clone(), text));
        }
        slot.is_optional
    }

    /// `<_>`: a time where its form is one.
    fn anything(&self, hole: &Hole) -> Resolved {
        let is_time = |form: &FormText| {
            self.names.choices.contains(&form.name) || time_form(form).is_some_and(|f| f.is_ok())
        };
        let of = if hole.forms.iter().any(is_time) { Type::Time } else { Type::Json };
        Resolved { source: SlotSource::Nothing, path: Vec::new(), of, is_optional: true }
    }

    fn resolve(&mut self, path: &[String], place: &Place, scopes: &[Item]) -> Option<Resolved> {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        match self.find(&names, scopes) {
            Ok(resolved) => Some(resolved),
            Err(known) => {
                let near = nearest(&path.join("."), known.iter().map(String::as_str));
                let text = format!("<{}>: no such hole; {near}", path.join("."));
                self.problems.add(Problem::error(place.clone(), text));
                None
            }
        }
    }

    /// The field of a path, or the names that exist.
    fn find(&self, names: &[&str], scopes: &[Item]) -> Result<Resolved, Vec<String>> {
        let special =
            |source, of, is_optional| Ok(Resolved { source, path: Vec::new(), of, is_optional });
        match names {
            ["name"] if !self.has_field("name", scopes) => {
                return special(SlotSource::Name, Type::Json, false);
            }
            ["request", "name"] if !matches!(self.root.shape, Some(Shape::Command(_))) => {
                return special(SlotSource::RequestName, Type::Json, true);
            }
            ["now"] => return special(SlotSource::Now, Type::Time, false),
            ["tag"] => return special(SlotSource::Tag, Type::Json, true),
            ["proof", "token"] => return special(SlotSource::Token, Type::Text, true),
            ["proof", "user"] => return special(SlotSource::TokenUser, Type::UserId, true),
            ["me", "id"] => {
                let path = vec!["id"];
                let source = SlotSource::Me;
                return Ok(Resolved { source, path, of: Type::UserId, is_optional: true });
            }
            ["me", "login"] => {
                let path = vec!["login"];
                let source = SlotSource::Me;
                return Ok(Resolved { source, path, of: Type::Text, is_optional: true });
            }
            ["outcome", column] => {
                let columns = self.names.columns.iter();
                if let Some(place) = columns.into_iter().position(|name| name == column) {
                    return special(SlotSource::Outcome(place), Type::Json, true);
                }
            }
            ["request", rest @ ..] => {
                if let Some(shape) = self.root.request
                    && let Some((path, of, is_optional)) = field_of(shape, rest)
                {
                    let source = SlotSource::Request;
                    return Ok(Resolved { source, path, of, is_optional });
                }
            }
            ["it"] => {
                let ids = scopes.last().filter(|item| !matches!(item, Item::Object(_)));
                if let Some(item) = ids {
                    return special(SlotSource::Scope(scopes.len()), item.of(), false);
                }
            }
            _ => {}
        }
        for (depth, item) in scopes.iter().enumerate().rev() {
            if let Item::Object(shape) = item
                && let Some((path, of, is_optional)) = field_of(*shape, names)
            {
                let source = SlotSource::Scope(depth + 1);
                return Ok(Resolved { source, path, of, is_optional });
            }
        }
        if let Some(shape) = self.root.shape
            && let Some((path, of, is_optional)) = root_field(shape, names)
        {
            return Ok(Resolved { source: SlotSource::Scope(0), path, of, is_optional });
        }
        if let [name] = names
            && let Some(cell) = self.names.memory.iter().position(|(cell, _)| cell == name)
        {
            return special(SlotSource::Memory(cell), self.names.memory[cell].1, true);
        }
        Err(self.known(scopes))
    }

    /// True if the model has a field with this name here, which comes before a special name.
    fn has_field(&self, name: &str, scopes: &[Item]) -> bool {
        scopes.iter().any(|item| match item {
            Item::Object(shape) => shape.field(name).is_some(),
            _ => false,
        })
    }

    /// The names of one word or two that exist.
    fn known(&self, scopes: &[Item]) -> Vec<String> {
        let mut known = Vec::new();
        let mut add = |prefix: &str, fields: &[FieldSpec]| {
            for field in fields {
                known.push(format!("{prefix}{}", field.name));
                if let Type::Object(shape) = field.of {
                    let inner = shape.fields().iter();
                    known.extend(inner.map(|f| format!("{prefix}{}.{}", field.name, f.name)));
                }
            }
        };
        for item in scopes.iter().rev() {
            match item {
                Item::Object(shape) => add("", shape.fields()),
                _ => add("", &[]),
            }
        }
        if let Some(shape) = self.root.shape {
            add("", shape.fields());
            add("", shape.inner().map_or(&[], |(_, inner)| inner.fields()));
        }
        add("request.", self.root.request.map_or(&[], Shape::fields));
        if scopes.last().is_some_and(|item| !matches!(item, Item::Object(_))) {
            known.push("it".to_owned());
        }
        let special = ["name", "now", "tag", "proof.token", "proof.user", "me.id", "me.login"];
        known.extend(special.into_iter().chain(["request.name"]).map(str::to_owned));
        known.extend(self.names.columns.iter().map(|column| format!("outcome.{column}")));
        known.extend(self.names.memory.iter().map(|(name, _)| name.clone()));
        known
    }

    fn forms(&mut self, hole: &Hole, resolved: &Resolved) -> Vec<Form> {
        let source = resolved.source;
        if matches!(source, SlotSource::Outcome(_) | SlotSource::Name | SlotSource::RequestName) {
            return vec![Form::Natural];
        }
        if source == SlotSource::Tag {
            return self.tag_forms(hole);
        }
        if hole.forms.is_empty() {
            if source == SlotSource::Nothing {
                return vec![Form::Any(None)];
            }
            let name = hole.path.as_deref().unwrap_or_default().join(".");
            match resolved.of {
                Type::Time => {
                    let text =
                        format!("<{name}>: a time has no form of its own; write <{name}: seconds>");
                    self.problems.add(Problem::error(hole.place.clone(), text));
                }
                Type::FlowKind | Type::ContentType | Type::Word(_) => {
                    let text = format!(
                        "<{name}>: a value of a closed set has no form of its own; write a table \
                         [values.{name}] and <{name}: {name}>"
                    );
                    self.problems.add(Problem::error(hole.place.clone(), text));
                }
                Type::Object(_) | Type::List(_) => {
                    let title = resolved.of.title();
                    let text = format!("<{name}>: {title}; write `each {name}: …` or a part of it");
                    self.problems.add(Problem::error(hole.place.clone(), text));
                }
                _ => {}
            }
            return vec![Form::Natural];
        }
        let forms = hole.forms.iter().filter_map(|form| self.form(form, hole, resolved));
        forms.collect()
    }

    /// The kinds of request ids: any, or those that are written.
    fn tag_forms(&mut self, hole: &Hole) -> Vec<Form> {
        let kinds = [("string", Kind::Text), ("integer", Kind::Integer)];
        let mut forms = Vec::new();
        for form in &hole.forms {
            match kinds.iter().find(|(name, _)| *name == form.name) {
                Some((_, kind)) if form.argument.is_none() => forms.push(Form::Any(Some(*kind))),
                _ => {
                    let text = "<tag>: a request id is a string, an integer, or any value";
                    self.problems.add(Problem::error(form.place.clone(), text));
                }
            }
        }
        if forms.is_empty() { vec![Form::Natural] } else { forms }
    }

    /// A default on the wire: with a table it is written as a value of the model.
    fn default(&mut self, hole: &Hole, value: &Value<'static>, forms: &[Form]) -> Value<'static> {
        let (Some(Form::Table(table)), Value::Text(name)) = (forms.first(), value) else {
            return value.clone();
        };
        let table = &self.names.tables.tables[*table];
        table.wire_of(name).cloned().unwrap_or_else(|| {
            let near = nearest(name, table.rows.iter().map(|row| row.name));
            let text = format!("{name}: no value of [values.{}]; {near}", table.name);
            self.problems.add(Problem::error(hole.place.clone(), text));
            value.clone()
        })
    }

    fn form(&mut self, text: &FormText, hole: &Hole, resolved: &Resolved) -> Option<Form> {
        let form = match self.form_named(text, resolved) {
            Ok(form) => form,
            Err(problem) => {
                self.problems.add(problem);
                return None;
            }
        };
        if let Some(held) = holds(&form, resolved.of) {
            let path = hole.path.as_deref().unwrap_or_default().join(".");
            let (name, title) = (&text.name, resolved.of.title());
            let message = format!("<{path}: {name}>: the form {name} holds {held}, not {title}");
            self.problems.add(Problem::error(hole.place.clone(), message));
            return None;
        }
        if let (Form::Date(format), false) = (&form, resolved.source == SlotSource::Nothing) {
            let path = hole.path.as_deref().unwrap_or_default().join(".");
            if format.contains("%") {
                let message = format!("<{path}> is not read back: its form is only written");
                self.problems.add(Problem::warning(hole.place.clone(), message));
            }
        }
        Some(form)
    }

    fn form_named(&self, text: &FormText, resolved: &Resolved) -> Result<Form, Problem> {
        let at = |message: String| Problem::error(text.place.clone(), message);
        if let Some(form) = time_form(text) {
            return form.map_err(at);
        }
        let is_any = resolved.source == SlotSource::Nothing && resolved.of != Type::Time;
        let natural = |kind| if is_any { Form::Any(Some(kind)) } else { Form::Natural };
        let form = match text.name.as_str() {
            "string" => natural(Kind::Text),
            "integer" => natural(Kind::Integer),
            "flag" => natural(Kind::Flag),
            "list" if is_any => natural(Kind::List),
            "object" if is_any => natural(Kind::Object),
            "json" => Form::Natural,
            "decimal" => Form::Decimal,
            "number" => Form::Number,
            "hex" => Form::Hex,
            "uuid" => Form::Uuid,
            "present" => Form::Present,
            "blank" => Form::Blank,
            "page" => match text.argument {
                Some(Value::Integer(size @ 1..=10_000)) => {
                    return Ok(Form::Page(u32::try_from(size).unwrap_or(1)));
                }
                _ => return Err(at("page(n): a size from 1 to 10000 is expected".to_owned())),
            },
            name => {
                let tables = &self.names.tables.tables;
                if let Some(table) = tables.iter().position(|table| table.name == name) {
                    Form::Table(table)
                } else if let Some(choice) = self.names.choices.iter().position(|c| c == name) {
                    Form::Choice(choice)
                } else {
                    let own = FORMS.iter().copied();
                    let tables = tables.iter().map(|table| table.name.as_str());
                    let choices = self.names.choices.iter().map(String::as_str);
                    let near = if resolved.of == Type::Time {
                        format!("times have {}", TIME_FORMS.join(", "))
                    } else {
                        nearest(name, own.chain(tables).chain(choices))
                    };
                    return Err(at(format!("{name}: no such form; {near}")));
                }
            }
        };
        match text.argument {
            Some(_) => Err(at(format!("{}: this form has no argument", text.name))),
            None => Ok(form),
        }
    }
}

/// The names of the forms.
const FORMS: [&str; 16] = [
    "string",
    "integer",
    "flag",
    "json",
    "decimal",
    "number",
    "hex",
    "uuid",
    "present",
    "blank",
    "page",
    "seconds",
    "float_seconds",
    "millis",
    "plain",
    "rfc3339",
];

/// The forms of times, as a message lists them.
const TIME_FORMS: [&str; 6] =
    ["seconds", "float_seconds", "millis", "plain", "rfc3339(0)", "date(\"%H:%M\")"];

/// True for the name of a form, which a table or a choice cannot have.
pub(crate) fn is_form(name: &str) -> bool {
    FORMS.contains(&name) || ["date", "list", "object"].contains(&name)
}

/// A form of times; an error for a wrong argument.
pub(crate) fn time_form(text: &FormText) -> Option<Result<Form, String>> {
    let form = match (text.name.as_str(), &text.argument) {
        ("seconds", None) => Form::Seconds,
        ("float_seconds", None) => Form::FloatSeconds,
        ("millis", None) => Form::Millis,
        ("plain", None) => Form::Plain,
        ("rfc3339", Some(Value::Integer(digits @ (0 | 3 | 6)))) => {
            Form::Rfc3339(u8::try_from(*digits).unwrap_or_default())
        }
        ("date", Some(Value::Text(format))) => match unknown_specifier(format) {
            None => Form::Date(format.clone().into_owned()),
            Some(specifier) => {
                let known = crate::strftime::SPECIFIERS;
                return Some(Err(format!("{specifier}: no such specifier; there are {known}")));
            }
        },
        ("rfc3339", _) => return Some(Err("rfc3339(0), (3) or (6) is expected".to_owned())),
        ("date", _) => return Some(Err("date(\"%Y-%m-%d\") is expected".to_owned())),
        _ => return None,
    };
    Some(Ok(form))
}

/// The kind of value that a form holds, if it cannot hold a type.
fn holds(form: &Form, of: Type) -> Option<&'static str> {
    let (fits, held) = match form {
        Form::Seconds
        | Form::FloatSeconds
        | Form::Millis
        | Form::Plain
        | Form::Rfc3339(_)
        | Form::Date(_)
        | Form::Choice(_) => (of == Type::Time, "a time"),
        Form::Decimal | Form::Hex | Form::Uuid => {
            (of.is_id() || of == Type::Integer, "an id or an integer")
        }
        Form::Page(_) => (of == Type::Integer, "an integer"),
        Form::Number | Form::Blank => (of == Type::Text, "a text"),
        Form::Table(_) => (
            matches!(
                of,
                Type::FlowKind | Type::ContentType | Type::Word(_) | Type::Flag | Type::Text
            ),
            "a value of a closed set",
        ),
        Form::Natural | Form::Present | Form::Any(_) => (true, ""),
    };
    (!fits).then_some(held)
}

fn slot_of(resolved: Resolved) -> Slot {
    let Resolved { source, path, of, is_optional } = resolved;
    let forms = vec![Form::Natural];
    let fields = path.iter().filter_map(|name| Field::named(name)).collect();
    Slot { source, path, fields, of, is_optional, forms, default: None, is_none_default: false }
}

/// The field at a path of a shape: its names, its type, and whether it may be none.
pub(crate) fn field_of(shape: Shape, names: &[&str]) -> Option<(Vec<&'static str>, Type, bool)> {
    let (first, rest) = names.split_first()?;
    let spec = shape.field(first)?;
    if rest.is_empty() {
        return Some((vec![spec.name], spec.of, spec.is_optional));
    }
    let Type::Object(inner) = spec.of else { return None };
    let (mut path, of, is_optional) = field_of(inner, rest)?;
    path.insert(0, spec.name);
    // Of a reference, one of two fields is there.
    let is_reference = matches!(inner, Shape::Reference | Shape::Known);
    Some((path, of, (is_optional || spec.is_optional) && !is_reference))
}

/// The field at a path of a root, whose one object needs no prefix.
fn root_field(shape: Shape, names: &[&str]) -> Option<(Vec<&'static str>, Type, bool)> {
    if let Some(found) = field_of(shape, names) {
        return Some(found);
    }
    let (prefix, inner) = shape.inner()?;
    let (mut path, of, is_optional) = field_of(inner, names)?;
    if !prefix.is_empty() {
        path.insert(0, prefix);
    }
    // The object may be none as a whole.
    let may_be_none = shape.field(prefix).is_some_and(|field| field.is_optional);
    Some((path, of, is_optional || may_be_none))
}
