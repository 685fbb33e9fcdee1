//! Writes frames: the plan of a frame, filled in with the values of the model.

use crate::forms::{Form, Tables};
use crate::model::{Datum, Field, ListItem, Source, Type, read};
use crate::paging::PageFacts;
use crate::plan::{ListKind, ListPlan, Plan, Slot, SlotSource, TextPlan};
use crate::syntax::{Syntax, Value, Writer};
use tolmach_dialect::{WideIdNumbers, WideIds};
use tolmach_domain::{Command, ObjectId, ObjectKind, Timestamp, UserId};

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
    /// The command that an answer is about.
    pub(crate) request: Option<&'a Command>,
    pub(crate) me: &'a Me,
    /// The name of the frame on the wire.
    pub(crate) name: &'a Value<'static>,
    /// The name of the request, where the frame is about one.
    pub(crate) request_name: &'a Value<'static>,
    /// The cells of the row of outcomes, by column.
    pub(crate) outcome: &'a [Option<Value<'static>>],
    pub(crate) now: Timestamp,
    /// The client's id of the request, in the syntax of the wire.
    pub(crate) tag: Option<&'a [u8]>,
    pub(crate) token: Option<&'a str>,
    /// The user that the token is for.
    pub(crate) token_user: Option<UserId>,
    /// The cells of the connection's memory.
    pub(crate) memory: &'a [Option<i64>],
    /// Of an answer that is a page.
    pub(crate) page: Option<PageFacts>,
    /// The chosen form of each choice.
    pub(crate) chosen: &'a [u8],
    /// The ids of 128 bits that objects of this world have on the wire: of a server's frame.
    pub(crate) wide_ids: Option<&'a WideIds>,
    /// The numbers that stand for ids of 128 bits: of a client's frame.
    pub(crate) numbers: Option<&'a WideIdNumbers>,
}

/// An item around a hole, with those around it.
struct Scope<'s, 'a> {
    item: ListItem<'a>,
    /// The number of the item, from 1 on for the outermost one.
    depth: usize,
    outer: Option<&'s Scope<'s, 'a>>,
}

/// The innermost item around a hole, if there is one.
type Scopes<'s, 'a> = Option<&'s Scope<'s, 'a>>;

/// The value of a slot, before its default and its form.
enum Filled<'a> {
    /// A value of the wire, such as a name or a cell of the outcomes.
    Wire(Option<&'a Value<'static>>),
    /// A value of the model.
    Model(Datum<'a>),
}

impl<'a> Fill<'a> {
    /// The bytes of a frame.
    pub(crate) fn frame(&self, plan: &Plan) -> bytes::Bytes {
        self.frame_of(plan, None)
    }

    /// The bytes of the frame of one item.
    pub(crate) fn frame_of(&self, plan: &Plan, item: Option<ListItem<'a>>) -> bytes::Bytes {
        let mut writer = Writer::for_frame();
        let scope = item.map(|item| Scope { item, depth: 1, outer: None });
        self.write(plan, scope.as_ref(), &mut writer);
        self.syntax.finish(writer)
    }

    /// The items of a list.
    pub(crate) fn items(&self, slot: &Slot) -> Vec<ListItem<'a>> {
        self.datum(slot, None).items().collect()
    }

    fn write(&self, plan: &Plan, scopes: Scopes<'_, 'a>, writer: &mut Writer) {
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
                    member.written.write(self.syntax, is_first, writer);
                    is_first = false;
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

    fn write_list(&self, list: &ListPlan, scopes: Scopes<'_, 'a>, writer: &mut Writer) {
        let (_, comma) = self.syntax.separators();
        let items = self.datum(&list.slot, scopes);
        let is_bare = match list.kind {
            ListKind::Each | ListKind::WithInList => false,
            ListKind::One | ListKind::With => true,
            ListKind::OneOrMany => items.item(1).is_none(),
        };
        if is_bare {
            match items.item(0) {
                Some(item) => self.write_item(list, item, scopes, writer),
                None => self.syntax.write_null(writer),
            }
            return;
        }
        writer.push('[');
        let mut is_first = true;
        let mut separate = |writer: &mut Writer| {
            if !std::mem::take(&mut is_first) {
                writer.push_str(comma);
            }
        };
        for before in &list.before {
            separate(writer);
            self.write(before, scopes, writer);
        }
        for item in items.items() {
            separate(writer);
            self.write_item(list, item, scopes, writer);
        }
        writer.push(']');
    }

    fn write_item(
        &self,
        list: &ListPlan,
        item: ListItem<'a>,
        scopes: Scopes<'_, 'a>,
        writer: &mut Writer,
    ) {
        let depth = scopes.map_or(0, |outer| outer.depth) + 1;
        self.write(&list.item, Some(&Scope { item, depth, outer: scopes }), writer);
    }

    fn write_slot(&self, slot: &Slot, scopes: Scopes<'_, 'a>, writer: &mut Writer) {
        let datum = match self.filled(slot, scopes) {
            Filled::Wire(Some(value)) => return self.syntax.write_value(writer, value),
            Filled::Wire(None) => return self.syntax.write_null(writer),
            Filled::Model(datum) => datum,
        };
        let datum = match (datum, slot.of.object_kind()) {
            (Datum::Integer(number), Some(kind)) if self.has_wide_ids() => {
                // A number that stands for an id of the request becomes the one that it was given.
                let number = self.wide_ids.map_or(number, |ids| ids.resolved(number));
                if self.write_wide_id(slot, kind, number, writer) {
                    return;
                }
                Datum::Integer(number)
            }
            (datum, _) => datum,
        };
        match (&datum, &slot.default, slot.forms.first()) {
            (Datum::None, Some(default), _) => self.syntax.write_value(writer, default),
            (Datum::None, None, Some(Form::Blank)) => self.syntax.write_text(writer, ""),
            (_, _, Some(form)) => form.write(&datum, self.tables, self.chosen, self.syntax, writer),
            (_, _, None) => self.syntax.write_null(writer),
        }
    }

    /// True if ids of 128 bits may have to be written.
    fn has_wide_ids(&self) -> bool {
        self.wide_ids.is_some() || self.numbers.is_some()
    }

    /// Writes the id of 128 bits that the number of an object has on the wire; false if it has none
    /// there.
    fn write_wide_id(
        &self,
        slot: &Slot,
        kind: ObjectKind,
        number: i64,
        writer: &mut Writer,
    ) -> bool {
        let Some(form) = slot.forms.first() else { return false };
        let of_object = self.wide_ids.and_then(|wide_ids| {
            ObjectId::new(kind, number).and_then(|object| wide_ids.get(object))
        });
        if of_object.is_some_and(|wide| form.write_wide_id(wide, self.syntax, writer)) {
            return true;
        }
        let stood_for = self.numbers.and_then(|numbers| numbers.id(number));
        stood_for.is_some_and(|wide| form.write_wide_id(wide, self.syntax, writer))
    }

    fn filled(&self, slot: &Slot, scopes: Scopes<'_, 'a>) -> Filled<'a> {
        let name = |name: &'a Value<'static>| Some(name).filter(|name| **name != Value::Null);
        match slot.source {
            SlotSource::Outcome(column) => {
                Filled::Wire(self.outcome.get(column).and_then(Option::as_ref))
            }
            SlotSource::Name => Filled::Wire(name(self.name)),
            SlotSource::RequestName => Filled::Wire(name(self.request_name)),
            _ => Filled::Model(self.datum(slot, scopes)),
        }
    }

    /// True if a slot has neither a value nor a default.
    fn is_slot_none(&self, slot: &Slot, scopes: Scopes<'_, 'a>) -> bool {
        match self.filled(slot, scopes) {
            Filled::Wire(value) => value.is_none(),
            Filled::Model(datum) => datum.is_none() && slot.default.is_none(),
        }
    }

    fn text_part(&self, part: &TextPlan, scopes: Scopes<'_, 'a>) -> String {
        match part {
            TextPlan::Literal(text) => text.clone(),
            TextPlan::Slot(slot) => self.slot_text(slot, scopes),
        }
    }

    /// The value of a hole in its form, as a part of a text: a text without quotation marks, a
    /// number in digits, and nothing for none.
    fn slot_text(&self, slot: &Slot, scopes: Scopes<'_, 'a>) -> String {
        let syntax = match self.syntax {
            Syntax::Json | Syntax::JsonInString => Syntax::Json,
            Syntax::PythonLiteral => Syntax::PythonLiteral,
        };
        let mut writer = Writer::default();
        Fill { syntax, ..*self }.write_slot(slot, scopes, &mut writer);
        let written = writer.finish();
        let as_written = || String::from_utf8_lossy(&written).into_owned();
        let to_text = |value: Value<'_>| match value {
            Value::Text(text) => text.into_owned(),
            Value::Null => String::new(),
            _ => as_written(),
        };
        // Forms write frames only: the value is read back for the text of a string.
        syntax.read(&written, 1, to_text).unwrap_or_else(|_| as_written())
    }

    /// True if an optional member is left out: nothing in it has a value.
    fn is_none(&self, plan: &Plan, scopes: Scopes<'_, 'a>) -> bool {
        match plan {
            Plan::Slot(slot) => self.is_slot_none(slot, scopes),
            Plan::List(list) => list.before.is_empty() && self.datum(&list.slot, scopes).is_none(),
            Plan::Fixed(items) => items.iter().all(|item| self.is_none(item, scopes)),
            Plan::Object(members) => members.iter().all(|m| self.is_none(&m.plan, scopes)),
            Plan::Text(parts) => parts.iter().all(|part| match part {
                TextPlan::Literal(_) => true,
                TextPlan::Slot(slot) => self.is_slot_none(slot, scopes),
            }),
            Plan::Constant(..) => false,
        }
    }

    /// The value of a slot in the model.
    fn datum(&self, slot: &Slot, scopes: Scopes<'_, 'a>) -> Datum<'a> {
        let mut source = match slot.source {
            // The next page and the total are of the page, and no fields of the answer.
            SlotSource::Scope(0) => match self.root {
                Some(_) if matches!(slot.fields.as_slice(), [Field::Next]) => {
                    return Datum::optional_id(self.page.and_then(|page| page.next));
                }
                Some(_) if matches!(slot.fields.as_slice(), [Field::Total]) => {
                    return Datum::optional_id(self.page.map(|page| page.total));
                }
                Some(root) => root,
                None => return Datum::None,
            },
            SlotSource::Scope(depth) => match item_at(scopes, depth) {
                Some(ListItem::Object(item)) => item,
                Some(ListItem::Id(number)) if slot.fields.is_empty() => {
                    return Datum::Integer(number);
                }
                _ => return Datum::None,
            },
            SlotSource::Request => match self.request {
                Some(request) => Source::Command(request),
                None => return Datum::None,
            },
            SlotSource::Me => return self.me_field(&slot.fields),
            SlotSource::Now => return Datum::Time(self.now),
            // `<_>` in a form of times is written as the current time, which readers ignore.
            SlotSource::Nothing if slot.of == Type::Time => return Datum::Time(self.now),
            SlotSource::Nothing => return Datum::None,
            SlotSource::Tag => return self.tag.map_or(Datum::None, Datum::Json),
            SlotSource::Token => return Datum::optional_text(self.token),
            SlotSource::TokenUser => {
                return Datum::optional_id(self.token_user.map(UserId::get));
            }
            SlotSource::Memory(cell) => {
                return Datum::optional_id(self.memory.get(cell).copied().flatten());
            }
            // See [`Filled::Wire`].
            SlotSource::Outcome(_) | SlotSource::Name | SlotSource::RequestName => {
                return Datum::None;
            }
        };
        let Some((last, before)) = slot.fields.split_last() else { return Datum::Object(source) };
        for field in before {
            match read(source, *field, self.me.id) {
                Datum::Object(inner) => source = inner,
                _ => return Datum::None,
            }
        }
        read(source, *last, self.me.id)
    }

    fn me_field(&self, fields: &[Field]) -> Datum<'a> {
        match fields {
            // Without a login on this connection, the user that the token is for.
            [Field::Id] => Datum::optional_id(self.me.id.or(self.token_user).map(UserId::get)),
            [Field::Login] => Datum::optional_text(self.me.login.as_deref()),
            _ => Datum::None,
        }
    }
}

/// The item around a hole at a depth.
fn item_at<'a>(mut scopes: Scopes<'_, 'a>, depth: usize) -> Option<ListItem<'a>> {
    while let Some(scope) = scopes {
        if scope.depth == depth {
            return Some(scope.item);
        }
        scopes = scope.outer;
    }
    None
}
