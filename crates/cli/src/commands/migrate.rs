//! `tolmach migrate`

use super::operator::load_config;
use crate::arguments::Location;
use crate::backend::store_url;
use crate::error::CliError;
use tolmach_adapters::create_private_folder;

pub(crate) async fn run(location: &Location) -> Result<String, CliError> {
    let config = load_config(location)?;
    create_private_folder(&location.data)?;
    let applied = tolmach_store::migrate(store_url(&config, &location.data).expose()).await?;
    if applied.is_empty() {
        return Ok("the store is up to date\n".into());
    }
    Ok(applied.iter().map(|migration| format!("applied {migration}\n")).collect())
}
