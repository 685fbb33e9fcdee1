//! `tolmach record`

mod dialects;
mod observer;
mod run;

pub(crate) use run::run;
