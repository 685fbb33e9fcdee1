//! Frames, matched.

use crate::forms::{Form, Mismatch, Tables};
use crate::model::{Found, Record, Type};
use crate::plan::{
    Condition, ListKind, ListPlan, Plan, PlanMember, Slot, SlotSource, Test, TextPlan,
};
use crate::syntax::{Kind, Syntax, Value};
use bytes::Bytes;
use std::borrow::Cow;
use tolmach_dialect::{WideIdNumbers, stand_in};
use tolmach_domain::{ExternalId, Timestamp};

/// The values that were found in a frame.
#[derive(Debug, Clone, Default)]
pub(crate) struct Match {
    /// The fields of the command.
    pub(crate) record: Record,
    pub(crate) tag: Option<Bytes>,
    pub(crate) token: Option<String>,
    pub(crate) token_user: Option<i64>,
    /// The forms that were chosen: of a choice, by its index.
    pub(crate) chosen: Vec<(usize, usize)>,
    /// Values that must agree with what the connection knows.
    pub(crate) mine: Vec<(&'static str, Found)>,
    pub(crate) memory: Vec<(usize, Found)>,
    /// Fields of the request, in its response.
    pub(crate) request: Vec<(Vec<&'static str>, Found)>,
    /// The time that the frame was written at.
    pub(crate) now: Option<Timestamp>,
    /// The ids that stand-ins stand for; `None` where a wide id is the id of nothing.
    pub(crate) wide_ids: Option<Vec<ExternalId>>,
}

impl Match {
    /// Nothing was found yet. `has_external_ids` is true if wide ids may be those of objects.
    pub(crate) fn new(has_external_ids: bool) -> Self {
        Self { wide_ids: has_external_ids.then(Vec::new), ..Self::default() }
    }
}

/// The reason why a frame does not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldProblem {
    /// The key of the wire; empty for the frame itself.
    pub(crate) key: String,
    pub(crate) reason: Cow<'static, str>,
    /// True if the value is of the right kind and out of its range.
    pub(crate) is_range: bool,
}

/// Matches frames in a syntax.
pub(crate) struct Matcher<'a> {
    pub(crate) syntax: Syntax,
    pub(crate) tables: &'a Tables,
    /// The numbers that wide ids are read as, where a request has no stand-ins for them.
    pub(crate) numbers: Option<&'a WideIdNumbers>,
    /// True for a server's frames, which other servers than ours write: of several items where one
    /// is expected all are kept, and a text or a flag that is null is none.
    pub(crate) is_of_server: bool,
}

impl Matcher<'_> {
    /// Matches a whole frame with a plan.
    pub(crate) fn find(&self, plan: &Plan, value: &Value<'_>) -> Result<Match, FieldProblem> {
        self.find_more(plan, value, Match::default())
    }

    /// The same, in addition to what was found.
    pub(crate) fn find_more(
        &self,
        plan: &Plan,
        value: &Value<'_>,
        mut found: Match,
    ) -> Result<Match, FieldProblem> {
        let mut scopes = Vec::new();
        self.walk(plan, Some(value), "", true, &mut scopes, &mut found)?;
        Ok(found)
    }

    /// Matches the frame of one item with its plan.
    pub(crate) fn find_item(
        &self,
        plan: &Plan,
        value: &Value<'_>,
    ) -> Result<(Match, Found), FieldProblem> {
        let mut found = Match::default();
        let mut scopes = vec![Record::default()];
        self.walk(plan, Some(value), "", true, &mut scopes, &mut found)?;
        let mut record = scopes.pop().unwrap_or_default();
        let item = record.take("").unwrap_or(Found::Record(record));
        Ok((found, item))
    }

    /// The cells of the outcome that a frame has where a plan has them, by column. The outer is
    /// `None` for a column that the plan has not.
    pub(crate) fn cells<'v>(
        plan: &Plan,
        value: Option<&'v Value<'v>>,
        cells: &mut [Option<Option<&'v Value<'v>>>],
    ) {
        match plan {
            Plan::Object(members) => {
                for member in members {
                    let at = member.keys.iter().find_map(|key| value?.get(key));
                    Self::cells(&member.plan, at, cells);
                }
            }
            Plan::Fixed(items) => {
                for (index, item) in items.iter().enumerate() {
                    let at = match value {
                        Some(Value::List(values)) => values.get(index),
                        _ => None,
                    };
                    Self::cells(item, at, cells);
                }
            }
            Plan::Slot(Slot { source: SlotSource::Outcome(column), .. }) => {
                if let Some(cell) = cells.get_mut(*column) {
                    *cell = Some(value.filter(|value| !matches!(value, Value::Null)));
                }
            }
            Plan::Slot(_) | Plan::Constant(..) | Plan::Text(_) | Plan::List(_) => {}
        }
    }

    /// The request id and the chosen forms in a frame, whatever else it has.
    pub(crate) fn envelope(&self, plan: &Plan, value: &Value<'_>) -> Match {
        let mut found = Match::default();
        self.walk_envelope(plan, value, &mut found);
        found
    }

    fn walk_envelope(&self, plan: &Plan, value: &Value<'_>, found: &mut Match) {
        match (plan, value) {
            (Plan::Object(members), _) => {
                for member in members {
                    if let Some(value) = member.keys.iter().find_map(|key| value.get(key)) {
                        self.walk_envelope(&member.plan, value, found);
                    }
                }
            }
            (Plan::Fixed(items), Value::List(values)) => {
                for (item, value) in items.iter().zip(values) {
                    self.walk_envelope(item, value, found);
                }
            }
            (Plan::Slot(slot), _)
                if matches!(slot.source, SlotSource::Tag | SlotSource::Nothing) =>
            {
                // A value that cannot be read chooses nothing.
                let _ = self.walk_slot(slot, value, "", &mut [], found);
            }
            _ => {}
        }
    }

    /// True if a frame fulfils all conditions.
    pub(crate) fn fits(conditions: &[Condition], value: &Value<'_>) -> bool {
        conditions.iter().all(|condition| {
            let at = condition.path.iter().try_fold(value, |value, key| value.get(key));
            match (&condition.test, at) {
                (Test::Equals(constant), Some(value)) => constant == value,
                (Test::Kinds(kinds), Some(value)) => kinds.contains(&value.kind()),
                (_, None) => false,
            }
        })
    }

    fn walk<'v>(
        &self,
        plan: &Plan,
        value: Option<&Value<'v>>,
        key: &str,
        is_needed: bool,
        scopes: &mut Vec<Record>,
        found: &mut Match,
    ) -> Result<(), FieldProblem> {
        let value = match (plan, value) {
            // A constant is not looked at, unless it decides.
            (Plan::Constant(constant, true), value)
                if value.unwrap_or(&Value::Null) != constant =>
            {
                return Err(problem(key, "another value is expected"));
            }
            (Plan::Constant(..), _) => return Ok(()),
            (_, None | Some(Value::Null)) => {
                return self.walk_none(plan, value.is_some(), key, is_needed, scopes, found);
            }
            (_, Some(value)) => value,
        };
        match plan {
            Plan::Constant(..) => Ok(()),
            Plan::Slot(slot) => self.walk_slot(slot, value, key, scopes, found),
            Plan::Text(parts) => self.walk_text(parts, value, key, scopes, found),
            Plan::Object(members) => {
                let Value::Object(_) = value else {
                    return Err(problem(key, "an object is expected"));
                };
                for member in members {
                    self.walk_member(member, value, scopes, found)?;
                }
                Ok(())
            }
            Plan::Fixed(items) => {
                let Value::List(values) = value else {
                    return Err(problem(key, "a list is expected"));
                };
                for (index, item) in items.iter().enumerate() {
                    self.walk(item, values.get(index), key, true, scopes, found)?;
                }
                Ok(())
            }
            Plan::List(list) => self.walk_list(list, value, key, scopes, found),
        }
    }

    fn walk_member(
        &self,
        member: &PlanMember,
        value: &Value<'_>,
        scopes: &mut Vec<Record>,
        found: &mut Match,
    ) -> Result<(), FieldProblem> {
        let at = member.keys.iter().find_map(|key| value.get(key));
        let is_needed = member.is_required || !member.is_optional;
        if member.is_required
            && let Plan::Slot(slot) = &member.plan
        {
            // `<_: form>` is not kept: null would be no value of its form.
            let is_any = slot.forms.iter().any(|form| matches!(form, Form::Any(None)));
            match at {
                None => return Err(problem(&member.keys[0], "missing")),
                Some(Value::Null) if slot.source == SlotSource::Nothing && !is_any => {
                    return Err(problem(&member.keys[0], self.expected(slot)));
                }
                Some(_) => {}
            }
        }
        self.walk(&member.plan, at, &member.keys[0], is_needed, scopes, found)
    }

    /// A part that is absent, or null.
    fn walk_none(
        &self,
        plan: &Plan,
        is_null: bool,
        key: &str,
        is_needed: bool,
        scopes: &mut [Record],
        found: &mut Match,
    ) -> Result<(), FieldProblem> {
        match plan {
            Plan::Slot(slot) => {
                if slot.is_none_default {
                    return Ok(());
                }
                if let Some(default) = &slot.default {
                    return self.walk_slot(slot, default, key, scopes, found);
                }
                let is_token = matches!(slot.source, SlotSource::Token | SlotSource::TokenUser);
                // A token that is null is none, and one that is missing is no request.
                let is_nullable = if is_token { is_null } else { slot.is_optional };
                let is_plain = matches!(slot.of, Type::Text | Type::Flag);
                let is_none = self.is_of_server && is_null && is_plain;
                match (is_needed, is_nullable || is_none, is_null) {
                    (_, true, _) | (false, _, _) => Ok(()),
                    (true, false, true) => Err(problem(key, self.expected(slot))),
                    (true, false, false) => Err(problem(key, "missing")),
                }
            }
            Plan::List(list) if list.kind != ListKind::One || !is_needed => {
                if list.kind == ListKind::Each && is_needed && !list.slot.is_optional && !is_null {
                    return Err(problem(key, "missing"));
                }
                Ok(())
            }
            _ if !is_needed => Ok(()),
            _ if is_null => Err(problem(key, expected_of(plan))),
            _ => Err(problem(key, "missing")),
        }
    }

    fn expected(&self, slot: &Slot) -> &'static str {
        slot.forms.first().map_or("a value is expected", |form| form.expected(slot.of, self.tables))
    }

    fn walk_slot(
        &self,
        slot: &Slot,
        value: &Value<'_>,
        key: &str,
        scopes: &mut [Record],
        found: &mut Match,
    ) -> Result<(), FieldProblem> {
        if slot.is_none_default && slot.default.as_ref() == Some(value) {
            return Ok(());
        }
        let is_empty = matches!(value, Value::Text(text) if text.is_empty());
        if is_empty && slot.is_optional && slot.forms.contains(&Form::Blank) {
            return Ok(());
        }
        let kind = value.kind();
        let form = slot.forms.iter().find(|form| form.accepts(kind, slot.of, self.tables));
        let form = form.ok_or_else(|| problem(key, self.expected(slot)))?;
        // A form such as a date without a year is not read back.
        if form.precision().is_none() {
            return Ok(());
        }
        if slot.of.is_id()
            && let Some(number) = self.number_of_wide_id(form, value, found)
        {
            keep(slot, Found::Integer(number), scopes, found);
            return Ok(());
        }
        // A request id is kept as it is, whatever its kind.
        let form = if slot.source == SlotSource::Tag { &Form::Natural } else { form };
        let mut choose = |choice, index| found.chosen.push((choice, index));
        let read = form.read(value, slot.of, self.tables, self.syntax, &mut choose);
        let read = read.map_err(|mismatch| match mismatch {
            Mismatch::Kind(reason) => problem(key, reason),
            Mismatch::Range(reason) => FieldProblem { is_range: true, ..problem(key, reason) },
            Mismatch::Table(table) => {
                let reason = self.tables.tables[table].expected();
                FieldProblem { is_range: true, ..problem(key, reason) }
            }
        })?;
        if !matches!(form, Form::Any(_)) {
            keep(slot, read, scopes, found);
        }
        Ok(())
    }

    /// The number in the place of an id that is too wide for the id types.
    fn number_of_wide_id(&self, form: &Form, value: &Value<'_>, found: &mut Match) -> Option<i64> {
        match (&mut found.wide_ids, self.numbers) {
            (None, None) => None,
            (_, Some(numbers)) => Some(numbers.number(form.wide_id(value)?)),
            (Some(wide_ids), None) => {
                let id = form.wide_id(value)?;
                wide_ids.push(id);
                Some(stand_in(wide_ids.len() - 1))
            }
        }
    }

    /// Literals separate the holes of a text: each hole reaches to the next literal.
    fn walk_text(
        &self,
        parts: &[TextPlan],
        value: &Value<'_>,
        key: &str,
        scopes: &mut [Record],
        found: &mut Match,
    ) -> Result<(), FieldProblem> {
        let Value::Text(text) = value else { return Err(problem(key, "a string is expected")) };
        let other = || problem(key, "another text is expected");
        let mut rest: &str = text;
        let mut parts = parts.iter().peekable();
        while let Some(part) = parts.next() {
            match (part, parts.peek()) {
                (TextPlan::Literal(literal), _) => {
                    rest = rest.strip_prefix(literal.as_str()).ok_or_else(other)?;
                }
                (TextPlan::Slot(slot), next) => {
                    let end = match next {
                        Some(TextPlan::Literal(literal)) => rest.find(literal.as_str()),
                        _ => Some(rest.len()),
                    };
                    let (filled, tail) = rest.split_at(end.ok_or_else(other)?);
                    // The form of a type that is no text has no empty text: it is none.
                    let is_none = filled.is_empty() && slot.is_optional && slot.of != Type::Text;
                    if !is_none {
                        let value = self.part_of_text(slot, filled).ok_or_else(other)?;
                        self.walk_slot(slot, &value, key, scopes, found)?;
                    }
                    rest = tail;
                }
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(other()) }
    }

    /// The value that a part of a text stands for, of a kind that the hole reads.
    fn part_of_text<'v>(&self, slot: &Slot, filled: &'v str) -> Option<Value<'v>> {
        let accepts = |kind| slot.forms.iter().any(|form| form.accepts(kind, slot.of, self.tables));
        if accepts(Kind::Text) {
            return Some(Value::Text(filled.into()));
        }
        match filled.parse() {
            Ok(number) if accepts(Kind::Integer) => Some(Value::Integer(number)),
            _ if accepts(Kind::Float) => filled.parse().ok().map(Value::Float),
            _ => None,
        }
    }

    fn walk_list(
        &self,
        list: &ListPlan,
        value: &Value<'_>,
        key: &str,
        scopes: &mut Vec<Record>,
        found: &mut Match,
    ) -> Result<(), FieldProblem> {
        let items: &[Value<'_>] = match (list.kind, value) {
            (ListKind::Each | ListKind::WithInList, Value::List(items)) => {
                for (index, before) in list.before.iter().enumerate() {
                    self.walk(before, items.get(index), key, true, scopes, found)?;
                }
                items.get(list.before.len()..).unwrap_or_default()
            }
            (ListKind::OneOrMany, Value::List(items)) => items,
            (ListKind::Each | ListKind::WithInList, _) => {
                return Err(problem(key, "a list is expected"));
            }
            (_, value) => std::slice::from_ref(value),
        };
        let are_too_many = list.kind == ListKind::WithInList && items.len() > 1;
        if are_too_many && !self.is_of_server {
            return Err(problem(key, "at most one item is expected"));
        }
        let mut read = Vec::with_capacity(items.len());
        for item in items {
            scopes.push(Record::default());
            let walked = self.walk(&list.item, Some(item), key, true, scopes, found);
            let mut record = scopes.pop().unwrap_or_default();
            walked?;
            // An item that is no object is kept under no name.
            read.push(record.take("").unwrap_or(Found::Record(record)));
        }
        let is_one = matches!(list.kind, ListKind::With | ListKind::WithInList);
        match (is_one, list.slot.of) {
            (true, _) if are_too_many => keep(&list.slot, Found::List(read), scopes, found),
            (true, _) => {
                if let Some(item) = read.pop() {
                    keep(&list.slot, item, scopes, found);
                }
            }
            (false, _) => merge(&list.slot, read, key, scopes, found)?,
        }
        Ok(())
    }
}

/// Keeps a list; one that stands elsewhere in the frame too, parallel to it, is merged with it.
fn merge(
    slot: &Slot,
    items: Vec<Found>,
    key: &str,
    scopes: &mut [Record],
    found: &mut Match,
) -> Result<(), FieldProblem> {
    let record = match slot.source {
        SlotSource::Scope(0) => &found.record,
        SlotSource::Scope(depth) => match scopes.get(depth - 1) {
            Some(record) => record,
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    let merged = match record.get(&slot.path) {
        Some(Found::List(earlier)) => {
            if earlier.len() != items.len() {
                return Err(problem(key, "a list as long as the others is expected"));
            }
            let pairs = earlier.iter().cloned().zip(items);
            pairs.map(|(earlier, item)| earlier.merged(item)).collect()
        }
        _ => items,
    };
    keep(slot, Found::List(merged), scopes, found);
    Ok(())
}

fn keep(slot: &Slot, value: Found, scopes: &mut [Record], found: &mut Match) {
    match (slot.source, value) {
        (SlotSource::Scope(0), value) => found.record.put(&slot.path, value),
        (SlotSource::Scope(depth), value) => {
            if let Some(record) = scopes.get_mut(depth - 1) {
                let path: &[&'static str] = if slot.path.is_empty() { &[""] } else { &slot.path };
                record.put(path, value);
            }
        }
        (SlotSource::Tag, Found::Json(tag)) => found.tag = Some(tag),
        (SlotSource::Token, Found::Text(token)) => found.token = Some(token),
        (SlotSource::TokenUser, Found::Integer(user)) => found.token_user = Some(user),
        (SlotSource::Me, value) => {
            found.mine.push((slot.path.first().copied().unwrap_or_default(), value));
        }
        (SlotSource::Memory(cell), value) => found.memory.push((cell, value)),
        (SlotSource::Request, value) => found.request.push((slot.path.clone(), value)),
        (SlotSource::Now, Found::Time(time)) => found.now = Some(time),
        _ => {}
    }
}

fn problem(key: &str, reason: impl Into<Cow<'static, str>>) -> FieldProblem {
    FieldProblem { key: key.to_owned(), reason: reason.into(), is_range: false }
}

fn expected_of(plan: &Plan) -> &'static str {
    match plan {
        Plan::Object(_) => "an object is expected",
        Plan::Fixed(_) | Plan::List(_) => "a list is expected",
        Plan::Text(_) => "a string is expected",
        Plan::Constant(..) | Plan::Slot(_) => "a value is expected",
    }
}
