//! The bodies of the fuzz targets. Each is a function of bytes that panics where a rule is broken,
//! so that a plain test replays inputs without libFuzzer; the programs in `targets` hand it what
//! libFuzzer makes. `cargo xtask fuzz` runs them.
//!
//! No sanitizer is needed: the workspace forbids `unsafe`.

#![forbid(unsafe_code)]

mod captures;
mod checks;
mod client;
#[cfg(feature = "gateway")]
mod configuration;
mod dialect_file;
#[cfg(feature = "gateway")]
mod headers;
mod input;
mod model;
mod recognition;
mod revisions;
mod server;
mod subject;
mod transcripts;
#[cfg(feature = "gateway")]
mod values;

use arbitrary::{Arbitrary, Unstructured};
use subject::subjects;

/// A fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of its program and of its folder of inputs.
    pub name: &'static str,
    /// Takes one input.
    ///
    /// # Panics
    ///
    /// If a rule is broken.
    pub run: fn(&[u8]),
    /// The inputs to begin with, apart from those in `data/<name>`.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:literal: $run:expr, $seeds:expr;)+) => {
        [$(Target { name: $name, run: $run, seeds: $seeds }),+]
    };
}

/// Every target that needs neither a database nor a network.
const DIALECT_TARGETS: [Target; 16] = targets! {
    "action_client": |input| client::run(&subjects()["action"], input),
        || transcripts::for_clients("action");
    "action_server": |input| server::run(&subjects()["action"], input),
        || transcripts::for_servers("action");
    "bearer_client": |input| client::run(&subjects()["bearer"], input),
        || transcripts::for_clients("bearer");
    "bearer_server": |input| server::run(&subjects()["bearer"], input),
        || transcripts::for_servers("bearer");
    "captures": captures::run, captures::seeds;
    "dialect_file": dialect_file::run, dialect_file::seeds;
    "mode_client": |input| client::run(&subjects()["mode"], input),
        || transcripts::for_clients("mode");
    "mode_server": |input| server::run(&subjects()["mode"], input),
        || transcripts::for_servers("mode");
    "model": run_model, Vec::new;
    "morelia_client": |input| client::run(&subjects()["morelia"], input),
        || transcripts::for_clients("morelia");
    "morelia_server": |input| server::run(&subjects()["morelia"], input),
        || transcripts::for_servers("morelia");
    "recognition": recognition::run,
        || subjects().keys().flat_map(|id| transcripts::for_servers(id)).collect();
    "revisions_client": revisions::run_client, revisions::seeds_for_clients;
    "revisions_server": revisions::run_server, revisions::seeds_for_servers;
    "sndmsg_client": |input| client::run(&subjects()["sndmsg"], input),
        || transcripts::for_clients("sndmsg");
    "sndmsg_server": |input| server::run(&subjects()["sndmsg"], input),
        || transcripts::for_servers("sndmsg");
};

/// The targets of the gateway around the dialects.
#[cfg(feature = "gateway")]
const GATEWAY_TARGETS: [Target; 3] = targets! {
    "configuration": configuration::run, configuration::seeds;
    "headers": headers::run, headers::seeds;
    "values": values::run, values::seeds;
};

#[cfg(not(feature = "gateway"))]
const GATEWAY_TARGETS: [Target; 0] = [];

/// Every target, ordered by name.
pub fn targets() -> Vec<Target> {
    let mut all = [&DIALECT_TARGETS[..], &GATEWAY_TARGETS[..]].concat();
    all.sort_by_key(|target| target.name);
    all
}

/// Runs the target of this name.
///
/// # Panics
///
/// If there is none, or if it breaks a rule.
pub fn run(name: &str, input: &[u8]) {
    let target = DIALECT_TARGETS.iter().chain(&GATEWAY_TARGETS).find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("there is no target {name:?}"));
    (target.run)(input);
}

fn run_model(input: &[u8]) {
    // Bytes that are too few for a plan are no plan.
    if let Ok(plan) = model::Plan::arbitrary_take_rest(Unstructured::new(input)) {
        model::run(&plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::panic::catch_unwind;
    use std::path::{Path, PathBuf};

    fn entries(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }

    #[test]
    fn every_target_has_a_program_of_its_name() {
        let stem = |path: &PathBuf| {
            path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned()
        };
        let programs: BTreeSet<String> = entries("targets").iter().map(stem).collect();
        let targets: BTreeSet<String> =
            targets().iter().map(|target| target.name.to_owned()).collect();
        assert!(targets.is_subset(&programs), "{targets:?}, {programs:?}");
        if cfg!(feature = "gateway") {
            assert_eq!(targets, programs);
        }
    }

    #[test]
    fn every_input_that_is_kept_holds() {
        let mut failed = Vec::new();
        for target in targets() {
            let kept = entries(&format!("data/{}", target.name)).into_iter().map(|path| {
                let input = std::fs::read(&path).expect("an input can be read");
                (path.display().to_string(), input)
            });
            let seeds = (target.seeds)().into_iter().enumerate();
            let seeds = seeds.map(|(number, seed)| (format!("seed {number}"), seed));
            for (name, input) in kept.chain(seeds) {
                if catch_unwind(|| (target.run)(&input)).is_err() {
                    failed.push(format!("{}: {name}", target.name));
                }
            }
        }
        assert_eq!(failed, [""; 0], "the panics above tell the reasons");
    }
}
