//! The switch that has goldens rewritten.

use crate::problems::Problems;
use crate::project::UPDATE;

/// True if the environment variable for rewritten goldens is set.
pub(crate) fn updates_goldens() -> Result<bool, Problems> {
    let set = |name: &str| {
        std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0" && value != "false")
    };
    updates(set(UPDATE), set("CI"))
}

/// True if goldens are rewritten; an error in CI, where the difference would not be read.
fn updates(update: bool, ci: bool) -> Result<bool, Problems> {
    if update && ci {
        return Err(Problems::one(format!(
            "{UPDATE} is set and so is CI: goldens are rewritten by people, who read the difference"
        )));
    }
    Ok(update)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goldens_are_not_rewritten_in_ci() {
        for (update, ci, expected) in [
            (false, false, Some(false)),
            (true, false, Some(true)),
            (false, true, Some(false)),
            (true, true, None),
        ] {
            assert_eq!(updates(update, ci).ok(), expected, "update {update}, CI {ci}");
        }
    }
}
