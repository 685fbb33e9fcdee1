//! Every dialect with every other one: translation of the stories, conversations, permissions,
//! contact data, and recognition of first frames.
//!
//! Each trial has a name. Trials that need a gateway share one, the real binary; those named
//! `across_nodes` share a cluster of two.

mod arrival;
mod bridge;
mod cluster;
mod contacts;
mod conversation;
mod dialects;
mod frame_record;
mod matrix_page;
mod page_file;
mod permission;
mod recognition;
mod requests;
mod revision_rows;
mod translation;
mod users;

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let conclusion = libtest_mimic::run(&arguments, trials());
    bridge::stop_all();
    cluster::stop_all();
    let leaks = frame_record::frame_record().leaks();
    for leak in &leaks {
        eprintln!("a secret in a frame: {leak}");
    }
    if leaks.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}

fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial(
            "recognition::first_frames_are_claimed_by_one_dialect".into(),
            recognition::first_frames_are_claimed_by_one_dialect,
        ),
        trial(
            "recognition::frames_of_two_dialects_are_refused".into(),
            recognition::frames_of_two_dialects_are_refused,
        ),
        trial("frame_record::scan_finds_secrets".into(), frame_record::scan_finds_secrets),
        trial("matrix_page_is_current".into(), matrix_page::is_current),
    ];
    for id in tolmach_cli::dialects::ids() {
        trials.push(trial(format!("recognition::{id}::in_any_segments"), move || {
            recognition::first_frames_are_served_in_any_segments(id)
        }));
        trials.push(trial(format!("contacts::{id}::are_shown_to_acquaintances"), move || {
            contacts::are_shown_to_acquaintances(id)
        }));
        trials.push(trial(format!("permission::{id}::across_nodes"), move || {
            permission::across_nodes(id)
        }));
        trials.push(trial(format!("conversation::{id}::across_nodes"), move || {
            conversation::across_nodes(id)
        }));
        trials.push(trial(format!("permission::{id}::at_one_node"), move || {
            permission::at_one_node(id)
        }));
    }
    for revision in dialects::revisions() {
        trials.push(trial(format!("recognition::{revision}"), move || {
            recognition::first_frames_of_revision(revision)
        }));
        trials.push(trial(format!("translate::{revision}"), move || {
            translation::of_revision(revision)
        }));
        trials.push(trial(format!("conversation::{revision}"), move || {
            conversation::of_revision(revision)
        }));
    }
    for (source, target) in dialects::pairs() {
        let pair = format!("{source}_to_{target}");
        trials.push(trial(format!("translate::{pair}"), move || {
            translation::stories_come_through(source, target)
        }));
        if source != target {
            trials.push(trial(format!("bridge::{pair}"), move || bridge::converse(source, target)));
        }
        trials.push(trial(format!("conversation::{pair}"), move || {
            conversation::arrivals(source, target).map(|_| ())
        }));
    }
    trials
}

fn trial(name: String, run: impl FnOnce() -> Result<(), String> + Send + 'static) -> Trial {
    Trial::test(name, || run().map_err(Failed::from))
}
