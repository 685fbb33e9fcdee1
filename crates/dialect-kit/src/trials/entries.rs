//! Everything that goes over the wire.

use crate::kit::Kit;
use crate::play::{WireEntry, play_script};
use crate::problems::{Outcome, Problems};
use crate::project::Direction;
use tolmach_dialect::Frame;

/// Visits what goes over the wire in every story, and in every script of the default revision: the
/// title, the entry, and true for a script.
pub(crate) fn each_entry(kit: &Kit, mut visit: impl FnMut(&str, &WireEntry, bool)) -> Outcome {
    let mut each = |title: &str, entries: &[WireEntry], scripted| {
        entries.iter().for_each(|entry| visit(title, entry, scripted))
    };
    for step in &kit.record().steps {
        each(&format!("story {}, {}", step.story, step.title), &step.entries, false);
    }
    for script in &kit.scripts {
        let played = play_script(kit.dialect.as_ref(), script).map_err(Problems::one)?;
        // The schemas describe the default revision.
        if played.default_revision {
            each(&format!("script {}", script.name), &played.entries, true);
        }
    }
    Ok(())
}

/// Visits the frames of [`each_entry`]: the title, the frame, its direction, and true for a script.
pub(crate) fn each_frame(
    kit: &Kit,
    mut visit: impl FnMut(&str, &Frame, Direction, bool),
) -> Outcome {
    each_entry(kit, |title, entry, scripted| match entry {
        WireEntry::Client(frame) => visit(title, frame, Direction::Request, scripted),
        WireEntry::Server(frame) => visit(title, frame, Direction::Answer, scripted),
        WireEntry::Opened(_) | WireEntry::Closed(_) | WireEntry::Remark(_) => {}
    })
}
