//! The trials that every dialect is held to: one line in its `tests/conformance.rs` makes a named
//! test of each.
//!
//! ```ignore
//! tolmach_dialect_kit::conformance!(tolmach_dialect_mode::Mode::default());
//! ```
//!
//! The [`stories`] are canonical conversations. The kit is the server: it plays them through the
//! server session and the client session of a dialect, compares what went over the wire with
//! `protocols/<dialect>/transcripts`, validates it against `schemas/<dialect>` and attacks with it.
//! Partial losses need a reason in `protocols/<dialect>/DEVIATIONS.toml`; whole ones are computed
//! ([`losses()`]).
//!
//! A dialect without a client cannot play the stories. It is held to its manifest, the transcripts
//! of its [`Script`]s, the schemas of the server's frames in them, recognition, pure rendering,
//! sessions that end, and hostile frames made of the scripts' frames.
//!
//! Transcripts are rewritten by `TOLMACH_UPDATE_GOLDENS=1`, which is refused where `CI` is set.

mod absence;
pub mod fixtures;
mod frame_text;
pub mod generators;
mod golden_exchange;
mod goldens;
mod hostile;
mod kit;
mod losses;
mod play;
mod played;
mod problems;
mod project;
mod rehearsal;
mod revision;
mod script;
pub mod stories;
mod transcript;
mod translation;
pub mod trials;

pub use golden_exchange::{DeliveredEvent, GoldenExchange, SessionPair};
pub use kit::Kit;
pub use losses::{Coverage, Losses, losses};
pub use played::{Played, PlayedContent, PlayedStep, played_stories};
pub use problems::{Outcome, Problems, check};
pub use project::{
    DeclaredLoss, Deviations, Direction, Project, Schemas, UPDATE, folder_of, operations,
};
pub use script::{Script, ScriptStep};
pub use transcript::story_transcripts;
pub use translation::{Fidelity, Native, Report, translation, translation_in};
pub use trials::{contested_first_frames, recognition};

/// Makes one test of each trial.
///
/// - `conformance!(dialect)`: the dialect is any `impl Dialect`; the expression is evaluated twice
///   per test.
/// - `conformance!(dialect, scripts)`: with [`Script`]s, a `Vec`, for what only this wire has:
///   methods without a canonical command, revisions, violations. They get transcripts, and are
///   validated, like the stories.
///
/// The project with `protocols/` and `schemas/` is the crate's own folder if it has `protocols/`,
/// else the folder two above.
#[macro_export]
macro_rules! conformance {
    ($dialect:expr $(,)?) => {
        $crate::conformance!($dialect, ::std::vec::Vec::new());
    };
    ($dialect:expr, $scripts:expr $(,)?) => {
        $crate::conformance!(@tests $dialect, $scripts;
            manifest_matches_behaviour
            deviations_match_losses
            transcripts_match
            stories_round_trip
            stories_render_purely
            frames_match_schemas
            schemas_are_used
            specification_examples_match
            first_frames_are_recognised
            ended_sessions_are_logged_out
            absent_values_are_accepted
            generated_requests_round_trip
            generated_events_render_purely
            malformed_frames_are_answered
            mutated_frames_are_answered
            arbitrary_bytes_are_harmless
            values_have_places
            asyncapi_matches
        );
    };
    (@tests $dialect:expr, $scripts:expr; $($trial:ident)+) => {
        $(
            #[test]
            fn $trial() {
                let project = $crate::Project::of_crate(env!("CARGO_MANIFEST_DIR"));
                let kit = $crate::Kit::new(project, || $dialect, $scripts);
                $crate::check($crate::trials::$trial(&kit));
            }
        )+
    };
}
