//! Each file of the crate as the server and as the client, held to the trials that its wire can
//! pass.

use tolmach_dialect_declared::{BUILT_IN, Declared};
use tolmach_dialect_kit::{Kit, Outcome, Problems, Project, check};

/// A file, with the parts of problems that its wire explains.
struct File {
    name: &'static str,
    explained: &'static [&'static str],
}

fn kit(name: &str) -> Kit {
    let file = BUILT_IN.iter().find(|file| file.name == name).expect("the file is listed");
    let make = || Declared::compile(*file, BUILT_IN).unwrap_or_else(|error| panic!("{error}"));
    Kit::new(Project::of_crate(env!("CARGO_MANIFEST_DIR")), make, Vec::new())
}

fn held(file: &File, trial: fn(&Kit) -> Outcome) {
    let outcome = trial(&kit(file.name)).map_err(|problems| {
        let is_left =
            |problem: &String| !file.explained.iter().any(|explained| problem.contains(explained));
        Problems(problems.0.into_iter().filter(is_left).collect())
    });
    match outcome {
        Err(problems) if problems.0.is_empty() => {}
        outcome => check(outcome),
    }
}

macro_rules! files {
    ($($module:ident: $name:literal, $explained:expr;)+) => {$(
        mod $module {
            use super::{File, held};
            use tolmach_dialect_kit::trials;

            const FILE: File = File { name: $name, explained: &$explained };

            #[test]
            fn stories_round_trip() {
                held(&FILE, trials::stories_round_trip);
            }

            #[test]
            fn generated_requests_round_trip() {
                held(&FILE, trials::generated_requests_round_trip);
            }

            #[test]
            fn absent_values_are_accepted() {
                held(&FILE, trials::absent_values_are_accepted);
            }
        }
    )+};
}

/// "Not Found" is the answer to a list without items, and to what does not exist.
const NOTHING_FOUND: [&str; 2] = ["is decoded as a granted request", "get_changes"];

/// A date without a year is not read back; opening a chat is never refused.
const UCHAT: [&str; 2] = ["/date:", "answered with no frame"];

files! {
    mode_literal: "mode-literal.toml", [];
    sndmsg_uchat: "sndmsg-uchat.toml", super::UCHAT;
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
