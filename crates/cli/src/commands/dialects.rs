//! `tolmach dialects`

use super::dialect_list::dialect_list;
use super::operator::load_config;
use crate::arguments::Location;
use crate::error::CliError;

pub(crate) fn run(location: &Location) -> Result<String, CliError> {
    Ok(dialect_list(&load_config(location)?))
}
