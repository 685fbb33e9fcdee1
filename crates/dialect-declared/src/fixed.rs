//! Values that a wire fixes, or leaves out.

use crate::encode::Me;
use crate::model::{Datum, Found, Record};
use crate::plan::{FixedValue, Preset, RequestRule};

/// The fields of a request with what the wire fixes.
pub(crate) fn completed(
    rule: &RequestRule,
    mut record: Record,
    memory: &[Option<i64>],
    me: &Me,
) -> Record {
    for fixed in &rule.set {
        let value = value_of(&fixed.value, &record, memory, me, |_| Datum::None);
        if let Some(value) = value {
            record.put(&fixed.path, value);
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
        if let Some(value) = value_of(&preset.value, record, memory, me, &request) {
            record.fill_in(&preset.path, &value);
        }
    }
}

/// The value that is fixed; `None` if there is none now.
fn value_of<'a>(
    value: &FixedValue,
    record: &Record,
    memory: &[Option<i64>],
    me: &Me,
    request: impl Fn(&[&'static str]) -> Datum<'a>,
) -> Option<Found> {
    match value {
        FixedValue::Constant(value) => Some(value.clone()),
        FixedValue::Field(other) => record.get(other).cloned(),
        FixedValue::Request(path) => Found::of(&request(path)),
        FixedValue::Memory(cell) => memory.get(*cell).copied().flatten().map(Found::Integer),
        FixedValue::MyId => me.id.map(|id| Found::Integer(id.get())),
        FixedValue::Me => Some(Found::Record(caller(me))),
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
