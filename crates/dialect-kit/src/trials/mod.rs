//! The trials, each one function: the problems of a dialect, each with what was expected and what
//! was found.

mod absent_values;
mod asyncapi;
mod deviations;
mod ended_sessions;
mod entries;
mod fields;
mod generated;
mod hostile_frames;
mod manifest;
mod recognition;
mod rendering;
mod round_trips;
mod runner;
mod schemas;
mod specification;
mod transcripts;

pub use absent_values::absent_values_are_accepted;
pub use asyncapi::asyncapi_matches;
pub use deviations::deviations_match_losses;
pub use ended_sessions::ended_sessions_are_logged_out;
pub use fields::values_have_places;
pub use generated::{generated_events_render_purely, generated_requests_round_trip};
pub use hostile_frames::{
    arbitrary_bytes_are_harmless, malformed_frames_are_answered, mutated_frames_are_answered,
};
pub use manifest::manifest_matches_behaviour;
pub use recognition::{contested_first_frames, first_frames_are_recognised, recognition};
pub use rendering::stories_render_purely;
pub use round_trips::stories_round_trip;
pub use schemas::{frames_match_schemas, schemas_are_current, schemas_are_used};
pub use specification::specification_examples_match;
pub use transcripts::{rewrite_transcripts, transcripts_match};
