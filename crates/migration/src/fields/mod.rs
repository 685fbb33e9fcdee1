//! The places and roles of values in frames, by the field rules of dialects.

mod places;
mod signature;
mod value;

pub(crate) use places::{FrameRules, PlaceInBody, RoleOfPart, Route, any_leaf, name_places};
pub(crate) use signature::{Id, add_to_signature, signature};
pub(crate) use value::{Value, is_made_by_server, part_of, same_but_numbers, value_of};
