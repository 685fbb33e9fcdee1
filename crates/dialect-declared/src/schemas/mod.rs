//! JSON Schemas of the frames of a file.

mod document;
mod forms;
mod parts;
mod read;
mod written;

pub(crate) use document::schemas;
