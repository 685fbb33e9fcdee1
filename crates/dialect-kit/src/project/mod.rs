//! The files that a dialect is held against.

mod deviations;
mod files;
mod frame_json;
mod schemas;
mod specification;

pub use deviations::{DeclaredLoss, Deviations, operations};
pub use files::{Project, UPDATE, folder_of};
pub(crate) use frame_json::json_of;
pub(crate) use schemas::SCHEMAS;
pub use schemas::{Direction, Schemas};
pub(crate) use specification::{Example, ExampleExchange};
