//! The server's own pages for people.

pub(crate) mod recover;
