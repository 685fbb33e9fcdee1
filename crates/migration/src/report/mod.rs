//! Reports of comparisons: for a terminal, for programs and as a page.

mod html;
mod json;
mod model;
mod text;

pub use html::html;
pub use json::json;
pub(crate) use model::cut;
pub use model::{Cited, Counts, Example, FieldDifference, Operation, Report, Source, Verdict};
pub use text::text;
