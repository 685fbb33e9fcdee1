//! The canonical model as files see it: named fields of commands, answers and events.

mod build;
mod datum;
mod field;
mod read;
mod record;
#[cfg(test)]
mod reference;
mod shapes;

pub(crate) use build::{command, content};
pub(crate) use datum::{Datum, ListItem, Source};
pub(crate) use field::Field;
pub(crate) use read::{read, read_named};
pub(crate) use record::{Found, Record, RecordError};
pub(crate) use shapes::{
    EVENTS, FieldSpec, Item, Operation, Shape, Type, answer_shape, event_shape,
};
