//! `tolmach dialects`

use super::dialect_list::dialect_list;
use super::operator::load_config;
use crate::arguments::Location;
use crate::configured_dialects::configured_dialects;
use crate::error::{CliError, UsageError};

pub(crate) fn run(location: &Location) -> Result<String, CliError> {
    let config = load_config(location)?;
    let dialects = configured_dialects(&config).map_err(UsageError::from)?;
    Ok(dialect_list(&config, &dialects))
}
