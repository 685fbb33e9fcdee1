//! A dialect small enough to see through, and the ways in which it can be broken on purpose.

mod client;
mod defect;
mod dialect;
mod server;
mod wire;

pub(crate) use defect::Defect;
pub(crate) use dialect::Toy;
