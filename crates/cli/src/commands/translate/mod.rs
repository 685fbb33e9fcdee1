//! `tolmach translate`: frames of one dialect as those of another, with what is lost.

mod connections;
mod input;
mod output;
mod run;
mod table;
mod wire;
mod words;

pub(crate) use run::run;
pub(crate) use table::{Missing, missing};
