//! From the text of a file to what frames are matched with and filled in by.

mod compiler;
mod differences;
mod file;
mod holes;
mod raw;
mod sections;

pub(crate) use compiler::compile;
pub(crate) use file::{Sources, merged};
