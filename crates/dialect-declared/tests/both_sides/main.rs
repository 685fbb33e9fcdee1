//! Each revision that is a file, as the server and as the client, held to the conformance trials
//! and to its documents in `protocols/<dialect>/revisions/<revision>`.

use std::collections::BTreeSet;
use tolmach_dialect::DOC;
use tolmach_dialect_declared::{BUILT_IN, Declared};
use tolmach_dialect_kit::{Kit, Outcome, Problems, Project, check};

/// A file, with the parts of problems that its wire explains.
struct File {
    name: &'static str,
    explained: &'static [&'static str],
}

fn compiled(name: &str) -> Declared {
    let file = BUILT_IN.iter().find(|file| file.name == name).expect("the file is listed");
    Declared::compile(*file, BUILT_IN).unwrap_or_else(|error| panic!("{error}"))
}

fn held(file: &File, make: fn(&Declared) -> Declared, trial: fn(&Kit) -> Outcome) {
    let declared = compiled(file.name);
    let project = Project::of_crate(env!("CARGO_MANIFEST_DIR"));
    let kit = Kit::new(project, || make(&declared), Vec::new())
        .with_schemas(declared.schemas())
        .with_media_type(declared.media_type());
    let kit = if declared.answers_refusals() { kit } else { kit.with_unanswered_refusals() };
    let outcome = trial(&kit).map_err(|problems| {
        let is_left =
            |problem: &String| !file.explained.iter().any(|explained| problem.contains(explained));
        Problems(problems.0.into_iter().filter(is_left).collect())
    });
    match outcome {
        Err(problems) if problems.0.is_empty() => {}
        outcome => check(outcome),
    }
}

/// Trials of frames as they are, and of frames as JSON, whatever the syntax of the file.
macro_rules! trials {
    ($file:expr; as_they_are: $($trial:ident)+; in_json: $($json:ident)+) => {
        $(
            #[test]
            fn $trial() {
                held(&$file, Clone::clone, trials::$trial);
            }
        )+
        $(
            #[test]
            fn $json() {
                held(&$file, Declared::in_json, trials::$json);
            }
        )+
    };
}

macro_rules! files {
    ($($module:ident: $name:literal, $explained:expr;)+) => {
        const LISTED: &[&str] = &[$($name),+];

        $(
            mod $module {
                use super::{File, held};
                use tolmach_dialect_declared::Declared;
                use tolmach_dialect_kit::trials;

                const FILE: File = File { name: $name, explained: &$explained };

                trials! {
                    FILE;
                    as_they_are:
                        manifest_matches_behaviour
                        deviations_match_losses
                        transcripts_match
                        stories_round_trip
                        stories_render_purely
                        ended_sessions_are_logged_out
                        absent_values_are_accepted
                        generated_requests_round_trip
                        values_have_places;
                    in_json:
                        schemas_are_current
                        frames_match_schemas
                        generated_events_render_purely
                        malformed_frames_are_answered
                        mutated_frames_are_answered
                        arbitrary_bytes_are_harmless
                        asyncapi_matches
                }
            }
        )+
    };
}

/// "Not Found" is the answer to a list without items, and to what does not exist.
const NOTHING_FOUND: [&str; 2] = ["is decoded as a granted request", "get_changes"];

/// A date without a year is not read back.
const UCHAT: [&str; 1] = ["/date:"];

/// The wire has one room, which is not that of every story.
const ONE_ROOM: [&str; 1] = ["story group"];

files! {
    mode_literal: "mode-literal.toml", [];
    sndmsg_uchat: "sndmsg-uchat.toml", super::UCHAT;
    morelia_0: "morelia-0.toml", super::ONE_ROOM;
    morelia_17: "morelia-17.toml", super::NOTHING_FOUND;
    morelia_15: "morelia-1.15.toml", super::NOTHING_FOUND;
    morelia_16: "morelia-1.16.toml", super::NOTHING_FOUND;
    morelia_2020: "morelia-server-2020.toml", super::NOTHING_FOUND;
    morelia_string: "morelia-json-in-string.toml", super::NOTHING_FOUND;
    action_dcrf: "action-dcrf.toml", [];
    action_2024: "action-2024-12.toml", [];
    action_2025_01: "action-2025-01.toml", [];
    action_2025_03: "action-2025-03.toml", [];
    action_2025_04: "action-2025-04.toml", [];
}

#[test]
fn every_revision_of_the_crate_is_held() {
    let revisions = BUILT_IN.iter().filter(|file| compiled(file.name).revision() != DOC);
    let revisions: BTreeSet<&str> = revisions.map(|file| file.name).collect();
    assert_eq!(revisions, LISTED.iter().copied().collect());
}
