//! Examples of the specification.

use crate::kit::Kit;
use crate::problems::Outcome;

/// The examples of `protocols/<dialect>/SPEC.md` are what goes over the wire.
pub fn specification_examples_match(_: &Kit) -> Outcome {
    Ok(())
}
