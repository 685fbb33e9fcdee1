//! Schemas of requests: the frames that the server reads.

use super::forms;
use super::parts::{any_of, anything, constant, exactly, or_null};
use crate::forms::{Form, Tables};
use crate::plan::{ListKind, ListPlan, Plan, PlanMember, Slot, SlotSource};
use crate::syntax::Value;
use serde_json::{Map, Value as Json, json};

/// The parts of a request's frame that are none of the model's.
pub(super) struct Read<'a> {
    pub(super) tables: &'a Tables,
    /// The name of the request.
    pub(super) name: &'a Value<'static>,
}

/// A place in a frame.
struct Place {
    schema: Json,
    /// True if it must be there.
    is_required: bool,
}

impl Read<'_> {
    /// The schema of a frame.
    pub(super) fn schema(&self, plan: &Plan) -> Json {
        self.place(plan, true).schema
    }

    /// `is_needed` is false below a key that may be left out.
    fn place(&self, plan: &Plan, is_needed: bool) -> Place {
        match plan {
            Plan::Constant(value, true) => {
                Place { schema: exactly(value), is_required: *value != Value::Null }
            }
            Plan::Constant(value, false) => {
                let schema = json!({ "examples": [constant(value)] });
                Place { schema, is_required: false }
            }
            Plan::Text(_) => self.needed(json!({ "type": "string" }), is_needed),
            Plan::Slot(slot) => self.slot(slot, is_needed),
            Plan::Object(members) => self.needed(self.object(members), is_needed),
            Plan::Fixed(items) => {
                let schemas: Vec<Json> =
                    items.iter().map(|item| self.place(item, true).schema).collect();
                let schema = match schemas.is_empty() {
                    true => json!({ "type": "array" }),
                    false => json!({ "type": "array", "prefixItems": schemas }),
                };
                self.needed(schema, is_needed)
            }
            Plan::List(list) => self.list(list, is_needed),
        }
    }

    fn needed(&self, schema: Json, is_needed: bool) -> Place {
        let schema = if is_needed { schema } else { or_null(schema) };
        Place { schema, is_required: is_needed }
    }

    fn object(&self, members: &[PlanMember]) -> Json {
        let (mut properties, mut required, mut spellings) = (Map::new(), Vec::new(), Vec::new());
        for member in members {
            let Place { schema, is_required } = self.member(member);
            for key in &member.keys {
                properties.insert(key.clone(), schema.clone());
            }
            match member.keys.as_slice() {
                _ if !is_required => {}
                [key] => required.push(key.clone()),
                keys => {
                    let each = keys.iter().map(|key| json!({ "required": [key] }));
                    spellings.push(json!({ "anyOf": each.collect::<Vec<_>>() }));
                }
            }
        }
        let mut schema = json!({ "type": "object" });
        if !properties.is_empty() {
            schema["properties"] = properties.into();
        }
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if !spellings.is_empty() {
            schema["allOf"] = spellings.into();
        }
        schema
    }

    fn member(&self, member: &PlanMember) -> Place {
        let is_needed = member.is_required || !member.is_optional;
        let place = self.place(&member.plan, is_needed);
        match &member.plan {
            Plan::Slot(slot) if member.is_required => {
                // `<_: form>` is not kept: null would be no value of its form.
                let is_any = slot.forms.iter().any(|form| matches!(form, Form::Any(None)));
                let schema = match slot.source {
                    SlotSource::Nothing if !is_any => self.value(slot),
                    _ => place.schema,
                };
                Place { schema, is_required: true }
            }
            _ => place,
        }
    }

    fn list(&self, list: &ListPlan, is_needed: bool) -> Place {
        let item = self.place(&list.item, true).schema;
        let schema = match list.kind {
            ListKind::One => return self.needed(item, is_needed),
            ListKind::With => item,
            ListKind::OneOrMany => any_of([json!({ "type": "array", "items": item }), item]),
            ListKind::Each | ListKind::WithInList => {
                let mut schema = json!({ "type": "array", "items": item });
                if !list.before.is_empty() {
                    let before: Vec<Json> =
                        list.before.iter().map(|plan| self.place(plan, true).schema).collect();
                    schema["prefixItems"] = before.into();
                }
                if list.kind == ListKind::WithInList {
                    schema["maxItems"] = json!(list.before.len() + 1);
                }
                schema
            }
        };
        let is_required = list.kind == ListKind::Each && is_needed && !list.slot.is_optional;
        Place { schema: or_null(schema), is_required }
    }

    fn slot(&self, slot: &Slot, is_needed: bool) -> Place {
        match slot.source {
            SlotSource::Name => {
                return Place { schema: exactly(self.name), is_required: true };
            }
            SlotSource::Tag => return Place { schema: anything(), is_required: false },
            _ => {}
        }
        // A token that is null is none, and one that is missing is no request.
        let is_token = matches!(slot.source, SlotSource::Token | SlotSource::TokenUser);
        let is_left_out = slot.default.is_some() || (slot.is_optional && !is_token);
        let value = self.value(slot);
        let may_be_null = is_left_out || is_token || !is_needed;
        Place {
            schema: if may_be_null { or_null(value) } else { value },
            is_required: is_needed && !is_left_out,
        }
    }

    fn value(&self, slot: &Slot) -> Json {
        any_of(slot.forms.iter().map(|form| forms::read(form, slot.of, self.tables)))
    }
}
