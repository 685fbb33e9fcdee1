//! The conformance trials of a dialect file, and the stories as it plays them.

use tolmach_dialect_declared::Declared;
use tolmach_dialect_kit::trials::{
    absent_values_are_accepted, arbitrary_bytes_are_harmless, ended_sessions_are_logged_out,
    first_frames_are_recognised, frames_match_schemas, generated_events_render_purely,
    generated_requests_round_trip, malformed_frames_are_answered, mutated_frames_are_answered,
    stories_render_purely, stories_round_trip,
};
use tolmach_dialect_kit::{Coverage, Kit, Outcome, losses, story_transcripts};

/// One trial.
type Trial = fn(&Kit) -> Outcome;

/// Trials of the server's side, of frames as the file writes them.
const OF_FRAMES: [Trial; 2] = [stories_render_purely, ended_sessions_are_logged_out];
/// Trials of the server's side, of the same frames in JSON: its schemas, and attacks on its values.
const OF_VALUES: [Trial; 5] = [
    frames_match_schemas,
    generated_events_render_purely,
    malformed_frames_are_answered,
    mutated_frames_are_answered,
    arbitrary_bytes_are_harmless,
];
/// Trials of the client's side, which does not keep a file from being served.
const OF_CLIENT: [Trial; 3] =
    [stories_round_trip, absent_values_are_accepted, generated_requests_round_trip];

/// The findings about one file.
pub(super) struct Findings {
    /// The reasons not to serve the file.
    pub(super) problems: Vec<String>,
    /// The losses of clients of the file.
    pub(super) notes: Vec<String>,
    /// The stories, as the file plays them.
    pub(super) transcripts: Vec<String>,
}

/// Holds a file to the trials.
pub(super) fn findings(file: &Declared) -> Findings {
    let frames = kit(file, Declared::clone);
    let values = kit(file, Declared::in_json);
    let found = |trials: &[Trial], kit: &Kit| -> Vec<String> {
        trials.iter().filter_map(|trial| trial(kit).err()).flat_map(|found| found.0).collect()
    };
    let mut problems = found(&OF_FRAMES, &frames);
    problems.extend(found(&OF_VALUES, &values));
    // Several trials can find the same.
    let mut known = std::collections::HashSet::new();
    problems.retain(|problem| known.insert(problem.clone()));
    let mut notes = Vec::new();
    if tolmach_dialect::Dialect::manifest(file).opening.is_some() {
        notes.extend(found(&[first_frames_are_recognised], &frames));
    }
    notes.extend(found(&OF_CLIENT, &frames));
    notes.extend(lost(file));
    let transcripts = story_transcripts(file).into_values().collect();
    Findings { problems, notes, transcripts }
}

fn kit(file: &Declared, make: fn(&Declared) -> Declared) -> Kit {
    let kit = Kit::without_project(|| make(file), file.schemas());
    if file.answers_refusals() { kit } else { kit.with_unanswered_refusals() }
}

/// The operations of the stories that the file has no frames for, and those of which it has some.
fn lost(file: &Declared) -> Vec<String> {
    let Some(losses) = losses(file) else { return Vec::new() };
    let whole: Vec<&str> = losses.whole().collect();
    let mut notes = Vec::new();
    if !whole.is_empty() {
        notes.push(format!("no frame for {}", whole.join(", ")));
    }
    for (operation, coverage) in losses.all() {
        if let Coverage::Partial { unsupported, .. } = coverage
            && !unsupported.is_empty()
        {
            notes.push(format!("of {operation} these have no frame: {}", unsupported.join("; ")));
        }
    }
    notes
}
