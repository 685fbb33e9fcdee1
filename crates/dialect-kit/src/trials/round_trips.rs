//! Stories from client to server and back.

use crate::kit::Kit;
use crate::play::{DialectPair, Property};
use crate::problems::{Outcome, Problems};
use crate::translation::{Excuse, judge, translate_stories};

/// Each side decodes the frames of the other: a request, response or event that was decoded gives,
/// encoded again, the frames that it was decoded from. Correlations are handed back, refusals stay
/// refusals, authority is not dropped.
///
/// Without a client there is nothing to try.
pub fn stories_round_trip(kit: &Kit) -> Outcome {
    let Some(pair) = DialectPair::of(kit.dialect.as_ref()) else { return Ok(()) };
    let deviations = kit.deviations()?;
    let recording = kit.record();
    let findings = translate_stories((pair, recording), (pair, recording));
    let (_, again) = judge(&findings, &[deviations], Excuse::Fault, kit.id(), kit.id());
    let mut problems = recording.problems(Property::RoundTrip);
    if kit.answers_refusals {
        problems.extend(recording.problems(Property::AnsweredRefusals));
    }
    problems.extend(again);
    Problems::none_or(problems)
}
