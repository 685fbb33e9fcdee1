//! `tolmach migrate`

use super::operator::load_config;
use crate::arguments::Location;
use crate::backend::store_url;
use crate::error::CliError;
use tolmach_adapters::create_private_folder;

pub(crate) async fn run(location: &Location) -> Result<String, CliError> {
    let config = load_config(location)?;
    create_private_folder(&location.data)?;
    let url = store_url(&config, &location.data);
    let applied = tolmach_store::migrate(url.expose()).await?;
    let mut text: String =
        applied.iter().map(|migration| format!("applied {migration}\n")).collect();
    if applied.is_empty() {
        text.push_str("the store is up to date\n");
    }
    for collision in tolmach_store::colliding_logins(url.expose()).await? {
        text.push_str(&format!("collision: {collision}\n"));
    }
    Ok(text)
}
