//! `tolmach replay`: captured clients, played against a server.

mod credentials;
mod player;
mod recording;
mod run;
mod target;

pub(crate) use run::run;
