//! `tolmach ledger` and `tolmach sunset`

mod clients;
mod report;
mod run;
mod sunset;
mod target;

pub(crate) use run::run;
pub(crate) use sunset::sunset;
