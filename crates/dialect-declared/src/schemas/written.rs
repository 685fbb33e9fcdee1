//! Schemas of frames that the server writes.

use super::forms;
use super::parts::{any_of, anything, exactly, or_null};
use crate::forms::{Form, Tables};
use crate::model::Type;
use crate::plan::{ListKind, ListPlan, Plan, PlanMember, Slot, SlotSource};
use serde_json::{Map, Value as Json, json};

/// The values beside the model that holes of a frame are filled in with.
pub(super) struct Written<'a> {
    pub(super) tables: &'a Tables,
    /// The name of the request or event.
    pub(super) name: Json,
    /// The cell of each column of the outcome.
    pub(super) cells: Vec<Json>,
    /// True for a refusal: the request may not have been decoded.
    pub(super) is_refusal: bool,
}

impl Written<'_> {
    /// The schema of a frame.
    pub(super) fn schema(&self, plan: &Plan) -> Json {
        match plan {
            Plan::Constant(value, _) => exactly(value),
            Plan::Text(_) => json!({ "type": "string" }),
            Plan::Slot(slot) => self.slot(slot),
            Plan::Object(members) => self.object(members),
            Plan::Fixed(items) => self.fixed(items),
            Plan::List(list) => self.list(list),
        }
    }

    fn object(&self, members: &[PlanMember]) -> Json {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for member in members {
            let key = &member.keys[0];
            properties.insert(key.clone(), self.schema(&member.plan));
            if !member.is_optional {
                required.push(key);
            }
        }
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    fn fixed(&self, items: &[Plan]) -> Json {
        if items.is_empty() {
            return json!({ "type": "array", "maxItems": 0 });
        }
        let schemas: Vec<Json> = items.iter().map(|item| self.schema(item)).collect();
        json!({
            "type": "array",
            "prefixItems": schemas,
            "minItems": items.len(),
            "items": false,
        })
    }

    fn list(&self, list: &ListPlan) -> Json {
        let item = self.schema(&list.item);
        match list.kind {
            ListKind::One | ListKind::With => or_null(item),
            ListKind::OneOrMany => {
                let several = json!({ "type": "array", "items": item, "minItems": 2 });
                any_of([item, several, json!({ "type": "null" })])
            }
            ListKind::Each | ListKind::WithInList => {
                let mut schema = json!({ "type": "array", "items": item });
                if !list.before.is_empty() {
                    let before: Vec<Json> =
                        list.before.iter().map(|plan| self.schema(plan)).collect();
                    schema["minItems"] = json!(before.len());
                    schema["prefixItems"] = before.into();
                }
                if list.kind == ListKind::WithInList {
                    schema["maxItems"] = json!(list.before.len() + 1);
                }
                schema
            }
        }
    }

    fn slot(&self, slot: &Slot) -> Json {
        match slot.source {
            SlotSource::Outcome(column) => self.cells.get(column).cloned().unwrap_or_else(anything),
            SlotSource::Name => self.name.clone(),
            SlotSource::Tag | SlotSource::RequestName => anything(),
            SlotSource::Nothing if slot.of != Type::Time => json!({ "type": "null" }),
            SlotSource::Nothing | SlotSource::Now => self.value(slot),
            SlotSource::Request if self.is_refusal => or_null(self.value(slot)),
            _ => {
                let is_filled = |form: &Form| matches!(form, Form::Present | Form::Blank);
                let value = self.value(slot);
                match &slot.default {
                    _ if !slot.is_optional => value,
                    Some(default) => any_of([value, exactly(default)]),
                    None if slot.forms.first().is_some_and(is_filled) => value,
                    None => or_null(value),
                }
            }
        }
    }

    fn value(&self, slot: &Slot) -> Json {
        let first = slot.forms.first();
        first.map_or_else(anything, |form| forms::written(form, slot.of, self.tables))
    }
}
