//! The frames of both directions: protocols/morelia/SPEC.md, section "Frames".

mod form;
mod frames;
mod method;
mod numbers;

pub(crate) use form::*;
pub(crate) use frames::*;
pub(crate) use method::*;
pub(crate) use numbers::*;
