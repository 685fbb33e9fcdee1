//! Values that a wire fixes, or leaves out.

use crate::encode::Me;
use crate::model::{Datum, Found, Record, Shape};
use crate::plan::{FixedValue, Preset, RequestRule};

/// The fields of a request with what the wire fixes.
pub(crate) fn completed(
    rule: &RequestRule,
    mut record: Record,
    memory: &[Option<i64>],
    me: &Me,
) -> Record {
    for fixed in &rule.set {
        let path: Vec<&'static str> = fixed
            .path
            .iter()
            .filter_map(|name| {
                let name = name.trim_end_matches("[]");
                Shape::Command(rule.operation).field(name).map(|field| field.name)
            })
            .collect();
        let value = match &fixed.value {
            FixedValue::Constant(value) => Some(value.clone()),
            FixedValue::Field(other) | FixedValue::Request(other) => record.get(other).cloned(),
            FixedValue::Memory(cell) => memory.get(*cell).copied().flatten().map(Found::Integer),
            FixedValue::Me => me.id.map(|id| Found::Integer(id.get())),
        };
        if let Some(value) = value {
            record.put(&path, value);
        }
    }
    record
}

/// Puts the values that a response leaves out where it has none. `request` reads a field of the
/// request.
pub(crate) fn fill_in<'a>(
    presets: &[Preset],
    record: &mut Record,
    memory: &[Option<i64>],
    me: &Me,
    request: impl Fn(&[&'static str]) -> Datum<'a>,
) {
    for preset in presets {
        let value = match &preset.value {
            FixedValue::Constant(value) => Some(value.clone()),
            FixedValue::Field(other) => record.get(other).cloned(),
            FixedValue::Request(path) => Found::of(&request(path)),
            FixedValue::Memory(cell) => memory.get(*cell).copied().flatten().map(Found::Integer),
            FixedValue::Me => Some(Found::Record(caller(me))),
        };
        if let Some(value) = value {
            record.fill_in(&preset.path, &value);
        }
    }
}

/// The fields of the user of a connection.
fn caller(me: &Me) -> Record {
    let mut record = Record::default();
    if let Some(id) = me.id {
        record.put(&["id"], Found::Integer(id.get()));
    }
    if let Some(login) = &me.login {
        record.put(&["login"], Found::Text(login.clone()));
    }
    record
}
