//! The comparison of the answers of two servers to the same clients.
//!
//! Frames are paired request by request, events by their content. They are the same if all values
//! but ids, tokens and times are; ids have to be of the same objects all along. Frames that differ
//! are read by the dialect's client side too, which tells a different form from a different
//! meaning.

mod attribution;
mod comparison;
mod connection;
mod differences;
mod id_map;
mod meaning;
mod normal;

pub(crate) use attribution::{Attribution, Marks};
pub use comparison::{Capture, CompareError, compare};
pub use meaning::Meanings;
pub(crate) use normal::Normal;
