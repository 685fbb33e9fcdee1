//! The loader of the configuration: a file, and variables of the environment in further records.

use crate::input::{SEPARATOR, joined};
use tolmach_cli::fuzzing::load_configuration;

/// The files in `config`, and a variable of the environment for each form of value.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    const DEFAULTS: &str = include_str!("../../../config/tolmach.toml");
    const CLUSTER: &str = include_str!("../../../config/cluster.toml");
    let sections = DEFAULTS.split("\n[").map(|section| format!("[{section}"));
    let whole = [DEFAULTS, CLUSTER].map(|file| file.as_bytes().to_vec());
    let variables = [
        "HTTP__LISTEN=127.0.0.1:0",
        "LIMITS__FRAMES_PER_SECOND=10",
        "DIALECTS__MODE__PUSH=false",
        "ROUTING__SHARED_PATHS=/,/ws",
        "AUTH__LOGIN_THROTTLE__WINDOW=15m",
    ];
    let environment = variables.map(|variable| joined(&[Vec::new(), variable.into()]));
    sections.map(String::into_bytes).chain(whole).chain(environment).collect()
}

/// Loads the configuration of an input, twice.
pub(crate) fn run(input: &[u8]) {
    let mut records = input.split(|byte| *byte == SEPARATOR).map(String::from_utf8_lossy);
    let file = records.next().unwrap_or_default();
    let variables: Vec<(String, String)> = records
        .filter_map(|record| {
            let (name, value) = record.split_once('=')?;
            Some((format!("TOLMACH__{name}"), value.to_owned()))
        })
        .collect();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let loaded = load_configuration(&file, &variables);
    if let Err(mistakes) = &loaded {
        assert!(!mistakes.is_empty(), "a configuration is refused for no reason");
        assert!(mistakes.iter().all(|line| !line.is_empty()), "{mistakes:?}");
    }
    assert_eq!(loaded, load_configuration(&file, &variables), "loaded in two ways");
}
