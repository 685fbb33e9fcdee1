//! Declared losses.

use crate::kit::Kit;
use crate::losses::{Coverage, losses_of};
use crate::play::DialectPair;
use crate::problems::{Outcome, Problems};

/// The losses that `DEVIATIONS.toml` gives reasons for are those that the stories show, and every
/// partial loss has a reason.
///
/// Whole losses are computed and need no entry. Without a client nothing is computed, and only the
/// form of the file is checked.
pub fn deviations_match_losses(kit: &Kit) -> Outcome {
    let deviations = kit.deviations()?;
    if DialectPair::of(kit.dialect.as_ref()).is_none() {
        return Ok(());
    }
    let mut problems = Vec::new();
    for (operation, coverage) in losses_of(kit.record()).all() {
        let (whole, part) = (deviations.explains_loss_of(operation), deviations.weakens(operation));
        if whole && let Coverage::Partial { example, .. } = coverage {
            problems.push(format!(
                "a [[loss]] declares `{operation}` lost, but it has frames: {example}; a part is \
                 declared with `partial = true`"
            ));
        }
        match coverage {
            Coverage::Nothing if part => problems.push(format!(
                "a [[loss]] declares a part of `{operation}` lost, but all of it is: remove \
                 `partial = true`"
            )),
            Coverage::Full if whole || part => problems.push(format!(
                "a [[loss]] declares a part of `{operation}` lost, but all of it arrives exactly"
            )),
            Coverage::Partial { unsupported, .. } if !unsupported.is_empty() && !part && !whole => {
                problems.push(format!(
                    "of `{operation}` these have no frame, and no [[loss]] with `partial = true` \
                     gives the reason: {}",
                    unsupported.join("; ")
                ));
            }
            _ => {}
        }
    }
    Problems::none_or(problems)
}
