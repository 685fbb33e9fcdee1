//! Rendered events.

use crate::frame_text::inline;
use crate::kit::Kit;
use crate::play::{Property, RecordedRender};
use crate::problems::{Outcome, Problems};
use tolmach_dialect::RenderContext;

/// The same event, context and variant give the same bytes: at once, after all other stories, and
/// by another value of the dialect.
pub fn stories_render_purely(kit: &Kit) -> Outcome {
    let recording = kit.record();
    let mut problems = recording.problems(Property::Rendering);
    for RecordedRender { event, shared } in &recording.renders {
        let context = RenderContext::with_flow(shared.flow.as_deref());
        for (dialect, which) in [(&kit.dialect, "later"), (&kit.twin, "by another value")] {
            let again = dialect.render(event, &context, shared.variant);
            if again.as_ref() != Ok(&shared.frame) {
                let again = again
                    .map_or_else(|unsupported| unsupported.to_string(), |again| inline(&again));
                problems.push(format!(
                    "{} as {:?} was rendered as {}, and {which} as {again}",
                    event.name(),
                    shared.variant,
                    inline(&shared.frame)
                ));
            }
        }
    }
    Problems::none_or(problems)
}
