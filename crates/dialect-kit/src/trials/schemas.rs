//! JSON schemas.

use crate::frame_text::inline;
use crate::kit::Kit;
use crate::problems::{Outcome, Problems};
use crate::project::Direction;
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
    let id = kit.id();
    let problem = |name| {
        format!(
            "schemas/{id}/{name}: no frame of a story or script matches it; remove it, or add a \
             script"
        )
    };
    Problems::none_or(unused.into_iter().map(problem).collect())
}
