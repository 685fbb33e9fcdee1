//! `tolmach import`

mod checks;
mod chunk;
mod convert;
mod importer;
mod input;
mod refusals;
mod run;
mod scratch;

pub(crate) use run::run;
