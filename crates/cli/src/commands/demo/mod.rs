//! `tolmach demo`: a client of each dialect, all in one conversation, with every frame shown.
//!
//! The story is made of canonical requests, which each dialect's own client side encodes, so that a
//! new dialect takes part without a change here. Whatever a dialect has no request for is done by
//! the operator, or left out where the story goes on without it.

mod run;
mod steps;
mod story;
mod transcript;

pub(crate) use run::run;
