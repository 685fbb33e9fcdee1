//! The command.

use crate::arguments::Location;
use crate::commands::diff;
use crate::commands::operator::load_config;
use crate::commands::replay::credentials::{self, Credentials};
use crate::commands::replay::player::{Player, Way};
use crate::commands::replay::recording::Recording;
use crate::commands::replay::target::target;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::named_dialects::NamedDialects;
use crate::replay_arguments::ReplayArguments;
use std::path::PathBuf;
use tolmach_migration::replay::Learned;

/// Plays a capture, and compares if asked to.
pub(crate) async fn run(
    location: &Location,
    arguments: &ReplayArguments,
) -> Result<String, CliError> {
    let config = load_config(location)?;
    let named = NamedDialects::load(&config).map_err(UsageError::from)?;
    let meanings = diff::meanings(&named)?;
    let dialect = diff::dialect(&named, arguments.dialect.as_deref())?;
    let (endpoint, trust) = target(&arguments.to, arguments.ca.as_deref())?;
    let credentials = match &arguments.credentials {
        Some(path) => credentials::read(path)?,
        None => Credentials::default(),
    };
    let capture = diff::capture(&arguments.capture)?;
    // Removed with everything in it when the command ends.
    let folder = tempfile::tempdir().map_err(RuntimeError::TemporaryFolder)?;
    let output: PathBuf = match &arguments.output {
        Some(path) => path.clone(),
        None => folder.path().join("replay.jsonl"),
    };
    let way = Way {
        speed: arguments.speed,
        wait: arguments.wait,
        max_connections: arguments.connections,
        dialect: dialect.clone(),
    };
    let recording = Recording::create(&output)?;
    let learned = Learned::new(credentials.passwords, credentials.tokens);
    let mut player = Player::new(endpoint, trust, way, &meanings, learned, recording);
    let summary = player.play(capture).await?;
    player.finish()?;
    if !arguments.diff {
        return Ok(format!("{summary}\n"));
    }
    let report = diff::compared(&arguments.capture, &output, &meanings, dialect)?;
    diff::finish(&report, &arguments.report)
}
