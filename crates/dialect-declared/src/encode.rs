//! Frames, filled in.

use crate::forms::Tables;
use crate::model::{Datum, Source, Type, read};
use crate::paging::PageFacts;
use crate::plan::{ListKind, ListPlan, Plan, Slot, SlotSource, TextPlan};
use crate::syntax::{Syntax, Value, Writer};
use std::borrow::Cow;
use tolmach_dialect::{WideIdNumbers, WideIds};
use tolmach_domain::{Command, ObjectId, Timestamp, UserId};

/// The user of a connection, as far as it knows them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Me {
    pub(crate) id: Option<UserId>,
    /// The identifier of the login.
    pub(crate) login: Option<String>,
}

/// The values that a frame is filled in with.
pub(crate) struct Fill<'a> {
    pub(crate) syntax: Syntax,
    pub(crate) tables: &'a Tables,
    /// The command, the answer or the event.
    pub(crate) root: Option<Source<'a>>,
    pub(crate) request: Option<&'a Command>,
    pub(crate) me: &'a Me,
    pub(crate) name: &'a Value<'static>,
    /// The name of the request, where the frame is about one.
    pub(crate) request_name: &'a Value<'static>,
    pub(crate) outcome: &'a [Option<Value<'static>>],
    pub(crate) now: Timestamp,
    pub(crate) tag: Option<&'a [u8]>,
    pub(crate) token: Option<&'a str>,
    pub(crate) token_user: Option<UserId>,
    pub(crate) memory: &'a [Option<i64>],
    /// Of an answer that is a page.
    pub(crate) page: Option<PageFacts>,
    /// The chosen form of each choice.
    pub(crate) chosen: &'a [u8],
    pub(crate) wide_ids: Option<&'a WideIds>,
    /// The numbers that stand for wide ids.
    pub(crate) numbers: Option<&'a WideIdNumbers>,
}

impl<'a> Fill<'a> {
    /// The bytes of a frame.
    pub(crate) fn frame(&self, plan: &Plan) -> bytes::Bytes {
        self.frame_of(plan, None)
    }

    /// The bytes of the frame of one item.
    pub(crate) fn frame_of(&self, plan: &Plan, item: Option<Datum<'a>>) -> bytes::Bytes {
        let mut writer = Writer::for_frame();
        let mut scopes = Vec::from_iter(item);
        self.write(plan, &mut scopes, &mut writer);
        self.syntax.finish(writer)
    }

    /// The items of a list.
    pub(crate) fn items(&self, slot: &Slot) -> Vec<Datum<'a>> {
        match self.datum(slot, &[]) {
            Datum::List(items) => items,
            Datum::None => Vec::new(),
            other => vec![other],
        }
    }

    fn write(&self, plan: &Plan, scopes: &mut Vec<Datum<'a>>, writer: &mut Writer) {
        let (_, comma) = self.syntax.separators();
        match plan {
            Plan::Constant(value, _) => self.syntax.write_value(writer, value),
            Plan::Text(parts) => {
                let text: String = parts.iter().map(|part| self.text_part(part, scopes)).collect();
                self.syntax.write_text(writer, &text);
            }
            Plan::Slot(slot) => self.write_slot(slot, scopes, writer),
            Plan::Object(members) => {
                writer.push('{');
                let mut is_first = true;
                for member in members {
                    if member.is_optional && self.is_none(&member.plan, scopes) {
                        continue;
                    }
                    member.written.write(self.syntax, std::mem::take(&mut is_first), writer);
                    self.write(&member.plan, scopes, writer);
                }
                writer.push('}');
            }
            Plan::Fixed(items) => {
                writer.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        writer.push_str(comma);
                    }
                    self.write(item, scopes, writer);
                }
                writer.push(']');
            }
            Plan::List(list) => self.write_list(list, scopes, writer),
        }
    }

    fn write_list(&self, list: &ListPlan, scopes: &mut Vec<Datum<'a>>, writer: &mut Writer) {
        let (_, comma) = self.syntax.separators();
        let items = match self.datum(&list.slot, scopes) {
            Datum::List(items) => items,
            Datum::None => Vec::new(),
            other => vec![other],
        };
        let is_bare = match list.kind {
            ListKind::Each | ListKind::WithInList => false,
            ListKind::One | ListKind::With => true,
            ListKind::OneOrMany => items.len() <= 1,
        };
        if is_bare {
            match items.into_iter().next() {
                Some(item) => self.write_item(list, item, scopes, writer),
                None => self.syntax.write_null(writer),
            }
            return;
        }
        writer.push('[');
        for (index, before) in list.before.iter().enumerate() {
            if index > 0 {
                writer.push_str(comma);
            }
            self.write(before, scopes, writer);
        }
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 || !list.before.is_empty() {
                writer.push_str(comma);
            }
            self.write_item(list, item, scopes, writer);
        }
        writer.push(']');
    }

    fn write_item(
        &self,
        list: &ListPlan,
        item: Datum<'a>,
        scopes: &mut Vec<Datum<'a>>,
        writer: &mut Writer,
    ) {
        scopes.push(item);
        self.write(&list.item, scopes, writer);
        scopes.pop();
    }

    fn write_slot(&self, slot: &Slot, scopes: &[Datum<'a>], writer: &mut Writer) {
        if let SlotSource::Outcome(column) = slot.source {
            return match self.outcome.get(column).and_then(Option::as_ref) {
                Some(value) => self.syntax.write_value(writer, value),
                None => self.syntax.write_null(writer),
            };
        }
        if let Some(name) = self.name_at(slot) {
            return self.syntax.write_value(writer, name);
        }
        let mut datum = self.datum(slot, scopes);
        if let (Some(wide_ids), Some(kind), Datum::Integer(number)) =
            (self.wide_ids, slot.of.object_kind(), &mut datum)
        {
            *number = wide_ids.resolved(*number);
            let wide = ObjectId::new(kind, *number).and_then(|object| wide_ids.get(object));
            if let (Some(wide), Some(form)) = (wide, slot.forms.first())
                && form.write_wide_id(wide, self.syntax, writer)
            {
                return;
            }
        }
        if let (Some(numbers), true, Datum::Integer(number), Some(form)) =
            (self.numbers, slot.of.is_id(), &datum, slot.forms.first())
            && let Some(wide) = numbers.id(*number)
            && form.write_wide_id(wide, self.syntax, writer)
        {
            return;
        }
        match (&datum, &slot.default, slot.forms.first()) {
            (Datum::None, Some(default), _) => self.syntax.write_value(writer, default),
            (Datum::None, None, Some(crate::forms::Form::Blank)) => {
                self.syntax.write_text(writer, "");
            }
            (_, _, Some(form)) => form.write(&datum, self.tables, self.chosen, self.syntax, writer),
            (_, _, None) => self.syntax.write_null(writer),
        }
    }

    /// The name that a slot is for.
    fn name_at(&self, slot: &Slot) -> Option<&'a Value<'static>> {
        match slot.source {
            SlotSource::Name => Some(self.name),
            SlotSource::RequestName => Some(self.request_name),
            _ => None,
        }
    }

    fn text_part(&self, part: &TextPlan, scopes: &[Datum<'a>]) -> String {
        match part {
            TextPlan::Literal(text) => text.clone(),
            TextPlan::Slot(slot) => self.slot_text(slot, scopes),
        }
    }

    /// The value of a hole in its form, as a part of a text: a text without quotation marks, a
    /// number in digits, and nothing for none.
    fn slot_text(&self, slot: &Slot, scopes: &[Datum<'a>]) -> String {
        let mut writer = Writer::default();
        let fill = Fill { syntax: Syntax::Json, ..*self };
        fill.write_slot(slot, scopes, &mut writer);
        let written = writer.finish();
        let own = |value: Value<'_>| match value {
            Value::Text(text) => text.into_owned(),
            Value::Null => String::new(),
            _ => String::from_utf8_lossy(&written).into_owned(),
        };
        Syntax::Json.read(&written, 1, own).unwrap_or_default()
    }

    /// True if all that a part is filled in with is none.
    fn is_none(&self, plan: &Plan, scopes: &[Datum<'a>]) -> bool {
        match plan {
            Plan::Slot(Slot { source: SlotSource::Outcome(column), .. }) => {
                self.outcome.get(*column).is_none_or(Option::is_none)
            }
            Plan::Slot(slot) => match self.name_at(slot) {
                Some(name) => *name == Value::Null,
                None => slot.default.is_none() && self.datum(slot, scopes).is_none(),
            },
            Plan::List(list) => list.before.is_empty() && self.datum(&list.slot, scopes).is_none(),
            Plan::Fixed(items) => items.iter().all(|item| self.is_none(item, scopes)),
            Plan::Object(members) => members.iter().all(|m| self.is_none(&m.plan, scopes)),
            Plan::Text(parts) => parts.iter().all(|part| match part {
                TextPlan::Literal(_) => true,
                TextPlan::Slot(slot) => self.datum(slot, scopes).is_none(),
            }),
            Plan::Constant(..) => false,
        }
    }

    /// The value of a slot.
    fn datum(&self, slot: &Slot, scopes: &[Datum<'a>]) -> Datum<'a> {
        let (start, path) = match slot.source {
            SlotSource::Scope(0) => match self.root {
                Some(_) if matches!(slot.path.as_slice(), ["next"]) => {
                    return Datum::optional_id(self.page.and_then(|page| page.next));
                }
                Some(_) if matches!(slot.path.as_slice(), ["total"]) => {
                    return Datum::optional_id(self.page.map(|page| page.total));
                }
                Some(root) => (Datum::Object(root), slot.path.as_slice()),
                None => return Datum::None,
            },
            SlotSource::Scope(depth) => match scopes.get(depth - 1) {
                Some(item) => (item.clone(), slot.path.as_slice()),
                None => return Datum::None,
            },
            SlotSource::Request => match self.request {
                Some(request) => (Datum::Object(Source::Command(request)), slot.path.as_slice()),
                None => return Datum::None,
            },
            SlotSource::Me => return self.my(&slot.path),
            SlotSource::Now => return Datum::Time(self.now),
            // `<_>` in a form of times is written as the current time, which readers ignore.
            SlotSource::Nothing if slot.of == Type::Time => return Datum::Time(self.now),
            SlotSource::Nothing => return Datum::None,
            SlotSource::Tag => return self.tag.map_or(Datum::None, Datum::Json),
            SlotSource::Token => {
                return self.token.map_or(Datum::None, |token| Datum::Text(token.into()));
            }
            SlotSource::TokenUser => {
                return Datum::optional_id(self.token_user.map(UserId::get));
            }
            SlotSource::Memory(cell) => {
                return Datum::optional_id(self.memory.get(cell).copied().flatten());
            }
            // Their values are the wire's, not the model's.
            SlotSource::Outcome(_) | SlotSource::Name | SlotSource::RequestName => {
                return Datum::None;
            }
        };
        path.iter().fold(start, |datum, name| match datum {
            Datum::Object(source) => read(source, name, self.me.id),
            _ => Datum::None,
        })
    }

    fn my(&self, path: &[&'static str]) -> Datum<'a> {
        match path {
            // A client that has not logged in on this connection proves who it is.
            ["id"] => Datum::optional_id(self.me.id.or(self.token_user).map(UserId::get)),
            ["login"] => {
                let login = self.me.login.clone();
                login.map_or(Datum::None, |login| Datum::Text(Cow::Owned(login)))
            }
            _ => Datum::None,
        }
    }
}
