//! What every dialect is held to: one line in its `tests/conformance.rs` makes a named test of each
//! property.
//!
//! ```ignore
//! tolmach_dialect_kit::conformance!(tolmach_dialect_mode::dialect());
//! ```
//!
//! The [`stories`] are canonical conversations; a dialect tells them through both of its sides, and
//! what went over the wire is compared with `protocols/<dialect>/transcripts`, validated against
//! `schemas/<dialect>` and attacked. What a dialect leaves out must be what its `DEVIATIONS.toml`
//! declares.
//!
//! Transcripts are rewritten by `TOLMACH_UPDATE_GOLDENS=1`, which is refused where `CI` is `true`.

mod asyncapi;
pub mod generators;
mod hostile;
mod kit;
mod play;
mod project;
mod scene;
pub mod stories;
mod transcript;
mod translation;
pub mod trials;
pub mod world;

pub use kit::{Kit, Problems, Property, Script, ScriptStep, check};
pub use project::{DeclaredLoss, Deviations, Project, UPDATE, operations};
pub use scene::{Ends, Scene, Told};
pub use translation::{Fidelity, Report, translation, translation_in};
pub use trials::recognition;

/// Makes one test of each property that a dialect must have.
///
/// - `conformance!(dialect)`: the dialect is any `impl Dialect`; the expression is evaluated once
///   per test.
/// - `conformance!(dialect, scripts)`: with [`Script`]s, a `Vec`, for what only this wire says:
///   methods without a canonical ask, field revisions, violations. They get transcripts, and are
///   validated, like the stories.
///
/// The project is the folder two above the crate that uses it.
#[macro_export]
macro_rules! conformance {
    ($dialect:expr $(,)?) => {
        $crate::conformance!($dialect, ::std::vec::Vec::new());
    };
    ($dialect:expr, $scripts:expr $(,)?) => {
        $crate::conformance!(@tests $dialect, $scripts;
            the_manifest_is_sound
            losses_are_declared
            transcripts_are_golden
            lines_survive_the_wire
            notices_render_as_they_are_encoded
            frames_match_their_schemas
            every_schema_is_used
            openings_are_recognised
            generated_lines_survive_the_wire
            generated_notices_render_purely
            malformed_frames_earn_an_answer
            mutated_frames_earn_an_answer
            arbitrary_bytes_do_no_harm
            the_asyncapi_document_is_golden
        );
    };
    (@tests $dialect:expr, $scripts:expr; $($trial:ident)+) => {
        $(
            #[test]
            fn $trial() {
                let project = $crate::Project::of_crate(env!("CARGO_MANIFEST_DIR"));
                $crate::check($crate::trials::$trial(&$crate::Kit::new(project, $dialect, $scripts)));
            }
        )+
    };
}
