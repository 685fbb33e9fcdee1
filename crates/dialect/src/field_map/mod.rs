//! Finds and changes the values of a frame by the rules of its dialect, byte for byte otherwise.

mod http_parts;
mod map;
mod scan;
mod text;
mod tree;

pub use map::{FieldMap, FieldValue, Location, Route, Unreadable};
