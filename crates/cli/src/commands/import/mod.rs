//! `tolmach import`

mod ahead;
mod checks;
mod chunk;
mod convert;
mod decisions;
mod follow;
mod importer;
mod input;
mod merging;
mod place;
mod refusals;
mod rehearsal;
mod run;
mod taken;

pub(crate) use run::run;
