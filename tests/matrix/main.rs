//! Any dialect to any: each pair's stories and conversations, who may do what over each, and which
//! first frame is whose. Every trial has a name; those that need a gateway share one, the real
//! binary, and those `across_nodes` a cluster of two.

mod dialects;
mod frames;
mod house;
mod live;
mod page;
mod people;
mod permission;
mod recognise;
mod scene;
mod translate;

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let conclusion = libtest_mimic::run(&arguments, trials());
    house::close();
    let leaks = frames::record().leaks();
    for leak in &leaks {
        eprintln!("a secret in a frame: {leak}");
    }
    if leaks.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}

fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("recognise::each_opening_belongs_to_one_dialect".into(), recognise::alone),
        trial("no_secret_in_any_frame::the_scan_catches_one".into(), frames::scan_catches_secrets),
        trial("the_matrix_page_is_current".into(), page::is_current),
    ];
    for id in dialects::all().iter().map(dialects::Spoken::id) {
        trials.push(trial(format!("recognise::{id}::in_any_segments"), move || {
            recognise::in_any_segments(id)
        }));
        trials.push(trial(format!("permission::{id}::across_nodes"), move || {
            permission::across_nodes(id)
        }));
        trials.push(trial(format!("live::{id}::across_nodes"), move || live::across_nodes(id)));
        trials.extend(permission::operations().into_iter().map(|operation| {
            trial(format!("permission::{id}::{operation}"), move || {
                permission::trial(id, operation)
            })
        }));
    }
    for (source, target) in dialects::pairs() {
        let pair = format!("{source}_to_{target}");
        trials.push(trial(format!("translate::{pair}"), move || translate::trial(source, target)));
        trials.push(trial(format!("live::{pair}"), move || {
            live::passages(source, target).map(|_| ())
        }));
    }
    trials
}

fn trial(name: String, run: impl FnOnce() -> Result<(), String> + Send + 'static) -> Trial {
    Trial::test(name, || run().map_err(Failed::from))
}
