//! The gateway's own pages for people.

pub(crate) mod recover;
