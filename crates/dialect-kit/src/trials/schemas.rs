//! JSON schemas.

use crate::frame_text::inline;
use crate::goldens::updates_goldens;
use crate::kit::Kit;
use crate::problems::{Outcome, Problems};
use crate::project::{Direction, SCHEMAS, UPDATE};
use crate::trials::entries::each_frame;
use std::collections::BTreeSet;

/// Every frame of the stories matches a schema of its direction; of the scripts every frame of the
/// server.
pub fn frames_match_schemas(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let mut problems = Vec::new();
    each_frame(kit, |title, frame, direction, scripted| {
        if scripted && direction == Direction::Request {
            return;
        }
        if let Some(Err(error)) = schemas.check(frame, direction) {
            problems.push(format!("{title}: {} {error}", inline(frame)));
        }
    })?;
    Problems::none_or(problems)
}

/// Every schema but `definitions.json` describes a frame of a story or script.
pub fn schemas_are_used(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let mut unused: BTreeSet<&str> = schemas.names().collect();
    each_frame(kit, |_, frame, direction, _| {
        if let Some(Ok(names)) = schemas.check(frame, direction) {
            for name in names {
                unused.remove(name);
            }
        }
    })?;
    let folder = kit.folder();
    let problem = |name| {
        format!(
            "schemas/{folder}/{name}: no frame of a story or script matches it; remove it, or add \
             a script"
        )
    };
    Problems::none_or(unused.into_iter().map(problem).collect())
}

/// The schemas that are made of the dialect ([`Kit::with_schemas`]) are those of the project's
/// `schemas.json`. Rewritten with the transcripts.
pub fn schemas_are_current(kit: &Kit) -> Outcome {
    let made = kit.made_schemas().ok_or_else(|| Problems::one("no schemas were made"))?;
    let text =
        serde_json::to_string_pretty(made).map_err(|error| Problems::one(error.to_string()))?;
    let path = kit.project()?.protocol(&kit.folder()).join(SCHEMAS);
    if updates_goldens()? {
        return std::fs::write(&path, text + "\n")
            .map_err(|error| Problems::one(format!("{}: {error}", path.display())));
    }
    let is_current = std::fs::read_to_string(&path).is_ok_and(|golden| golden == text + "\n");
    let stale = format!("{} is not made of this dialect; {UPDATE}=1 rewrites it", path.display());
    if is_current { Ok(()) } else { Err(Problems::one(stale)) }
}
