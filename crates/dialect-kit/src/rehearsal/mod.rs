//! The examples of a specification, played by the sessions of their dialect.

mod attempt;
mod comparison;
mod plays;
mod states;

pub(crate) use plays::Rehearsal;
