//! Tools for a team that moves clients from one dialect, or revision, to another. They work on
//! frames and captures, without sockets and without a runtime.
//!
//! [`translate`] turns the frames of one dialect into those of another, and names what is lost;
//! [`canonical`] shows what both have in common, and names fields in which two values differ.

pub mod canonical;
pub mod compare;
mod fields;
mod payload;
pub mod replay;
pub mod report;
pub mod translate;
