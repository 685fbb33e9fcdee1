//! The syntaxes of frames: values are read from them and written in them.

mod error;
mod grammar;
pub(crate) mod python;
mod value;
mod writer;
mod written_key;

pub(crate) use error::{SyntaxError, not_an_object};
pub(crate) use grammar::{Syntax, write_float, write_integer};
pub(crate) use value::{Kind, Value, item_index, item_key};
pub(crate) use writer::Writer;
pub(crate) use written_key::WrittenKey;
